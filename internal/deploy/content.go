package deploy

import (
	"context"
	"fmt"
	"time"

	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/rpc"
)

// pins returns the roots that are pinned now.
func (p *Plan) pins(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	all := map[string]bool{}
	req := api.PinListRequest{Type: "recursive", Stream: true}
	for pin, err := range rpc.Call(ctx, p.Node, api.PinLs, req) {
		if err != nil {
			return nil, because(NoNode, fmt.Errorf("list the pins of the node: %w", err))
		}
		if pin.Cid != "" {
			all[pin.Cid] = true
		}
		for c := range pin.Keys {
			all[c] = true
		}
	}
	return all, nil
}

// add adds the content.
func (p *Plan) add(ctx context.Context, r *Report) (err error) {
	p.Told("adding")
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	keepFor := "" // nobody but the user lets go of the pin
	if p.keeps() {
		keepFor = r.Name
	}
	if r.root, err = p.Add(ctx, keepFor, false); err != nil {
		return because(NotAdded, err)
	}
	r.CID = r.root.String()
	if p.Record != nil && !leadsTo(p.Record.Value(), r.root) {
		return because(BadInput, fmt.Errorf("the record says %s, and the content has become /ipfs/%s meanwhile", p.Record.Value(), r.root))
	}
	return nil
}

// letGo unpins what a failed deploy has pinned, here unless it was before, and at the service.
func (p *Plan) letGo(ctx context.Context, r *Report, before bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoLimit)
	defer cancel()
	if r.handedOn {
		req := api.PinRemoteRemoveRequest{RemoteQuery: p.atService(r)} // one pin, or none
		if _, err := rpc.Do(ctx, p.Node, api.PinRemoteRm, req); err != nil {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s may stay pinned by %q: %v", r.CID, p.Service, err))
		}
	}
	if r.CID == "" || before {
		return
	}
	if _, err := rpc.Do(ctx, p.Node, api.PinRm, api.PinRemoveRequest{Paths: []string{r.CID}, Recursive: true}); err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s stays pinned: %v", r.CID, err))
	}
}

// outside makes sure that others can have the content.
func (p *Plan) outside(ctx context.Context, r *Report) error {
	if p.alone() || r.root.Prefix().MhType == mh.IDENTITY {
		return nil // there is nobody, or all of it is in the CID
	}
	p.Told("announcing the content")
	if err := p.again(ctx, func(ctx context.Context) error { return p.provide(ctx, r) }); err != nil {
		return because(NotReachable, err)
	}
	if p.Service != "" {
		p.Told("having it pinned by " + p.Service)
		if err := p.handOn(ctx, r); err != nil {
			return because(NotHandedOn, err)
		}
	}
	p.Told("looking for it from outside")
	if err := p.again(ctx, func(ctx context.Context) error { return p.reach(ctx, r) }); err != nil {
		return because(NotReachable, err)
	}
	return nil
}

func (p *Plan) provide(ctx context.Context, r *Report) error {
	_, err := rpc.Do(ctx, p.Node, api.RoutingProvide, api.ProvideRequest{CIDs: []string{r.CID}})
	if err != nil {
		return fmt.Errorf("announce %s: %w", r.CID, err)
	}
	return nil
}

func (p *Plan) handOn(ctx context.Context, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	r.handedOn = true
	for range rpc.Call(ctx, p.Node, api.PinRemoteLs, api.PinRemoteListRequest{RemoteQuery: p.atService(r)}) {
		r.handedOn = false // it was before, or, with an error, may have been
	}
	_, err := rpc.Do(ctx, p.Node, api.PinRemoteAdd, api.PinRemoteAddRequest{Path: "/ipfs/" + r.CID, Service: p.Service, Name: r.Name})
	if err != nil {
		return fmt.Errorf("have %s pinned by %q: %w", r.CID, p.Service, err)
	}
	return nil
}

// atService selects the pins of the content at the service, whatever their state.
func (p *Plan) atService(r *Report) api.RemoteQuery {
	return api.RemoteQuery{Service: p.Service, CIDs: []string{r.CID}, Status: []string{"queued", "pinning", "pinned", "failed"}}
}

func (p *Plan) reach(ctx context.Context, r *Report) error {
	found, err := p.content(ctx, check.ContentRequest{CID: r.root, Peers: p.Peers, Routers: p.Routers, UserAgent: p.Agent})
	if err != nil {
		return fmt.Errorf("look for %s from outside: %w", r.CID, err)
	}
	if r.Providers = len(found.Providers); !found.OK {
		return fmt.Errorf("%s cannot be fetched from outside: %s", r.CID, found.Verdict)
	}
	return nil
}

// again tries what may take others a while to see, within the time of one step.
func (p *Plan) again(ctx context.Context, try func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	var last error
	for i, pause := 0, firstPause; i < tries; i, pause = i+1, 2*pause {
		err := try(within)
		if err == nil {
			return nil
		}
		if last == nil || within.Err() == nil {
			last = err
		}
		if i == tries-1 {
			break
		}
		select {
		case <-within.Done():
			return last
		case <-time.After(pause):
		}
	}
	return last
}
