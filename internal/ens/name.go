package ens

import (
	"fmt"
	"strings"

	"github.com/adraffy/go-ens-normalize/ensip15"
	"golang.org/x/crypto/sha3"
)

// Limits of an ENS name.
const (
	maxName  = 1024 // bytes of the text
	maxLabel = 255  // bytes, for which the form of ENSIP-10 has one byte
)

// Normalize returns the one spelling of a name that has a namehash (ENSIP-15), or says why
// it has none.
func Normalize(name string) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("ens: a name of more than %d bytes", maxName)
	}
	n, err := ensip15.Shared().Normalize(name)
	if err != nil {
		return "", fmt.Errorf("ens: %q is no name: %w", name, err)
	}
	if n == "" || !strings.Contains(n, ".") {
		return "", fmt.Errorf("ens: %q has no dot: names end with .eth or with a domain", name)
	}
	for label := range strings.SplitSeq(n, ".") {
		if len(label) > maxLabel {
			return "", fmt.Errorf("ens: a label of more than %d bytes", maxLabel)
		}
	}
	return n, nil
}

// Node returns the namehash of a normalized name (ENSIP-1).
func Node(name string) [32]byte {
	var node [32]byte
	labels := strings.Split(name, ".")
	for i := len(labels) - 1; i >= 0; i-- {
		label := keccak([]byte(labels[i]))
		node = keccak(append(node[:], label[:]...))
	}
	return node
}

// dnsEncode returns a name in the form that extended resolvers are asked with (ENSIP-10).
func dnsEncode(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		b = append(b, byte(len(label)))
		b = append(b, label...)
	}
	return append(b, 0)
}

func keccak(b []byte) (sum [32]byte) {
	h := sha3.NewLegacyKeccak256()
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}
