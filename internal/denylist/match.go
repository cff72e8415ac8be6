package denylist

import (
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
)

// cid says whether a CID is denied by itself, wherever it is found.
func (l *list) cid(c cid.Cid) verdict {
	if v := judge(l.cids[string(c.Hash())], ""); v != nothing {
		return v
	}
	return l.double(c, "")
}

// path says whether a path is denied: /ns/root, with or without more.
func (l *list) path(ns, root, below string) verdict {
	below = trim(below)
	if below != "" {
		if v := judge(l.paths[below], below); v != nothing {
			return v
		}
		if v := judge(l.prefixes, below); v != nothing {
			return v
		}
	}
	switch ns {
	case "ipns":
		return l.name(root, below)
	case "ipfs", "ipld":
		c, err := cid.Decode(root)
		if err != nil {
			return nothing
		}
		if v := judge(l.cids[string(c.Hash())], below); v != nothing {
			return v
		}
		return l.double(c, below)
	}
	return nothing
}

func (l *list) name(root, below string) verdict {
	h, domain := parseRoot(root)
	if v := judge(l.names[string(h)+domain], below); v != nothing || len(l.hashed) == 0 {
		return v
	}
	if h != nil {
		return l.double(cid.NewCidV1(cid.Libp2pKey, h), below)
	}
	// The hash is that of the domain with a slash, or, later, of the path.
	if v := l.hash(multihash.SHA2_256, domain+"/"+below); v != nothing {
		return v
	}
	return l.anyHash(strings.TrimSuffix("/ipns/"+domain+"/"+below, "/"))
}

// double looks for the hash of a CID and path: that of the CID of version 1 in base32 with a slash, or, later, that of the
// multihash in base58.
func (l *list) double(c cid.Cid, below string) verdict {
	if len(l.hashed) == 0 {
		return nothing
	}
	if b32, err := cid.NewCidV1(c.Type(), c.Hash()).StringOfBase(multibase.Base32); err == nil {
		if v := l.hash(multihash.SHA2_256, b32+"/"+below); v != nothing {
			return v
		}
	}
	text := c.Hash().B58String()
	if below != "" {
		text += "/" + below
	}
	return l.anyHash(text)
}

func (l *list) anyHash(text string) verdict {
	var last hashRule
	for code := range l.hashed {
		if r := l.rule(code, text); r.says != nothing && r.at >= last.at {
			last = r
		}
	}
	return last.says
}

func (l *list) hash(code uint64, text string) verdict { return l.rule(code, text).says }

func (l *list) rule(code uint64, text string) hashRule {
	known := l.hashed[code]
	if len(known) == 0 {
		return hashRule{}
	}
	h, err := multihash.Sum([]byte(text), code, -1)
	if err != nil {
		return hashRule{}
	}
	return known[string(h)]
}
