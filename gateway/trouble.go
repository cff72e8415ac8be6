package gateway

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the names and domains that are remembered as not resolving. Those asked for longest ago go.
const (
	maxTroubles = 4096
	maxRoot     = 256 // bytes of one; a domain has 253 at most
)

// troubles are the names and domains that do not resolve, and since when.
type troubles struct {
	any atomic.Bool // there are some

	mu     sync.Mutex               // guards below
	since  map[string]*list.Element // of *trouble
	recent list.List                // the same, last asked for first
}

type trouble struct {
	root  string
	since time.Time
}

// failed says that a root does not resolve now, and returns since when.
func (t *troubles) failed(root string, now time.Time) time.Time {
	if len(root) > maxRoot {
		return now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.since[root]; e != nil {
		t.recent.MoveToFront(e)
		return e.Value.(*trouble).since
	}
	if t.since == nil {
		t.since = map[string]*list.Element{}
	}
	t.since[root] = t.recent.PushFront(&trouble{root, now})
	if t.recent.Len() > maxTroubles {
		delete(t.since, t.recent.Remove(t.recent.Back()).(*trouble).root)
	}
	t.any.Store(true)
	return now
}

// over says that a root resolves.
func (t *troubles) over(root string) {
	if !t.any.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.since[root]; e != nil {
		t.recent.Remove(e)
		delete(t.since, root)
		t.any.Store(len(t.since) > 0)
	}
}
