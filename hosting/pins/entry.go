package pins

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/recordstore"
)

// row is a request as it is stored. Status is never Pinning: what is going on ends with the process.
type row struct {
	CID     string            `json:"cid"`
	Name    string            `json:"name,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Status  string            `json:"status"`
	Created int64             `json:"created"` // milliseconds
	Size    uint64            `json:"size,omitempty"`
	Why     string            `json:"why,omitempty"`
	// Replaces is a request that this one takes the place of. Its row goes after this one was stored.
	Replaces string `json:"replaces,omitempty"`
	// Before is what that request kept: it stays until this one is pinned, or goes too.
	Before     string `json:"before,omitempty"`
	BeforeSize uint64 `json:"beforeSize,omitempty"`
	// Daemon is the peer id of the one that took the request; empty: it had the rows for itself.
	Daemon string `json:"daemon,omitempty"`
}

// entry is a row with where it is stored.
type entry struct {
	row
	tenant, id string
	version    uint64
	keeping    uint64 // of account.keeping
}

// counted is what an entry counts for in memory.
type counted struct {
	tenant string
	held   []cid.Cid
	bytes  uint64
	stored bool // its row is durable
}

func (e *entry) key() string { return e.tenant + "\x00" + e.id }

// held yields what content an entry needs.
func (e *entry) held() []cid.Cid {
	var all []cid.Cid
	add := func(text string) {
		if c, err := cid.Decode(text); err == nil {
			all = append(all, c)
		}
	}
	if e.Status != Failed {
		add(e.CID)
	}
	if e.Before != "" {
		add(e.Before)
	}
	return all
}

// bytes is what an entry counts for.
func (e *entry) bytes() uint64 {
	if e.Status == Pinned {
		return e.Size
	}
	return e.BeforeSize
}

func entryOf(r recordstore.Row) (*entry, error) {
	e := &entry{version: r.Version}
	var ok bool
	if e.tenant, e.id, ok = strings.Cut(r.Key, "\x00"); !ok {
		return nil, fmt.Errorf("row %q of the pins of tenants is damaged", r.Key)
	}
	if err := json.Unmarshal(r.Value, &e.row); err != nil {
		return nil, fmt.Errorf("row %q of the pins of tenants is damaged: %w", r.Key, err)
	}
	return e, nil
}

// count1 counts an entry, in place of what it was before. Call with mu held, or before Run.
func (p *Pins) count1(e *entry) {
	was, known := p.known[e.key()]
	now := counted{tenant: e.tenant, held: e.held(), bytes: e.bytes(), stored: e.version != 0}
	p.known[e.key()] = now
	p.add1(now, 1) // first, so that what both need is not loose in between
	if known {
		p.add1(was, -1)
	}
	a := p.of(e.tenant)
	a.last = max(a.last, e.Created)
}

// uncount forgets an entry that is gone. Call with mu held, or before Run.
func (p *Pins) uncount(key string) {
	if was, known := p.known[key]; known {
		delete(p.known, key)
		p.add1(was, -1)
	}
	delete(p.origins, key)
	if stop := p.running[key]; stop != nil {
		stop(errGone)
	}
}

func (p *Pins) add1(e counted, n int) {
	a := p.of(e.tenant)
	a.requests += n
	p.count += n
	a.bytes += uint64(n) * e.bytes // a subtraction wraps around as it should
	for _, c := range e.held {
		if p.refs[c] += n; p.refs[c] <= 0 {
			delete(p.refs, c)
			p.loose[c] = true
		}
	}
}
