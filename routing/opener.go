package routing

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns"
)

// DefaultOpenerBytes is how many bytes of records an [Opener] remembers if not
// told otherwise: some 10,000 of the usual ones.
const DefaultOpenerBytes = 8 << 20

// openedOverhead is what one remembered record costs beside its bytes, about.
const openedOverhead = 512

// Opener is the door through which records enter from outside: it verifies
// them as [ipns.Open] does, and identical bytes for a name only once. The
// twenty answers of one search usually hold one record. One Opener is shared by
// all Routers of a process. The zero value is ready to use.
//
// Only what was found valid is remembered, and its EOL is looked at each time:
// a record that has expired since is refused.
type Opener struct {
	Bytes int              // how many bytes of records are remembered; 0: DefaultOpenerBytes
	Now   func() time.Time // nil: time.Now

	mu     sync.Mutex
	opened map[openedKey]*list.Element // of *opened
	recent list.List                   // most recently used first
	bytes  int
	checks uint64 // how many were verified
}

type openedKey struct {
	name ipns.Name
	hash [sha256.Size]byte
}

// opened is a record that was verified, or that one caller verifies while
// others wait for done.
type opened struct {
	key  openedKey
	size int
	done chan struct{}
	rec  *ipns.Record
	err  error
}

// Open verifies that raw is a record of the name that is valid now. Its errors
// are those of [ipns.Open]. It keeps no reference to raw.
func (o *Opener) Open(name ipns.Name, raw []byte) (*ipns.Record, error) {
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	if len(raw) > ipns.MaxRecordSize {
		return ipns.Open(name, raw, now()) // refused; not worth a hash
	}
	key := openedKey{name, sha256.Sum256(raw)}
	e, first := o.enter(key, len(raw))
	if first {
		e.rec, e.err = ipns.Open(name, raw, now())
		close(e.done)
		o.settle(e)
		return e.rec, e.err
	}
	<-e.done
	if e.err == nil && e.rec.Expired(now()) {
		return nil, fmt.Errorf("%w since %s", ipns.ErrExpired, e.rec.EOL().UTC().Format(time.RFC3339))
	}
	return e.rec, e.err
}

// enter returns what is remembered of the key, or a new entry that the caller
// must verify and settle.
func (o *Opener) enter(key openedKey, size int) (e *opened, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.opened[key]; ok {
		o.recent.MoveToFront(at)
		return at.Value.(*opened), false
	}
	if o.opened == nil {
		o.opened = map[openedKey]*list.Element{}
	}
	e = &opened{key: key, size: size + openedOverhead, done: make(chan struct{})}
	o.opened[key] = o.recent.PushFront(e)
	o.bytes += e.size
	o.checks++
	return e, true
}

// settle forgets an entry that was refused, and the least recently used ones
// beyond the bound.
func (o *Opener) settle(e *opened) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.err != nil {
		o.forget(o.opened[e.key])
	}
	limit := o.Bytes
	if limit == 0 {
		limit = DefaultOpenerBytes
	}
	for o.bytes > limit && o.recent.Len() > 0 {
		o.forget(o.recent.Back())
	}
}

// forget removes an entry; nil if it is gone already.
func (o *Opener) forget(at *list.Element) {
	if at == nil {
		return
	}
	e := o.recent.Remove(at).(*opened)
	delete(o.opened, e.key)
	o.bytes -= e.size
}
