package pubsub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/durable"
)

// maxFile bounds what is read of a file: MaxSubscriptions records of full size.
const maxFile = MaxSubscriptions * (ipns.MaxRecordSize*4/3 + 256)

// saved is what a Router knows after a restart.
type saved struct {
	Sequence uint64 // none of this node's messages has a higher one
	Names    []savedName
}

// savedName is a hot name.
type savedName struct {
	Name   ipns.Name
	Used   time.Time
	Put    bool   `json:",omitempty"`
	Record []byte `json:",omitempty"`
}

// read returns what the last run saved. A file that cannot be read is as none.
func (r *Router) read() (s saved, err error) {
	if r.c.File == "" {
		return s, nil
	}
	f, err := os.Open(r.c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return s, err
	}
	return parseSaved(b)
}

func parseSaved(b []byte) (s saved, err error) {
	if err := json.Unmarshal(b, &s); err != nil {
		return saved{}, fmt.Errorf("read the hot names: %w", err)
	}
	// Those used last, if there are too many.
	slices.SortStableFunc(s.Names, func(a, b savedName) int { return b.Used.Compare(a.Used) })
	s.Names = s.Names[:min(len(s.Names), MaxSubscriptions)]
	return s, nil
}

// restore makes the saved names hot again, but those whose time is over.
func (r *Router) restore(s saved) {
	r.turn.Lock()
	defer r.turn.Unlock()
	now := r.c.Now()
	for _, n := range s.Names {
		// A clock that was set back must not keep a name hot.
		used := n.Used
		if used.After(now) {
			used = now
		}
		if n.Name.IsZero() || now.Sub(used) >= HotFor || r.topic(n.Name) != nil {
			continue
		}
		t, err := r.subscribe(n.Name, used)
		if err != nil {
			r.c.Log.Warn("topic is not subscribed to again", "name", n.Name.String(), "err", err)
			continue
		}
		r.mu.Lock()
		t.put = n.Put
		r.mu.Unlock()
		if len(n.Record) == 0 {
			continue
		}
		rec, err := r.c.Opener.Open(n.Name, n.Record)
		if err != nil {
			continue // it has ended, most likely
		}
		// The store may know of a newer one.
		r.enter(r.ctx, t, rec)
	}
}

// save writes what a restart is to know, if it has changed. After a failure it is tried
// again at the next call.
func (r *Router) save() {
	if r.c.File == "" {
		return
	}
	s, changed := r.saved()
	if !changed {
		return
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = durable.Replace(r.c.File, b, 0o600)
	}
	if err != nil {
		r.c.Log.Warn("names that are listened to are not saved", "err", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.dirty = true
	}
}

// saved returns what is to be saved, and whether it has changed.
func (r *Router) saved() (s saved, changed bool) {
	s.Sequence = r.sender.reservedUntil()
	r.mu.Lock()
	defer r.mu.Unlock()
	changed, r.dirty = r.dirty, false
	for name, t := range r.topics {
		n := savedName{Name: name, Used: t.used.UTC(), Put: t.put}
		if t.rec != nil {
			n.Record = t.rec.Raw()
		}
		s.Names = append(s.Names, n)
	}
	slices.SortFunc(s.Names, func(a, b savedName) int {
		return cmp.Or(a.Used.Compare(b.Used), slices.Compare(a.Name.Binary(), b.Name.Binary()))
	})
	return s, changed
}
