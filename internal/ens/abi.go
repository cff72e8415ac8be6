package ens

import (
	"encoding/binary"
	"errors"
)

// What contracts are called with, and answer, is words of 32 bytes: a value that does not
// fit one is in its place an offset to its length and bytes.

const word = 32

// selector is the first four bytes of a call: which function it is of.
func selector(signature string) []byte {
	sum := keccak([]byte(signature))
	return sum[:4]
}

func number(n uint64) []byte {
	b := make([]byte, word)
	binary.BigEndian.PutUint64(b[word-8:], n)
	return b
}

// dynamic is the length of bytes, and the bytes, filled up to whole words.
func dynamic(b []byte) []byte {
	out := append(number(uint64(len(b))), b...)
	if rest := len(b) % word; rest != 0 {
		out = append(out, make([]byte, word-rest)...)
	}
	return out
}

// errABI means that a contract answered with something other than it should.
var errABI = errors.New("ens: the contract's answer cannot be read")

// numberAt reads the number at a byte offset. Larger ones than the answer is long are none.
func numberAt(b []byte, at int) (int, error) {
	if at < 0 || at > len(b)-word {
		return 0, errABI
	}
	for _, high := range b[at : at+word-8] {
		if high != 0 {
			return 0, errABI
		}
	}
	n := binary.BigEndian.Uint64(b[at+word-8 : at+word])
	if n > uint64(len(b)) {
		return 0, errABI
	}
	return int(n), nil
}

// bytesAt reads the bytes whose offset, counted from base, is at a byte offset.
func bytesAt(b []byte, base, at int) ([]byte, error) {
	offset, err := numberAt(b, at)
	if err != nil {
		return nil, err
	}
	start := base + offset
	n, err := numberAt(b, start)
	if err != nil || n > len(b)-start-word {
		return nil, errABI
	}
	return b[start+word : start+word+n], nil
}
