package pins

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

// shelf is content that others have, and what is pinned of it.
type shelf struct {
	mu    sync.Mutex
	there map[cid.Cid]bool // else Fetch waits for ever
	pins  map[cid.Cid]string
	huge  cid.Cid // pinning it takes for ever
	fetch int     // how many are fetched at once
	most  int
}

func newShelf(there ...cid.Cid) *shelf {
	s := &shelf{there: map[cid.Cid]bool{}, pins: map[cid.Cid]string{}}
	for _, c := range there {
		s.there[c] = true
	}
	return s
}

func (s *shelf) Fetch(ctx context.Context, c cid.Cid) error {
	s.mu.Lock()
	there := s.there[c]
	s.fetch++
	s.most = max(s.most, s.fetch)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.fetch--; s.mu.Unlock() }()
	if there {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *shelf) Pin(ctx context.Context, c cid.Cid, _ content.PinType, name string) error {
	if c == s.huge {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins[c] = name
	return nil
}

func (s *shelf) Unpin(_ context.Context, c cid.Cid, _ content.PinType) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pins, c)
	return nil
}

func (s *shelf) PinOf(_ context.Context, c cid.Cid, _ content.PinType) (content.Pin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.pins[c]
	if !ok {
		return content.Pin{}, content.ErrNotPinned
	}
	return content.Pin{CID: c, Type: content.Recursive, Name: name}, nil
}

func (s *shelf) Pins(context.Context, content.PinType) iter.Seq2[content.Pin, error] {
	return func(yield func(content.Pin, error) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c, name := range s.pins {
			if !yield(content.Pin{CID: c, Type: content.Recursive, Name: name}, nil) {
				return
			}
		}
	}
}

func (s *shelf) has(c cid.Cid) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pins[c]
}

func cidOf(text string) cid.Cid {
	h, err := mh.Sum([]byte(text), mh.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

const plenty = 1 << 30

func allow(n uint64) func(context.Context, string) (uint64, error) {
	return func(context.Context, string) (uint64, error) { return n, nil }
}

// start returns running pins, and what stops them.
func start(t *testing.T, p *Pins) (stop func()) {
	t.Helper()
	if p.Limit == nil {
		p.Limit = allow(plenty)
	}
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = p.Run(ctx)
	}()
	return func() { cancel(); <-over }
}

func mustAdd(t *testing.T, p *Pins, tenant string, r Request) Pin {
	t.Helper()
	pin, err := p.Add(t.Context(), tenant, r)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

func status(t *testing.T, p *Pins, tenant, id string) string {
	t.Helper()
	pin, err := p.Get(t.Context(), tenant, id)
	if errors.Is(err, ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return pin.Status
}

func TestARequestIsFetchedAndPinnedAndLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, far := cidOf("a"), cidOf("far")
		s := newShelf(a)
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		defer start(t, p)()
		pin := mustAdd(t, p, "ann", Request{CID: a, Name: "n", Meta: map[string]string{"k": "v"}})
		waiting := mustAdd(t, p, "ann", Request{CID: far})
		synctest.Wait()
		if got := status(t, p, "ann", pin.ID); got != Pinned || s.has(a) != "hosted:ann" {
			t.Errorf("%s, pin %q", got, s.has(a))
		}
		if got := status(t, p, "ann", waiting.ID); got != Pinning {
			t.Errorf("what nobody has is %s", got)
		}
		if got := status(t, p, "bob", pin.ID); got != "none" {
			t.Errorf("another tenant sees it as %s", got)
		}
		if err := p.Remove(t.Context(), "bob", pin.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("another tenant removes it: %v", err)
		}
		for _, id := range []string{pin.ID, waiting.ID} {
			if err := p.Remove(t.Context(), "ann", id); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n, bytes, _ := p.Used(t.Context(), "ann"); n != 0 || bytes != 0 || s.has(a) != "" || len(p.refs) != 0 {
			t.Errorf("left: %d requests, %d bytes, pin %q, refs %v", n, bytes, s.has(a), p.refs)
		}
	})
}

// What another needs stays: another tenant, another request of the same one, or the operator.
func TestContentGoesWithTheLastWhoNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, own := cidOf("a"), cidOf("own")
		s := newShelf(a, own)
		s.pins[own] = "mine"
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		defer start(t, p)()
		first, second := mustAdd(t, p, "ann", Request{CID: a}), mustAdd(t, p, "bob", Request{CID: a})
		third := mustAdd(t, p, "ann", Request{CID: own})
		synctest.Wait()
		remove := func(tenant, id string) {
			t.Helper()
			if err := p.Remove(t.Context(), tenant, id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		remove("ann", first.ID)
		if s.has(a) == "" {
			t.Error("bob's content went with ann's request")
		}
		remove("bob", second.ID)
		if s.has(a) != "" {
			t.Error("nobody needs it, and it is pinned")
		}
		remove("ann", third.ID)
		if s.has(own) != "mine" {
			t.Errorf("the operator's pin is now %q", s.has(own))
		}
	})
}

func TestReplaceKeepsTheOldContentUntilTheNewIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cidOf("a"), cidOf("b")
		s := newShelf(a)
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		stop := start(t, p)
		old := mustAdd(t, p, "ann", Request{CID: a})
		synctest.Wait()
		next, err := p.Replace(t.Context(), "ann", old.ID, Request{CID: b})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := status(t, p, "ann", old.ID); got != "none" || s.has(a) == "" {
			t.Errorf("the old request is %s, its content pinned by %q", got, s.has(a))
		}
		stop()
		s.there[b] = true
		p = &Pins{Rows: p.Rows, Content: s}
		stop = start(t, p)
		defer stop()
		synctest.Wait()
		if got := status(t, p, "ann", next.ID); got != Pinned || s.has(b) == "" || s.has(a) != "" {
			t.Errorf("the new one is %s (%q), the old content pinned by %q", got, s.has(b), s.has(a))
		}
		if _, err := p.Replace(t.Context(), "ann", old.ID, Request{CID: b}); !errors.Is(err, ErrNotFound) {
			t.Errorf("replaced twice: %v", err)
		}
	})
}

// A request whose content nobody has fails at last, and until then holds up only its own tenant.
func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		defer start(t, p)()
		var stuck []string
		for i := range 50 {
			stuck = append(stuck, mustAdd(t, p, "mallory", Request{CID: cidOf(fmt.Sprint(i))}).ID)
		}
		synctest.Wait()
		a := cidOf("a")
		s.mu.Lock()
		s.there[a] = true
		s.mu.Unlock()
		pin := mustAdd(t, p, "ann", Request{CID: a})
		synctest.Wait()
		s.mu.Lock()
		most := s.most
		s.mu.Unlock()
		if got := status(t, p, "ann", pin.ID); got != Pinned || most > fetchesPerTenant+1 {
			t.Errorf("%s with %d fetches at once", got, most)
		}
		time.Sleep(stalled + time.Second)
		synctest.Wait()
		got, err := p.Get(t.Context(), "mallory", stuck[0])
		if err != nil || got.Status != Failed || !strings.Contains(got.Why, "no block came") {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestRequestsAreRefused(t *testing.T) {
	p := &Pins{Rows: &recordstore.MemoryRows{}, Content: newShelf(), Limit: func(_ context.Context, tenant string) (uint64, error) {
		if tenant == "ann" {
			return plenty, nil
		}
		return 0, nil
	}}
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var bad *RequestError
	for _, r := range []Request{{}, {CID: cidOf("a"), Name: strings.Repeat("n", MaxName+1)}, {CID: cidOf("a"), Meta: map[string]string{"k": strings.Repeat("v", MaxMetaBytes)}}} {
		if _, err := p.Add(t.Context(), "ann", r); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := p.Add(t.Context(), "bob", Request{CID: cidOf("a")}); !errors.Is(err, ErrNotAllowed) {
		t.Error(err)
	}
	p.of("ann").bytes = plenty
	if _, err := p.Add(t.Context(), "ann", Request{CID: cidOf("a")}); !errors.Is(err, ErrQuota) {
		t.Error(err)
	}
	p.of("ann").bytes, p.of("ann").requests = 0, MaxPerTenant
	if _, err := p.Add(t.Context(), "ann", Request{CID: cidOf("a")}); !errors.Is(err, ErrQuota) {
		t.Error(err)
	}
	for _, id := range []string{"", "x", "../x", strings.Repeat("a", 31), strings.Repeat("a", 32), strings.Repeat("a", 3000)} {
		if _, err := p.Get(t.Context(), "ann", id); !errors.Is(err, ErrNotFound) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestListSelectsAndGoesThroughPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cidOf("a"), cidOf("b")
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: newShelf(a, b)}
		defer start(t, p)()
		for i := range 25 {
			mustAdd(t, p, "ann", Request{CID: a, Name: fmt.Sprintf("Site %d", i), Meta: map[string]string{"app": "x", "n": fmt.Sprint(i)}})
		}
		mustAdd(t, p, "ann", Request{CID: b, Name: "other"})
		mustAdd(t, p, "ann", Request{CID: cidOf("far")})
		mustAdd(t, p, "ann2", Request{CID: a, Name: "site 1"})
		synctest.Wait()
		for _, c := range []struct {
			q    Query
			want int
		}{
			{Query{}, 27},
			{Query{Statuses: []string{Pinned}}, 26},
			{Query{Statuses: []string{Pinning, Queued}}, 1},
			{Query{CIDs: []cid.Cid{b}}, 1},
			{Query{Name: "Site 1"}, 1},
			{Query{Name: "site 1"}, 0},
			{Query{Name: "site 1", Match: AnyCase}, 1},
			{Query{Name: "ite 1", Match: Part}, 11},
			{Query{Name: "SITE", Match: PartAnyCase}, 25},
			{Query{Meta: map[string]string{"app": "x"}}, 25},
			{Query{Meta: map[string]string{"app": "x", "n": "3"}}, 1},
		} {
			c.q.Limit = 1000
			if got, n, err := p.List(t.Context(), "ann", c.q); err != nil || n != c.want || len(got) != n {
				t.Errorf("%+v: %d of %d, %v", c.q, len(got), n, err)
			}
		}
		seen, q := map[string]bool{}, Query{Limit: 10, Statuses: []string{Pinned}}
		for pages := 1; ; pages++ {
			got, n, err := p.List(t.Context(), "ann", q)
			if err != nil || pages > 3 || n != 26-len(seen) {
				t.Fatalf("page %d: %d, %v", pages, n, err)
			}
			for i, pin := range got {
				if seen[pin.ID] || i > 0 && !pin.Created.Before(got[i-1].Created) {
					t.Errorf("%s is out of order", pin.Name)
				}
				seen[pin.ID] = true
				q.Before = pin.Created
			}
			if n == len(got) {
				break
			}
		}
		if len(seen) != 26 {
			t.Errorf("%d seen", len(seen))
		}
	})
}

// A pin that the operator removes by hand comes back while a tenant needs it.
func TestWhatTheOperatorUnpinsComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := cidOf("a")
		s := newShelf(a)
		s.pins[cidOf("lost")] = "hosted:gone" // of a request that a crash took
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		defer start(t, p)()
		mustAdd(t, p, "ann", Request{CID: a})
		synctest.Wait()
		_ = s.Unpin(t.Context(), a, content.Recursive)
		roots := 0
		for range p.Roots(t.Context()) {
			roots++
		}
		time.Sleep(reviewPeriod + time.Second)
		synctest.Wait()
		if roots != 1 || s.has(a) == "" || s.has(cidOf("lost")) != "" {
			t.Errorf("%d roots, %q, %q", roots, s.has(a), s.has(cidOf("lost")))
		}
	})
}

// A tree that takes long to pin holds up neither other trees nor what is to be let go.
func TestAHugeTreeHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, huge := cidOf("a"), cidOf("b"), cidOf("huge")
		s := newShelf(a, b, huge)
		s.huge = huge
		p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s}
		defer start(t, p)()
		big := mustAdd(t, p, "ann", Request{CID: huge})
		synctest.Wait()
		one, two := mustAdd(t, p, "bob", Request{CID: a}), mustAdd(t, p, "ann", Request{CID: b})
		synctest.Wait()
		for tenant, id := range map[string]string{"bob": one.ID, "ann": two.ID} {
			if got := status(t, p, tenant, id); got != Pinned {
				t.Errorf("of %s: %s", tenant, got)
			}
		}
		if err := p.Remove(t.Context(), "bob", one.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.has(a) != "" || status(t, p, "ann", big.ID) != Pinning {
			t.Errorf("%q, %s", s.has(a), status(t, p, "ann", big.ID))
		}
		time.Sleep(pinTime + time.Second)
		if got := status(t, p, "ann", big.ID); got != Failed || len(p.trees) != 0 || p.tenants["ann"].keeping != 0 {
			t.Errorf("%s, %d trees are held, %d bytes", got, len(p.trees), p.tenants["ann"].keeping)
		}
	})
}

// dying are rows that stop answering at the nth swap: it is done or not, and its caller does not hear of it.
type dying struct {
	recordstore.Rows
	mu    sync.Mutex
	left  int
	apply bool
}

var errDied = errors.New("the process has died")

func (d *dying) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left > 0 {
		return d.Rows.Swap(ctx, r)
	}
	if d.left == 0 && d.apply {
		_, _ = d.Rows.Swap(ctx, r)
	}
	return recordstore.Row{}, errDied
}

// Whatever write is the last of a process: what was acknowledged is kept by the next one, and nothing is
// pinned that no request needs.
func TestNothingIsLostByACrash(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, done %v", n, apply), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b, c := cidOf("a"), cidOf("b"), cidOf("c")
					s, rows := newShelf(a, b, c), &recordstore.MemoryRows{}
					p := &Pins{Rows: &dying{Rows: rows, left: n, apply: apply}, Content: s}
					stop := start(t, p)
					told := map[string]cid.Cid{} // by id, what this process has acknowledged
					one, err := p.Add(t.Context(), "ann", Request{CID: a})
					if err == nil {
						told[one.ID] = a
					}
					if two, err := p.Add(t.Context(), "ann", Request{CID: b}); err == nil {
						told[two.ID] = b
					}
					synctest.Wait()
					if three, err := p.Replace(t.Context(), "ann", one.ID, Request{CID: c}); err == nil {
						delete(told, one.ID)
						told[three.ID] = c
					}
					synctest.Wait()
					stop()
					p = &Pins{Rows: rows, Content: s}
					defer start(t, p)()
					synctest.Wait()
					for id, c := range told {
						if got, err := p.Get(t.Context(), "ann", id); !errors.Is(err, ErrNotFound) && (err != nil || got.Status != Pinned || s.has(c) == "") {
							t.Errorf("%s: %+v, %v", id, got, err)
						} else if err != nil && id != one.ID { // a replace in doubt may have taken the first
							t.Errorf("%s: %v", id, err)
						}
					}
					all, _, err := p.List(t.Context(), "ann", Query{Limit: 100})
					needed := map[cid.Cid]bool{}
					for _, pin := range all {
						needed[pin.CID] = true
					}
					for c := range s.pins {
						if !needed[c] {
							t.Errorf("%s is pinned for nobody", c)
						}
					}
					if requests, _, _ := p.Used(t.Context(), "ann"); err != nil || requests != len(all) {
						t.Errorf("%d requests are counted, %d listed, %v", requests, len(all), err)
					}
				})
			})
		}
	}
}
