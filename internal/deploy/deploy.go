// Package deploy publishes content under a name, as a program without a person in front of
// it needs that: each step is waited for, and the outcome is one of a few.
//
// # Order
//
//	judge     what was asked for: key, record
//	add       and pin; a root that was pinned before stays pinned
//	provide   the root
//	hand on   to a pinning service, if one is named
//	reach     a host that knows nothing finds the root, and fetches it
//	publish   and wait for acks
//	look      such a host finds the record
//
// # Invariants
//
//   - The record is not made before the content was fetched from outside.
//   - What fails before the record is stored leaves the name as it was, and what was pinned
//     for it is let go, also by the service.
//   - Every step ends: it has a time, and a number of tries.
package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/rpc"
)

// Limits.
const (
	DefaultStep = 10 * time.Minute // for one step
	tries       = 6                // of what may take others a while to see
	firstPause  = time.Second      // between two of them; it doubles
	letGoLimit  = 10 * time.Second // to unpin after a failure
)

// Plan is what to publish, and how.
type Plan struct {
	Node rpc.Caller
	// Add adds the content and pins it, to be kept for a name if one is given, or with onlyHash only says what its root
	// will be.
	Add func(ctx context.Context, keepFor string, onlyHash bool) (cid.Cid, error)

	// One of these says who signs.
	Key    string       // label or name of a key of the node
	Signer ipns.Signer  // a key that the node does not have
	Record *ipns.Record // was signed elsewhere

	Lifetime, TTL        *time.Duration // nil: the defaults; for a Signer, LongLifetime
	Sequence, IfSequence *uint64        // as for the publisher
	// Keep is how many values of the name stay pinned, if its key is on the node; 0: as many as last time.
	Keep int
	// Acks is how many servers must take the record; 0: as many as the publisher waits for,
	// or all that there are.
	Acks int
	// Service is a pinning service of the node that is to have the content too; "": none.
	Service string
	// Peers and Routers are asked from outside. None: there is nobody, and the record is
	// only stored.
	Peers   []peer.AddrInfo
	Routers []string
	Agent   string // of those who ask
	// Step is the time for one step; 0: DefaultStep.
	Step time.Duration
	// Told is told of each step as it begins; nil: nobody is.
	Told func(step string)

	// What asks from outside; nil: package check.
	content func(context.Context, check.ContentRequest) (check.ContentReport, error)
	records func(context.Context, check.Request) ([]check.Source, error)
}

// Report is what was done. It is filled as far as that went.
type Report struct {
	Outcome   Outcome
	Code      int     // of Outcome: the exit code of the command
	Name      string  `json:",omitempty"`
	CID       string  `json:",omitempty"`
	URI       string  `json:",omitempty"` // of the name
	Sequence  *uint64 `json:",omitempty"`
	Announced int     // servers that took the record
	Of        int     // servers that should
	Providers int     // that others name for the root
	Seen      int     // of SeenOf servers that were asked from outside, those with the record
	SeenOf    int
	// Alone says that there is nobody outside, and that the record was only stored.
	Alone    bool     `json:",omitempty"`
	Warnings []string `json:",omitempty"`
	Error    string   `json:",omitempty"`

	root     cid.Cid
	handedOn bool // the service was asked to pin it, and had not before
	stored   bool // the record is on the disk of the node
}

// Run does all of it. The error, if there is one, is also told by the Report.
func Run(ctx context.Context, p Plan) (Report, error) {
	if p.Step <= 0 {
		p.Step = DefaultStep
	}
	if p.Told == nil {
		p.Told = func(string) {}
	}
	if p.content == nil {
		p.content, p.records = check.Content, check.Ask
	}
	r := Report{}
	err := p.run(ctx, &r)
	if err == nil {
		return r.end(Published, nil), nil
	}
	outcome := outcomeOf(err)
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		outcome, err = Interrupted, fmt.Errorf("interrupted: %w", err)
		if r.stored {
			err = fmt.Errorf("%w; the record is stored", err)
		}
	}
	return r.end(outcome, err), err
}

func (r Report) end(o Outcome, err error) Report {
	r.Outcome, r.Code = o, o.Code()
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (p *Plan) alone() bool { return len(p.Peers)+len(p.Routers) == 0 }

func (p *Plan) run(ctx context.Context, r *Report) error {
	name, err := p.judge(ctx)
	if err != nil {
		return err
	}
	r.Name, r.URI, r.Alone = name.String(), "ipns://"+name.String(), p.alone()
	before, err := p.pins(ctx)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return p.add(ctx, r) },
		func() error { return p.outside(ctx, r) },
		func() error { return p.publish(ctx, r, name) },
	} {
		if err = step(); err == nil && !r.stored {
			err = ctx.Err() // what is interrupted goes no further
		}
		if err != nil {
			break
		}
	}
	if err != nil && !r.stored {
		p.letGo(ctx, r, before[r.CID])
	}
	if err != nil || p.alone() {
		return err
	}
	return p.look(ctx, r, name)
}

// judge checks who signs, and with what name, and what can be checked of the rest.
func (p *Plan) judge(ctx context.Context) (ipns.Name, error) {
	lifetime := LongLifetime
	if p.Lifetime != nil {
		lifetime = *p.Lifetime
	}
	if lifetime <= 0 || p.TTL != nil && (*p.TTL < 0 || *p.TTL > lifetime) {
		return ipns.Name{}, because(BadInput, errors.New("the lifetime must be above 0, and the TTL neither below 0 nor above the lifetime"))
	}
	for _, u := range p.Routers {
		if err := check.RouterURL(u); err != nil {
			return ipns.Name{}, because(BadInput, err)
		}
	}
	switch {
	case p.Record != nil:
		if p.Record.Expired(time.Now()) {
			return ipns.Name{}, because(BadInput, errors.New("the record has expired"))
		}
		if err := p.isRecordOf(ctx); err != nil {
			return ipns.Name{}, err
		}
		return p.Record.Name(), nil
	case p.Signer == nil:
		return p.keyOfNode(ctx, p.Key)
	}
	name, err := ipns.NameOf(p.Signer.Public())
	if err != nil {
		return name, because(NoKey, err)
	}
	_, err = p.keyOfNode(ctx, name.String())
	if err == nil { // the node has the key, and knows more of the name
		p.Key, p.Signer = name.String(), nil
	} else if outcomeOf(err) == NoKey {
		err = nil
	}
	return name, err
}

// keyOfNode returns the name of a key of the node, which is given by its label or its name.
func (p *Plan) keyOfNode(ctx context.Context, text string) (ipns.Name, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	list, err := rpc.Do(ctx, p.Node, api.KeyLs, api.KeyListRequest{})
	if err != nil {
		return ipns.Name{}, because(NoNode, fmt.Errorf("list the keys of the node: %w", err))
	}
	for _, k := range list.Keys {
		name, err := ipns.ParseName(k.Id)
		if err != nil {
			continue // a damaged key
		}
		if asked, err := ipns.ParseName(text); k.Name == text || err == nil && asked == name {
			return name, nil
		}
	}
	return ipns.Name{}, because(NoKey, fmt.Errorf("the node has no key %q", text))
}

// isRecordOf refuses a record that says something else than what is to be added, before
// anyone is told of that.
func (p *Plan) isRecordOf(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	root, err := p.Add(ctx, "", true)
	if err != nil {
		return because(NotAdded, err)
	}
	if !leadsTo(p.Record.Value(), root) {
		return because(BadInput, fmt.Errorf("the record says %s, and the content is /ipfs/%s", p.Record.Value(), root))
	}
	return nil
}

// leadsTo reports whether a content path is a CID, in any spelling, with nothing behind it.
func leadsTo(value string, root cid.Cid) bool {
	text, ok := strings.CutPrefix(value, "/ipfs/")
	c, err := cid.Decode(strings.TrimSuffix(text, "/"))
	return ok && err == nil && c.Type() == root.Type() && bytes.Equal(c.Hash(), root.Hash())
}
