package pins

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
)

// tree is what holds whoever pins or unpins a tree in the content store. One that is huge holds up no other.
type tree struct {
	sync.Mutex
	users int // who have it or wait for it
}

// hold waits until nobody else pins or unpins a tree.
func (p *Pins) hold(c cid.Cid) (release func()) {
	p.mu.Lock()
	t := p.trees[c]
	if t == nil {
		t = &tree{}
		p.trees[c] = t
	}
	t.users++
	p.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(p.trees, c)
		}
	}
}

// pinFor pins a tree for a tenant, unless it is pinned. Call with the tree held.
func (p *Pins) pinFor(ctx context.Context, c cid.Cid, tenant string) error {
	_, err := p.Content.PinOf(ctx, c, content.Recursive)
	if errors.Is(err, content.ErrNotPinned) {
		err = p.Content.Pin(ctx, c, content.Recursive, pinPrefix+tenant)
	}
	return err
}

// unpin removes the pin of a tree if it was made here and nobody needs it.
func (p *Pins) unpin(ctx context.Context, c cid.Cid) error {
	defer p.hold(c)()
	p.mu.Lock()
	needed := p.refs[c] > 0
	p.mu.Unlock()
	if needed {
		return nil
	}
	pin, err := p.Content.PinOf(ctx, c, content.Recursive)
	switch {
	case errors.Is(err, content.ErrNotPinned):
		return nil
	case err != nil:
		return err
	case !strings.HasPrefix(pin.Name, pinPrefix):
		return nil // somebody else's
	}
	return p.Content.Unpin(ctx, c, content.Recursive)
}
