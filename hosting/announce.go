package hosting

import (
	"context"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	announcers       = 16     // records of tenants on their way at once
	maxAnnouncing    = 1024   // names of one tenant that wait
	maxAnnouncingAll = 16_384 // names of all tenants that wait
	announceLimit    = 2 * time.Minute
)

// announcer puts what tenants have put on the networks, beside what the node publishes
// itself: it has places of its own, and tenants take turns. What does not fit is left to the
// republisher, which puts every record that nobody has announced. The zero value is ready to use.
type announcer struct {
	mu      sync.Mutex
	waiting map[string][]ipns.Name // of each tenant
	order   []string               // tenants with a name that waits; the first is next
	total   int
	some    *sync.Cond
	stopped bool
}

// add has a name announced, if there is room.
func (a *announcer) add(tenant string, name ipns.Name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || a.total >= maxAnnouncingAll || len(a.waiting[tenant]) >= maxAnnouncing {
		return
	}
	if a.waiting == nil {
		a.waiting = map[string][]ipns.Name{}
	}
	if len(a.waiting[tenant]) == 0 {
		a.order = append(a.order, tenant)
	}
	a.waiting[tenant] = append(a.waiting[tenant], name)
	a.total++
	if a.some != nil {
		a.some.Signal()
	}
}

// next waits for a name, until stop.
func (a *announcer) next() (ipns.Name, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.order) == 0 && !a.stopped {
		a.some.Wait()
	}
	if a.stopped {
		return ipns.Name{}, false
	}
	tenant := a.order[0]
	a.order = a.order[1:]
	name := a.waiting[tenant][0]
	if a.waiting[tenant] = a.waiting[tenant][1:]; len(a.waiting[tenant]) > 0 {
		a.order = append(a.order, tenant)
	} else {
		delete(a.waiting, tenant)
	}
	a.total--
	return name, true
}

// run announces until ctx ends.
func (a *announcer) run(ctx context.Context, h *Host) {
	a.mu.Lock()
	a.some = sync.NewCond(&a.mu)
	a.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.stopped = true
		a.some.Broadcast()
	})
	defer stop()
	if h.Router == nil {
		<-ctx.Done()
		return
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	for range announcers {
		workers.Go(func() {
			for {
				name, ok := a.next()
				if !ok {
					return
				}
				h.announceName(ctx, name)
			}
		})
	}
}

// announceName puts the newest record of a name, and notes what came of it.
func (h *Host) announceName(ctx context.Context, name ipns.Name) {
	e, err := h.Book.Get(ctx, name)
	if err != nil || e.Record == nil || e.Record.Expired(h.now()) {
		return // it was removed meanwhile
	}
	u, err := h.Book.Upkeep(ctx, name)
	if err == nil && u.Announced == e.Record.Hash() {
		return // it was announced with an earlier put
	}
	var receipt routing.Receipt
	putting, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	for ack, err := range h.Router.Put(putting, e.Record, routing.Look{}) {
		if err != nil {
			receipt.End(err)
			break
		}
		receipt.Add(ack)
		if ack.Newer != nil {
			if _, err := h.Book.Take(ctx, ack.Newer, names.Entrance{Origin: recordstore.Seen}); err != nil {
				h.log().Error("taking a newer record", "name", name.String(), "err", err)
			}
		}
	}
	if ctx.Err() != nil {
		return // what follows is not known; the republisher puts it
	}
	held, of := receipt.Announced()
	if held == 0 || held < min(wantedHolders, of) {
		return // the republisher puts it, and notes why it fails if it does
	}
	u = recordstore.Upkeep{Name: name, LastPut: h.now(), Announced: e.Record.Hash(), Holders: held, Receipt: receipt.Figures()}
	if err := h.Book.Note(ctx, u); err != nil {
		h.log().Error("noting an announcement", "name", name.String(), "err", err)
	}
}

// wantedHolders is how many servers must have taken a record, where there are so many.
const wantedHolders = 15
