// Package ens reads the contenthash of an ENS name from an Ethereum node, and prepares the
// call that sets it. It signs nothing and sends no transaction.
//
// A name is looked up as ENSIP-10 says: the resolver of the name, or else that of the
// nearest parent, if that one answers for names below it. Contenthashes that a resolver has
// outside the chain (CCIP-Read, EIP-3668) are not fetched: [Entry.Offchain] says where they
// are.
package ens

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Registry is the contract that knows the resolver of each name, on every public chain
// that has one.
const Registry = "0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e"

// Mainnet is the id of the chain that names are looked up on unless told otherwise.
const Mainnet = 1

// ErrNoResolver means that neither a name nor a parent of it has a resolver that answers
// for it: its owner has set none, or it has no owner.
var ErrNoResolver = errors.New("ens: no resolver is set")

// Entry is what the chain says about a name.
type Entry struct {
	Name     string // normalized
	Node     string // namehash, 0x and hex
	Chain    uint64
	Resolver string // address, 0x and hex
	// Parent is the name whose resolver answers, if that is not Name itself.
	Parent      string   `json:",omitempty"`
	Contenthash []byte   `json:",omitempty"` // empty: none is set
	Offchain    []string `json:",omitempty"` // URLs of a resolver that answers outside the chain
}

var (
	callResolver   = selector("resolver(bytes32)")
	callSupports   = selector("supportsInterface(bytes4)")
	callExtended   = selector("resolve(bytes,bytes)") // also the id of the interface
	callHash       = selector("contenthash(bytes32)")
	callSetHash    = selector("setContenthash(bytes32,bytes)")
	offchainLookup = selector("OffchainLookup(address,string[],bytes,bytes4,bytes)")
)

// Lookup reads what the chain says about a name, in any spelling.
func (c *Client) Lookup(ctx context.Context, name string) (Entry, error) {
	name, err := Normalize(name)
	if err != nil {
		return Entry{}, err
	}
	node := Node(name)
	e := Entry{Name: name, Node: "0x" + hex.EncodeToString(node[:])}
	if e.Chain, err = c.chain(ctx); err != nil {
		return e, err
	}
	extended, err := c.findResolver(ctx, &e)
	if err != nil {
		return e, err
	}
	ask := append(bytes.Clone(callHash), node[:]...)
	if extended {
		packed := dynamic(dnsEncode(name))
		call := append(bytes.Clone(callExtended), number(2*word)...)
		call = append(call, number(uint64(2*word+len(packed)))...)
		ask = append(append(call, packed...), dynamic(ask)...)
	}
	answer, err := c.call(ctx, e.Resolver, ask)
	var revert *revertError
	if errors.As(err, &revert) && bytes.HasPrefix(revert.data, offchainLookup) {
		e.Offchain, err = lookupURLs(revert.data[len(offchainLookup):])
		return e, err
	}
	if err != nil {
		return e, fmt.Errorf("ask the resolver %s for the contenthash of %s: %w", e.Resolver, name, err)
	}
	if extended {
		if answer, err = bytesAt(answer, 0, 0); err != nil {
			return e, err
		}
	}
	if len(answer) == 0 {
		return e, nil // a resolver without contenthashes
	}
	e.Contenthash, err = bytesAt(answer, 0, 0)
	return e, err
}

// findResolver sets the resolver of a name, and says whether it is an extended one.
func (c *Client) findResolver(ctx context.Context, e *Entry) (extended bool, err error) {
	for at := e.Name; at != ""; {
		node := Node(at)
		answer, err := c.call(ctx, Registry, append(bytes.Clone(callResolver), node[:]...))
		if err != nil {
			return false, fmt.Errorf("ask the registry for the resolver of %s: %w", at, err)
		}
		if len(answer) < word {
			return false, fmt.Errorf("there is no ENS registry on chain %d: %w", e.Chain, errABI)
		}
		if address := answer[word-20 : word]; !bytes.Equal(address, make([]byte, 20)) {
			e.Resolver = "0x" + hex.EncodeToString(address)
			extended = c.isExtended(ctx, e.Resolver)
			if at == e.Name {
				return extended, nil
			}
			if !extended {
				break // it answers for its own name alone
			}
			e.Parent = at
			return true, nil
		}
		_, at, _ = strings.Cut(at, ".")
	}
	e.Resolver = ""
	return false, fmt.Errorf("%w for %s", ErrNoResolver, e.Name)
}

// isExtended reports whether a resolver says that it answers for names below its own.
// One that cannot say is none.
func (c *Client) isExtended(ctx context.Context, resolver string) bool {
	ask := append(bytes.Clone(callSupports), callExtended...)
	answer, err := c.call(ctx, resolver, append(ask, make([]byte, word-len(callExtended))...))
	if err != nil {
		return false
	}
	n, err := numberAt(answer, 0)
	return err == nil && n == 1
}

// maxURLs bounds the URLs of a resolver that answers outside the chain.
const maxURLs = 16

// lookupURLs reads the URLs of an OffchainLookup.
func lookupURLs(b []byte) ([]string, error) {
	list, err := numberAt(b, word)
	if err != nil {
		return nil, err
	}
	n, err := numberAt(b, list)
	if err != nil {
		return nil, err
	}
	var urls []string
	for i := range min(n, maxURLs) {
		u, err := bytesAt(b, list+word, list+word+i*word)
		if err != nil {
			return nil, err
		}
		urls = append(urls, string(u))
	}
	return urls, nil
}

// Calldata returns the data of a transaction to the resolver of a name, which sets its
// contenthash: setContenthash(bytes32,bytes).
func Calldata(name string, contenthash []byte) ([]byte, error) {
	name, err := Normalize(name)
	if err != nil {
		return nil, err
	}
	node := Node(name)
	data := append(bytes.Clone(callSetHash), node[:]...)
	data = append(data, number(2*word)...)
	return append(data, dynamic(contenthash)...), nil
}
