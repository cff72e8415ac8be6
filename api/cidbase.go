package api

import (
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-cidutil/cidenc"
	"github.com/multiformats/go-multibase"
)

// CIDBase is embedded in requests with CIDs in their responses: it says how those
// are written.
type CIDBase struct {
	CIDBase   string `opt:"cid-base" help:"multibase in which CIDs are written"`
	UpgradeV0 *bool  `opt:"upgrade-cidv0-in-output" help:"write CIDs of version 0 as version 1; a base other than base58btc does this too"`
}

// Encoder returns what writes CIDs.
func (b CIDBase) Encoder() (cidenc.Encoder, error) {
	e := cidenc.Default()
	if b.CIDBase != "" {
		base, err := multibase.EncoderByName(b.CIDBase)
		if err != nil {
			return e, err
		}
		// Version 0 is base58btc and nothing else.
		e.Base, e.Upgrade = base, base.Encoding() != multibase.Base58BTC
	}
	if b.UpgradeV0 != nil {
		e.Upgrade = *b.UpgradeV0
	}
	return e, nil
}

// Write writes a CID, as it is if the base is unknown.
func (b CIDBase) Write(c cid.Cid) string {
	e, err := b.Encoder()
	if err != nil {
		return c.String()
	}
	return e.Encode(c)
}

// EncoderFor is Encoder for a command that writes CIDs like the one that a path begins with, unless a base is given.
func (b CIDBase) EncoderFor(p string) (cidenc.Encoder, error) {
	if e, ok := encoderLike(p); ok && b.CIDBase == "" {
		return e, nil
	}
	return b.Encoder()
}

// encoderLike returns what writes CIDs like the one that a path begins with, if it
// begins with one.
func encoderLike(p string) (cidenc.Encoder, bool) {
	c, err := cid.Decode(firstCID(p))
	if err != nil {
		return cidenc.Encoder{}, false
	}
	if c.Version() == 0 {
		return cidenc.Default(), true
	}
	base, err := cid.ExtractEncoding(firstCID(p))
	if err != nil {
		return cidenc.Encoder{}, false
	}
	return cidenc.Encoder{Base: multibase.MustNewEncoder(base), Upgrade: true}, true
}
