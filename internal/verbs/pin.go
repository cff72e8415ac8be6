package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handlePins(m *rpc.Mux) {
	rpc.Handle(m, api.PinAdd, rpc.One(n.pinAdd))
	rpc.Handle(m, api.PinRm, rpc.One(n.pinRemove))
	rpc.Handle(m, api.PinLs, n.pinList)
}

// pinAdd implements the command.
func (n *verbs) pinAdd(ctx context.Context, req api.PinAddRequest) (api.Pins, error) {
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	var pins api.Pins
	if err := content.CheckPinName(req.Name); err != nil {
		return pins, err // before anything is fetched
	}
	for _, text := range req.Paths {
		c, err := n.root(ctx, text)
		if err != nil {
			return pins, err
		}
		if err := n.Content.Pin(ctx, c, kind, req.Name); err != nil {
			return pins, err
		}
		pins.Pins = append(pins.Pins, c.String())
	}
	return pins, nil
}

// pinRemove implements the command.
func (n *verbs) pinRemove(ctx context.Context, req api.PinRemoveRequest) (api.Pins, error) {
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	var pins api.Pins
	for _, text := range req.Paths {
		c, err := n.root(ctx, text)
		if err != nil {
			return pins, err
		}
		err = n.Content.Unpin(ctx, c, kind)
		if errors.Is(err, content.ErrNotPinned) {
			return pins, content.ErrNotPinned
		}
		if err != nil {
			return pins, err
		}
		pins.Pins = append(pins.Pins, c.String())
	}
	return pins, nil
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
		all := api.PinListing{Keys: map[string]api.PinType{}}
		for p, err := range n.pins(ctx, req) {
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
func (n *verbs) pins(ctx context.Context, req api.PinListRequest) iter.Seq2[api.PinListing, error] {
	return func(yield func(api.PinListing, error) bool) {
		kind := content.PinType(req.Type)
		if len(req.Paths) == 0 {
			for p, err := range n.Content.Pins(ctx, kind) {
				if !yield(pinLine(p), err) || err != nil {
					return
				}
			}
			return
		}
		for _, text := range req.Paths {
			c, err := n.root(ctx, text)
			var p content.Pin
			if err == nil {
				p, err = n.Content.PinOf(ctx, c, kind)
			}
			if errors.Is(err, content.ErrNotPinned) {
				err = fmt.Errorf("path '%s' is not pinned", text)
			}
			line := pinLine(p)
			if p.Type == content.Indirect && p.Via.Defined() {
				line.Type = "indirect through " + p.Via.String()
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

func pinLine(p content.Pin) api.PinListing {
	if !p.CID.Defined() {
		return api.PinListing{}
	}
	return api.PinListing{Cid: p.CID.String(), Type: string(p.Type), Name: p.Name}
}
