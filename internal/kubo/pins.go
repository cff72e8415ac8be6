package kubo

import (
	"fmt"
	"iter"

	"github.com/fxamacker/cbor/v2"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

// Pin is a pinned block.
type Pin struct {
	CID       cid.Cid
	Recursive bool // it and all below it
	Name      string
}

// Modes of pins on disk.
const (
	modeRecursive = 0
	modeDirect    = 1
)

// Pins yields the recursive and direct pins. It ends with the first error.
func (r *Repo) Pins() iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		const prefix = "/pins/pin/"
		s, at, err := r.at(prefix)
		if err != nil {
			yield(Pin{}, err)
			return
		}
		for e, err := range s.scan(at) {
			var p Pin
			if err == nil {
				p, err = parsePin(e.value)
			}
			if err != nil {
				yield(Pin{}, fmt.Errorf("read pin %q of %s: %w", e.key, r.Path, err))
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func parsePin(b []byte) (Pin, error) {
	var p struct {
		CID  []byte `cbor:"cid"`
		Mode int    `cbor:"mode"`
		Name string `cbor:"name"`
	}
	if err := cbor.Unmarshal(b, &p); err != nil {
		return Pin{}, err
	}
	c, err := cid.Cast(p.CID)
	if err != nil {
		return Pin{}, err
	}
	if p.Mode != modeRecursive && p.Mode != modeDirect {
		return Pin{}, fmt.Errorf("it has the unknown mode %d", p.Mode)
	}
	return Pin{CID: c, Recursive: p.Mode == modeRecursive, Name: p.Name}, nil
}

// Block returns a block, which it compares with the CID.
func (r *Repo) Block(c cid.Cid) (blocks.Block, error) {
	data, err := r.get("/blocks/" + rawBase32.EncodeToString(c.Hash()))
	if err != nil {
		return nil, fmt.Errorf("block %s is not in %s: %w", c, r.Path, err)
	}
	again, err := c.Prefix().Sum(data)
	if err != nil {
		return nil, fmt.Errorf("block %s of %s: %w", c, r.Path, err)
	}
	if !again.Equals(c) {
		return nil, fmt.Errorf("block %s of %s is damaged", c, r.Path)
	}
	return blocks.NewBlockWithCid(data, c)
}

// emptyFiles is the empty directory, which a Kubo without files has.
const emptyFiles = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"

// Files returns the root of what 'ipfs files' shows; cid.Undef: there are none.
func (r *Repo) Files() cid.Cid {
	b, err := r.get("/local/filesroot")
	if err != nil {
		return cid.Undef
	}
	c, err := cid.Cast(b)
	if err != nil || c.String() == emptyFiles {
		return cid.Undef
	}
	return c
}
