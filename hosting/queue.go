package hosting

import (
	"context"
	"sync"
	"time"
)

const (
	maxPuts    = 128  // puts that are verified, logged and stored at once; most wait for the disk
	maxWaiting = 256  // puts of one tenant that wait
	maxQueued  = 8192 // puts of all tenants that wait
	retryPut   = 2 * time.Second
)

// queue gives turns to tenants: one after another each has one, however many it waits for.
// The zero value is ready to use.
type queue struct {
	mu      sync.Mutex
	running int
	waiting map[string][]chan struct{} // of each tenant, the longest waiting first
	order   []string                   // tenants with a put that waits; the first is next
	queued  int
}

// enter waits for a turn until ctx ends. The caller calls leave when it is over.
func (q *queue) enter(ctx context.Context, tenant string) (leave func(), err error) {
	q.mu.Lock()
	if q.running < maxPuts {
		q.running++
		q.mu.Unlock()
		return q.leave, nil
	}
	if len(q.waiting[tenant]) >= maxWaiting || q.queued >= maxQueued {
		q.mu.Unlock()
		return nil, refuseFor(retryPut, Busy, "too many puts at once")
	}
	if q.waiting == nil {
		q.waiting = map[string][]chan struct{}{}
	}
	if len(q.waiting[tenant]) == 0 {
		q.order = append(q.order, tenant)
	}
	turn := make(chan struct{})
	q.waiting[tenant] = append(q.waiting[tenant], turn)
	q.queued++
	q.mu.Unlock()
	select {
	case <-turn:
		return q.leave, nil
	case <-ctx.Done():
	}
	if !q.withdraw(tenant, turn) {
		q.leave() // the turn came meanwhile
	}
	return nil, ctx.Err()
}

// leave passes the turn on to the next tenant.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		q.running--
		return
	}
	tenant := q.order[0]
	q.order = q.order[1:]
	turn := q.waiting[tenant][0]
	q.queued--
	if q.waiting[tenant] = q.waiting[tenant][1:]; len(q.waiting[tenant]) > 0 {
		q.order = append(q.order, tenant)
	} else {
		delete(q.waiting, tenant)
	}
	close(turn)
}

// withdraw takes a put back that waits, and reports whether it still waited.
func (q *queue) withdraw(tenant string, turn chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, t := range q.waiting[tenant] {
		if t != turn {
			continue
		}
		q.queued--
		if q.waiting[tenant] = append(q.waiting[tenant][:i:i], q.waiting[tenant][i+1:]...); len(q.waiting[tenant]) > 0 {
			return true
		}
		delete(q.waiting, tenant)
		for i, t := range q.order {
			if t == tenant {
				q.order = append(q.order[:i:i], q.order[i+1:]...)
				break
			}
		}
		return true
	}
	return false
}
