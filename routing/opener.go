package routing

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns"
)

// DefaultOpenerBytes is how many bytes of records an [Opener] caches by default: about
// 10,000 records of the usual size.
const DefaultOpenerBytes = 8 << 20

// openedOverhead is about what a cached record costs besides its bytes.
const openedOverhead = 512

// Opener is the door through which records enter from outside: it verifies them as
// [ipns.Open] does, but identical bytes for a name only once. The twenty answers of one
// search usually hold the same record. All Routers of a process share one Opener. The
// zero value is ready to use.
//
// Only valid records are cached, and the EOL is checked each time: a record that has
// expired since is refused.
type Opener struct {
	Bytes int              // limit of the cache, in bytes; 0: DefaultOpenerBytes
	Now   func() time.Time // nil: time.Now

	mu     sync.Mutex
	opened map[openedKey]*list.Element // of *opened
	recent list.List                   // most recently used first
	bytes  int
	checks uint64 // records verified
}

type openedKey struct {
	name ipns.Name
	hash [sha256.Size]byte
}

// opened is a record that was verified, or that one caller is verifying while others wait
// for done.
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

// enter returns the cached entry of the key, or a new one that the caller must verify and
// settle.
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

// settle drops an entry that was refused, and the least recently used ones above the
// limit.
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

// forget drops an entry; nil if it is gone already.
func (o *Opener) forget(at *list.Element) {
	if at == nil {
		return
	}
	e := o.recent.Remove(at).(*opened)
	delete(o.opened, e.key)
	o.bytes -= e.size
}
