package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cidutil/cidenc"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handlePins(m *rpc.Mux) {
	rpc.Handle(m, api.PinAdd, n.pinAdd)
	rpc.Handle(m, api.PinRm, rpc.One(n.pinRemove))
	rpc.Handle(m, api.PinLs, n.pinList)
	rpc.Handle(m, api.PinUpdate, rpc.One(n.pinUpdate))
	rpc.Handle(m, api.PinVerify, n.pinVerify)
}

// pinProgress is the time between two reports of progress.
const pinProgress = 500 * time.Millisecond

// pinAdd implements the command.
func (n *verbs) pinAdd(ctx context.Context, req api.PinAddRequest) iter.Seq2[api.Pinned, error] {
	return func(yield func(api.Pinned, error) bool) {
		if !req.Progress {
			yield(n.pinAll(ctx, req))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		tracked, seen := content.Track(ctx)
		var pins api.Pinned
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			pins, err = n.pinAll(tracked, req)
		}()
		defer func() {
			cancel()
			<-done
		}()
		progress := func() bool {
			blocks, bytes := seen()
			return yield(api.Pinned{Progress: blocks, Bytes: bytes}, nil)
		}
		tick := time.NewTicker(pinProgress)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if !progress() {
					return
				}
				continue
			case <-done:
			}
			if blocks, _ := seen(); err == nil && blocks > 0 && !progress() {
				return
			}
			yield(pins, err)
			return
		}
	}
}

// pinAll pins all paths of a request.
func (n *verbs) pinAll(ctx context.Context, req api.PinAddRequest) (pins api.Pinned, err error) {
	// A codec reads what strangers made, and a goroutine has no server that catches its panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pin: reading a block failed: %v", p)
		}
	}()
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	if err := content.CheckPinName(req.Name); err != nil {
		return pins, err // before anything is fetched
	}
	enc, err := req.Encoder()
	if err != nil {
		return pins, err
	}
	var roots []cid.Cid
	for _, text := range req.Paths {
		c, err := n.blockAt(ctx, text)
		if err != nil {
			return pins, err
		}
		if err := n.content(ctx).Pin(ctx, c, kind, req.Name); err != nil {
			return pins, err
		}
		roots = append(roots, c)
		pins.Pins = append(pins.Pins, enc.Encode(c))
	}
	return pins, n.announceAdded(ctx, req.FastProvide, true, roots...)
}

// pinRemove implements the command.
func (n *verbs) pinRemove(ctx context.Context, req api.PinRemoveRequest) (api.Pins, error) {
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	var pins api.Pins
	enc, err := req.Encoder()
	if err != nil {
		return pins, err
	}
	for _, text := range req.Paths {
		c, err := n.blockAt(ctx, text)
		if err != nil {
			return pins, err
		}
		if err := n.Content.Unpin(ctx, c, kind); err != nil {
			return pins, cause(ctx, err)
		}
		if err := n.Content.LetGo(ctx, c); err != nil { // it is unpinned all the same
			n.Log.Warn("what was unpinned stays for as long as a replaced value of a name does", "cid", c, "err", err)
		}
		pins.Pins = append(pins.Pins, enc.Encode(c))
	}
	return pins, nil
}

// pinUpdate implements the command.
func (n *verbs) pinUpdate(ctx context.Context, req api.PinUpdateRequest) (api.Pins, error) {
	enc, err := req.Encoder()
	if err != nil {
		return api.Pins{}, err
	}
	from, err := n.blockAt(ctx, req.From)
	if err != nil {
		return api.Pins{}, err
	}
	to, err := n.blockAt(ctx, req.To)
	if err != nil {
		return api.Pins{}, err
	}
	if err := n.content(ctx).UpdatePin(ctx, from, to, !req.Unpin); err != nil {
		return api.Pins{}, err
	}
	return api.Pins{Pins: []string{enc.Encode(from), enc.Encode(to)}}, n.announceAdded(ctx, req.FastProvide, true, to)
}

// pinVerify implements the command.
func (n *verbs) pinVerify(ctx context.Context, req api.PinVerifyRequest) iter.Seq2[api.VerifiedPin, error] {
	return func(yield func(api.VerifiedPin, error) bool) {
		enc, err := req.Encoder()
		if err := errors.Join(req.Check(), err); err != nil {
			yield(api.VerifiedPin{}, err)
			return
		}
		for p, err := range n.Content.CheckPins(ctx) {
			if err != nil {
				yield(api.VerifiedPin{}, err)
				return
			}
			out := api.VerifiedPin{Cid: enc.Encode(p.CID), Ok: len(p.Bad) == 0}
			if out.Ok && !req.Verbose {
				continue
			}
			for _, b := range p.Bad {
				if req.Quiet {
					break
				}
				out.BadNodes = append(out.BadNodes, api.BadNode{Cid: enc.Encode(b.CID), Err: b.Err.Error()})
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// pinList implements the command.
func (n *verbs) pinList(ctx context.Context, req api.PinListRequest) iter.Seq2[api.PinListing, error] {
	return func(yield func(api.PinListing, error) bool) {
		kinds := []string{"direct", "indirect", "recursive", "all"}
		if !slices.Contains(kinds, req.Type) {
			yield(api.PinListing{}, fmt.Errorf("invalid type '%s', must be one of {direct, indirect, recursive, all}", req.Type))
			return
		}
		if err := content.CheckPinName(req.Name); err != nil {
			yield(api.PinListing{}, err)
			return
		}
		enc, err := req.Encoder()
		if err != nil {
			yield(api.PinListing{}, err)
			return
		}
		all := api.PinListing{Keys: map[string]api.PinType{}}
		for p, err := range n.pins(ctx, req, enc) {
			if err != nil {
				yield(api.PinListing{}, err)
				return
			}
			if !strings.Contains(p.Name, req.Name) {
				continue
			}
			if !req.Names && req.Name == "" {
				p.Name = ""
			}
			if !req.Stream {
				all.Keys[p.Cid] = api.PinType{Type: p.Type, Name: p.Name}
			} else if !yield(p, nil) {
				return
			}
		}
		if !req.Stream {
			yield(all, nil)
		}
	}
}

// pins yields all requested pins, or those of the given paths.
func (n *verbs) pins(ctx context.Context, req api.PinListRequest, enc cidenc.Encoder) iter.Seq2[api.PinListing, error] {
	return func(yield func(api.PinListing, error) bool) {
		kind := content.PinType(req.Type)
		if len(req.Paths) == 0 {
			for p, err := range n.Content.Pins(ctx, kind) {
				if !yield(pinLine(p, enc), err) || err != nil {
					return
				}
			}
			return
		}
		for _, text := range req.Paths {
			c, err := n.blockAt(ctx, text)
			var p content.Pin
			if err == nil {
				p, err = n.Content.PinOf(ctx, c, kind)
			}
			if errors.Is(err, content.ErrNotPinned) {
				err = fmt.Errorf("path '%s' is not pinned", text)
			}
			line := pinLine(p, enc)
			if p.Type == content.Indirect && p.Via.Defined() {
				line.Type = "indirect through " + enc.Encode(p.Via)
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

func pinLine(p content.Pin, enc cidenc.Encoder) api.PinListing {
	if !p.CID.Defined() {
		return api.PinListing{}
	}
	return api.PinListing{Cid: enc.Encode(p.CID), Type: string(p.Type), Name: p.Name}
}
