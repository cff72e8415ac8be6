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
