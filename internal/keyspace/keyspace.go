// Package keyspace is the arithmetic of the Kademlia key space: 256-bit keys
// compared by XOR, and the regions that share a prefix.
//
// A key is the SHA-256 of what it stands for: of the routing key for a name,
// of the peer id for a server. Everything here is pure: values in, values out,
// no allocation that depends on input from outside.
package keyspace

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/bits"
)

// Bits is the length of a key.
const Bits = 256

// Key is a point in the key space, most significant bit first.
type Key [Bits / 8]byte

// KeyOf returns the key that stands for the given bytes.
func KeyOf(b []byte) Key { return sha256.Sum256(b) }

// Compare orders keys as numbers, which is also the order in which stores keep
// names and a sweep walks them.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// Distance is the XOR of two keys. Distances compare as numbers.
func Distance(a, b Key) Key {
	var d Key
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// Closer compares a and b by their distance to target: negative if a is closer,
// zero only if a equals b.
func Closer(target, a, b Key) int {
	for i := range target {
		if x, y := target[i]^a[i], target[i]^b[i]; x != y {
			return int(x) - int(y)
		}
	}
	return 0
}

// CommonBits counts the leading bits that a and b share, 0 to [Bits].
func CommonBits(a, b Key) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return i*8 + bits.LeadingZeros8(x)
		}
	}
	return Bits
}

// Region is the set of all keys that begin with the first Bits bits of Prefix.
// The bits of Prefix after them are zero, so that equal regions are ==.
// The zero Region is the whole key space.
type Region struct {
	Prefix Key
	Bits   int
}

// RegionOf returns the region of the given number of bits that holds k.
func RegionOf(k Key, n int) Region {
	r := Region{Bits: n}
	copy(r.Prefix[:], k[:n/8])
	if rest := n % 8; rest > 0 {
		r.Prefix[n/8] = k[n/8] &^ (0xff >> rest)
	}
	return r
}

// Contains reports whether k lies in the region.
func (r Region) Contains(k Key) bool { return CommonBits(r.Prefix, k) >= r.Bits }

// First and Last are the smallest and the largest key of the region.
func (r Region) First() Key { return r.Prefix }

// Last is the largest key of the region.
func (r Region) Last() Key {
	k := r.Prefix
	for i := r.Bits; i < Bits; i++ {
		k[i/8] |= 0x80 >> (i % 8)
	}
	return k
}

// String prints the prefix as hexadecimal digits and its length in bits.
func (r Region) String() string {
	return fmt.Sprintf("%x/%d", r.Prefix[:(r.Bits+7)/8], r.Bits)
}
