package storemove

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// digest is the SHA-256 of what a store has, each thing as a letter for its kind, a length
// and that many bytes:
//
//	n  a name: its entry (package blob) with version 0, each version of its history that is
//	   not in the entry, newest first, and its upkeep, if any was noted
//	r  a row: table, key and value
//	s  the sum of the SHA-256 of the marks of all seen names, which have no order, modulo 2^256
//
// It covers neither versions nor positions, which are a store's own; nor the targets in a
// receipt and when a rival beside the newest record was entered, which not every store keeps.
// For the current generation stands one number in every store.
type digest struct{ h hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) add(kind byte, b []byte) {
	d.h.Write(append(binary.AppendUvarint([]byte{kind}, uint64(len(b))), b...))
}

// markSum adds up the digests of marks.
type markSum [sha256.Size]byte

func (s *markSum) add(b []byte) {
	sum, carry := sha256.Sum256(b), 0
	for i := len(s) - 1; i >= 0; i-- {
		carry += int(s[i]) + int(sum[i])
		s[i], carry = byte(carry), carry>>8
	}
}

func (d digest) String() string { return hex.EncodeToString(d.h.Sum(nil)) }

// current stands for the current generation of a store.
var current = recordstore.Generation{1}

// translate replaces one generation by another in an entry.
func translate(e recordstore.Entry, from, to recordstore.Generation) recordstore.Entry {
	if e.Known == from {
		e.Known = to
	}
	if e.Entered == from {
		e.Entered = to
	}
	return e
}

// nameBytes returns all that a store has of a name, but its upkeep, in one form. gen is the
// current generation of the store, times says whether when versions were entered is in it.
func nameBytes(w recordstore.Whole, gen recordstore.Generation, times bool) ([]byte, error) {
	settled, err := recordstore.SettleLoad([]recordstore.Whole{w})
	if err != nil {
		return nil, err
	}
	w = settled[0]
	e := translate(w.Entry, gen, current)
	e.Version = 0
	b := blob.EncodeEntry(e)
	for _, p := range w.Past {
		if !times {
			p.At = time.Time{}
		}
		b = append(b, blob.EncodePast(p)...)
	}
	return b, nil
}

// upkeepBytes returns upkeep in one form; nil: none was noted.
func upkeepBytes(u recordstore.Upkeep) ([]byte, error) {
	if !isNoted(u) {
		return nil, nil
	}
	u.Receipt = u.Receipt.Figures()
	return blob.EncodeUpkeep(u)
}

func isNoted(u recordstore.Upkeep) bool { return !u.Due.IsZero() || !u.LastPut.IsZero() }

func rowBytes(r recordstore.Row) []byte {
	return slices.Concat([]byte(r.Table), []byte{0}, []byte(r.Key), []byte{0}, r.Value)
}
