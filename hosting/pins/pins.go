// Package pins keeps content for tenants: it fetches what they ask for, pins it, and lets it go when no
// tenant needs it any more.
//
// A request is a row, which is durable before its tenant is told. What a crash leaves queued is fetched
// after the next start. Pins in the content store have the name of the tenant that came first; one that is
// there already, because the operator or a name needs it, is left as it is. So two tenants can ask for the
// same tree, and each may go.
//
// Invariants: content of a request that is pinned is pinned in the content store, or among the Roots, which
// no collection of garbage takes; a tenant never has more bytes pinned than its limit; a request without
// content holds up neither other tenants nor a collection of garbage.
//
// Where several daemons share the rows, each has content of its own: a request belongs to the daemon that took
// it, and no other works on it. All of them list it, and any removes it; its daemon lets the content go at
// its next review.
package pins

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

// Limits.
const (
	MaxPerTenant = 10_000 // requests of one tenant
	MaxRequests  = 500_000
	MaxOrigins   = 20
	maxDelegates = 20
	MaxName      = 255 // bytes
	MaxMeta      = 64  // keys
	MaxMetaBytes = 8 << 10

	fetches          = 8                // at once
	fetchesPerTenant = 2                // of them
	stalled          = 10 * time.Minute // without a new block: the request has failed
	pinTime          = 10 * time.Minute // for pinning what was fetched
	glance           = 200 * time.Millisecond
	reviewPeriod     = time.Hour
	connectTime      = 15 * time.Second
)

// table has a row for each request, under its tenant and id.
const table = "hosting/pins"

// pinPrefix begins the names of pins that were made for tenants.
const pinPrefix = "hosted:"

// The states of a request.
const (
	Queued  = "queued"
	Pinning = "pinning"
	Pinned  = "pinned"
	Failed  = "failed"
)

// Errors on which callers branch.
var (
	ErrNotFound = errors.New("no such pin")
	// ErrNotAllowed: the tenant may keep no content here.
	ErrNotAllowed = errors.New("this tenant may keep no content here")
	// ErrQuota: the tenant keeps as much as it may.
	ErrQuota = errors.New("the quota of this tenant is used up")
)

// Content is where content is kept; a *content.Store is one.
type Content interface {
	Fetch(ctx context.Context, c cid.Cid) error
	Pin(ctx context.Context, c cid.Cid, t content.PinType, name string) error
	Unpin(ctx context.Context, c cid.Cid, t content.PinType) error
	PinOf(ctx context.Context, c cid.Cid, t content.PinType) (content.Pin, error)
	Pins(ctx context.Context, t content.PinType) iter.Seq2[content.Pin, error]
}

// Request is what a tenant asks for.
type Request struct {
	CID     cid.Cid
	Name    string
	Meta    map[string]string
	Origins []peer.AddrInfo // who has it; tried once
}

// check returns an error that says what is wrong with a request.
func (r Request) check() error {
	size := 0
	for k, v := range r.Meta {
		size += len(k) + len(v)
	}
	switch {
	case !r.CID.Defined():
		return errors.New("there is no CID")
	case len(r.Name) > MaxName:
		return fmt.Errorf("the name has %d bytes, the limit is %d", len(r.Name), MaxName)
	case len(r.Meta) > MaxMeta || size > MaxMetaBytes:
		return fmt.Errorf("meta has %d keys and %d bytes, the limits are %d and %d", len(r.Meta), size, MaxMeta, MaxMetaBytes)
	case len(r.Origins) > MaxOrigins:
		return fmt.Errorf("there are %d origins, the limit is %d", len(r.Origins), MaxOrigins)
	}
	return nil
}

// Pin is a request, and how it stands.
type Pin struct {
	ID      string
	Status  string
	Created time.Time // no two of a tenant have the same
	CID     cid.Cid
	Name    string
	Meta    map[string]string
	Size    uint64 // of all blocks, once it is pinned
	Why     string // it has failed
	Daemon  string // the peer id of the other daemon that has taken it; empty: this one
}

// Pins keeps the pins of tenants. Set its fields, then call Load, then Run; all other methods may be called
// after Load.
type Pins struct {
	Rows    recordstore.Rows
	Content Content
	// Limit returns how many bytes a tenant may keep; 0: none.
	Limit func(ctx context.Context, tenant string) (uint64, error)
	// Host connects with nodes that have content, and is where tenants bring it; nil: this node
	// is offline. Self is its peer id all the same.
	Host host.Host
	Self peer.ID
	// Shared says that other daemons have the rows, too.
	Shared bool
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged

	mu      sync.Mutex
	tenants map[string]*account
	known   map[string]counted // by key, what is in tenants and refs
	turns   []string           // tenants with something queued, in the order of their turns
	refs    map[cid.Cid]int    // how many requests need a tree
	loose   map[cid.Cid]bool
	origins map[string][]peer.AddrInfo // of what is queued, by key
	running map[string]context.CancelCauseFunc
	later   []job // to be queued again at the next review
	count   int
	busy    int // fetches

	wake      chan struct{}
	trees     map[cid.Cid]*tree
	reviewing atomic.Bool
}

// account is what is known of a tenant in memory.
type account struct {
	requests int
	bytes    uint64   // that count
	coming   uint64   // bytes that were fetched of what is not pinned yet
	keeping  uint64   // bytes of what is being pinned
	queue    []string // ids
	fetching int
	last     int64 // Created of its newest request
}

// errGone means that a request was removed while its content was fetched.
var errGone = errors.New("the pin was removed")

// Load reads what is stored.
func (p *Pins) Load(ctx context.Context) error {
	p.tenants, p.known = map[string]*account{}, map[string]counted{}
	p.refs, p.loose = map[cid.Cid]int{}, map[cid.Cid]bool{}
	p.trees = map[cid.Cid]*tree{}
	p.origins, p.running, p.wake = map[string][]peer.AddrInfo{}, map[string]context.CancelCauseFunc{}, make(chan struct{}, 1)
	var replaced []*entry
	for r, err := range p.Rows.Range(ctx, table, "", "") {
		if err != nil {
			return fmt.Errorf("read the pins of tenants: %w", err)
		}
		e, err := entryOf(r)
		if err != nil {
			return err
		}
		if !p.mine(e) {
			continue
		}
		p.count1(e)
		if e.Status == Queued {
			p.enqueue(e.tenant, e.id)
		}
		if e.Replaces != "" {
			replaced = append(replaced, e)
		}
	}
	for _, e := range replaced { // a crash came between the two rows
		if err := p.remove(ctx, e.tenant, e.Replaces, false); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// pin returns what a tenant is told of an entry.
func (p *Pins) pin(e *entry) Pin {
	c, _ := cid.Decode(e.CID)
	status := e.Status
	p.mu.Lock()
	if _, ok := p.running[e.key()]; ok && status == Queued {
		status = Pinning
	}
	p.mu.Unlock()
	pin := Pin{ID: e.id, Status: status, Created: time.UnixMilli(e.Created).UTC(), CID: c, Name: e.Name, Meta: e.Meta, Size: e.Size, Why: e.Why}
	if !p.mine(e) {
		pin.Daemon = e.Daemon
	}
	return pin
}

// of returns the account of a tenant. Call with mu held.
func (p *Pins) of(tenant string) *account {
	a := p.tenants[tenant]
	if a == nil {
		a = &account{}
		p.tenants[tenant] = a
	}
	return a
}

// enqueue queues a request. Call with mu held, or before Run.
func (p *Pins) enqueue(tenant, id string) {
	a := p.of(tenant)
	if len(a.queue) == 0 {
		p.turns = append(p.turns, tenant)
	}
	a.queue = append(a.queue, id)
}

func (p *Pins) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Pins) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// Delegates returns the addresses to which tenants can bring content of a request: multiaddrs that end with
// /p2p/ and the peer id, at least one.
func (p *Pins) Delegates(pin Pin) []string {
	if pin.Daemon != "" {
		return []string{"/p2p/" + pin.Daemon}
	}
	if p.Host == nil {
		return []string{"/p2p/" + p.Self.String()}
	}
	id := "/p2p/" + p.Host.ID().String() // another one while the keys are locked
	var addrs []string
	for _, a := range p.Host.Addrs() {
		if text := a.String() + id; len(addrs) < maxDelegates && !slices.Contains(addrs, text) {
			addrs = append(addrs, text)
		}
	}
	if len(addrs) == 0 {
		addrs = []string{id}
	}
	return addrs
}

// newID returns an id that sorts by when it was made.
func newID(created int64) string {
	var b [10]byte
	rand.Read(b[:])
	return fmt.Sprintf("%012x%s", created, hex.EncodeToString(b[:]))
}

// store writes an entry, and returns it with its version.
func (p *Pins) store(ctx context.Context, e *entry) (*entry, error) {
	b, err := json.Marshal(e.row)
	if err != nil {
		return nil, err
	}
	r, err := p.Rows.Swap(ctx, recordstore.Row{Table: table, Key: e.key(), Value: b, Version: e.version})
	if err != nil {
		return nil, fmt.Errorf("store a pin of tenant %s: %w", e.tenant, err)
	}
	stored := *e
	stored.version = r.Version
	return &stored, nil
}

func (p *Pins) read(ctx context.Context, tenant, id string) (*entry, error) {
	r, err := p.Rows.Get(ctx, table, tenant+"\x00"+id)
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read a pin of tenant %s: %w", tenant, err)
	}
	return entryOf(r)
}

// log receives what no caller sees.
func (p *Pins) log() *slog.Logger { return cmp.Or(p.Log, slog.New(slog.DiscardHandler)) }
