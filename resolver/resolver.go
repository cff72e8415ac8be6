// Package resolver finds the newest valid record of a name and follows it to
// what it means.
//
// A [Resolver] answers from what this node vouches for (names.Book), from what
// it found lately (a cache keyed by ipns.Name), and by a search of the network,
// of which there is at most one per name at any time. It answers as soon as the
// asked [Confidence] is reached; the search goes on in the background, and what
// it finds enters the Book and the cache.
//
// Invariants:
//   - What is shown was verified and is not expired when it is shown.
//   - Nothing older is shown than what was shown before, also after a restart:
//     the Book keeps the mark. If all that is newer has expired, the answer is
//     "expired" and not the older record.
//   - What the Book takes is shown from the moment its Take returns.
//   - "Does not exist", "too few answered to know" and "failed" are three
//     answers: [ErrNotFound], [*UnknownError], any other error.
package resolver

import (
	"context"
	"errors"
	"iter"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/routing"
)

// Limits of one Resolver.
const (
	MaxDepth      = 32       // lookups of one request, records and DNSLinks together
	MaxPathLength = 16 << 10 // bytes of a path with its rest joined to it: the longest value and as much again

	DefaultTimeout       = time.Minute
	DefaultSearchTimeout = time.Minute
	DefaultCacheSize     = 4096
	DefaultMaxSearches   = 1024
	DefaultMaxStale      = 5 * time.Minute

	notFoundPause = 30 * time.Second // how long "not found" and "expired" are remembered
	failedPause   = 5 * time.Second  // how long any other failure is remembered
	maxSources    = 256              // sources told apart when they are counted
	agreement     = 8                // sources after which a search ends if none said anything else
)

// Resolver resolves names. Set its fields before first use and do not copy it.
// It is safe for concurrent use.
type Resolver struct {
	// Book is what this node vouches for, and the memory of what was shown. It
	// must be set.
	Book *names.Book
	// Router searches the network. nil: this node is offline.
	Router routing.Router
	// LookupTXT returns the TXT records of a domain, the strings of each one
	// joined, and for how long they may be kept: 0 if that is unknown. That there
	// are none is a *net.DNSError with IsNotFound. nil: the DNS of the system.
	LookupTXT func(ctx context.Context, domain string) (txt []string, ttl time.Duration, err error)
	// Static says what names and domains mean, instead of their records; see
	// ParseStatic. It is not to be changed after first use.
	Static map[string]string

	// Opener verifies what the Book has, before it is shown. nil: one of its own.
	Opener *routing.Opener

	// CacheSize is how many names are kept, of some 400 bytes each and 10 KiB at
	// most, and as many domains. 0: DefaultCacheSize
	CacheSize int
	// MaxCacheTTL bounds for how long anything is kept and the TTL that answers
	// show. 0: no bound; negative: nothing is kept, and the TTL is shown as it is.
	MaxCacheTTL time.Duration
	// MaxStale is for how long after its TTL a record is still answered at once,
	// while the network is asked for a newer one; it is never more than the TTL
	// itself. 0: DefaultMaxStale; negative: such a record is answered only if
	// the search comes to nothing. It is never answered after its EOL.
	MaxStale time.Duration
	// SearchTimeout bounds one search of the network. 0: DefaultSearchTimeout
	SearchTimeout time.Duration
	// MaxSearches bounds how many go on at once. 0: DefaultMaxSearches
	MaxSearches int
	// Now tells the time. nil: time.Now
	Now func() time.Time

	once   sync.Once
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	leave  func() // stops the Book telling us
	wg     sync.WaitGroup

	mu      sync.Mutex // guards all below, and what searches hold
	closed  bool
	cache   lru[ipns.Name, result]
	running map[ipns.Name]*search
	links   lru[string, link] // of domains
	asking  map[string]*asking

	stats Stats

	static map[string]string // Static by canonical names
	opener *routing.Opener
}

// Confidence says when an answer is good enough. Positive ones want so many
// sources that hold the same newest record.
type Confidence int

const (
	// First wants the first valid answer: from the Book, from the cache within
	// the TTL, or from the first source that has a record. It is the default.
	First Confidence = 0
	// All wants the search to have ended.
	All Confidence = -1
)

// String returns "first", "all" or the number.
func (c Confidence) String() string {
	switch {
	case c == First:
		return "first"
	case c < 0:
		return "all"
	}
	return strconv.Itoa(int(c))
}

// Options are for one request. The zero value resolves recursively to the first
// valid answer.
type Options struct {
	// OneHop stops after one lookup, whatever it leads to.
	OneHop bool
	// NoCache asks the network even if the cache has an answer. A search for the
	// name that is going on already is joined.
	NoCache bool
	// Offline asks neither the network nor DNS.
	Offline bool
	// Confidence says when an answer is good enough.
	Confidence Confidence
	// Timeout bounds the whole request. If it ends before the confidence is
	// reached, the best answer so far is given, if there is one. 0:
	// DefaultTimeout; negative: none.
	Timeout time.Duration
}

// Resolution is what a path means.
type Resolution struct {
	Path string // the path it leads to; /ipns/… only with Options.OneHop
	// TTL is for how long the answer may be kept: the smallest that is known of
	// all hops. 0: not at all.
	TTL time.Duration
	// LastModified is when this node first saw the newest of the values that led
	// here.
	LastModified time.Time
	// Final says that the asked confidence was reached, or else that the searches
	// have ended. It is not set if the time for the request was over before.
	Final bool
	// Hops are the lookups that led here, in their order: at least one.
	Hops []Hop
}

// Hop is one lookup: of a name, of a domain or in Resolver.Static.
type Hop struct {
	Root  string // the name or domain, in its canonical form
	Value string // the path that it means
	// TTL is for how long this may be kept, never beyond EOL. 0: not at all, or
	// unknown.
	TTL time.Duration

	// Source is who said so: a peer id or a URL, "book" for what this node
	// vouches for, "dnslink" (which nobody has signed) or "static".
	Source string
	// Network is where the source is, as in routing.Answer.
	Network string `json:",omitempty"`
	// Cached says that nobody was asked for this answer.
	Cached bool `json:",omitempty"`

	// The rest is of names only.

	Record   *ipns.Record `json:"-"`
	Sequence uint64
	EOL      time.Time
	// Agree is how many sources of the last search held this record, of Answered
	// that answered by then: the others had an older one or none.
	Agree, Answered int
	// Complete says that as many answered that search as it takes to know that
	// this is the newest.
	Complete bool
	// Stale says that the TTL is over and nobody has confirmed the record since,
	// or that nobody could when asked.
	Stale bool `json:",omitempty"`

	ttlKnown bool
	modified time.Time
	final    bool // the confidence was reached, or the search has ended
	last     bool // no other one follows
}

// LastModified is when this node first saw what the hop leads to.
func (h Hop) LastModified() time.Time { return h.modified }

// Resolve follows a path to what it means: /ipns/<name>[/rest], a name or domain
// with or without /ipns/ before it, or an ipns: URI. The rest of the path is
// kept at every hop.
//
// Errors wrap ErrNotFound, *UnknownError, ErrExpired, ErrRecursion, ErrPath or
// ErrBusy, those of ctx, or say what failed.
func (r *Resolver) Resolve(ctx context.Context, path string, opt Options) (Resolution, error) {
	var last Resolution
	for res, err := range r.walk(ctx, path, opt, false) {
		if err != nil {
			return Resolution{}, err
		}
		last = res
	}
	return last, nil
}

// Stream is Resolve that yields each better answer as it is found: at once what
// is known already, last the one that Resolve would have returned, with Final
// set unless time ran out. An error is yielded last, also after answers.
func (r *Resolver) Stream(ctx context.Context, path string, opt Options) iter.Seq2[Resolution, error] {
	return r.walk(ctx, path, opt, true)
}

// Lookup finds the newest record of one name. Hop.Record is set. OneHop is
// implied, and Static is not looked at.
func (r *Resolver) Lookup(ctx context.Context, name ipns.Name, opt Options) (Hop, error) {
	ctx, cancel := opt.limit(ctx)
	defer cancel()
	var last Hop
	for hop, err := range r.lookup(ctx, name, opt, false) {
		if err != nil {
			return Hop{}, err
		}
		last = hop
	}
	return last, nil
}

// Close ends the searches that go on and waits for them. Answers are given from
// the Book and the cache only afterwards.
func (r *Resolver) Close() error {
	r.start()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.leave()
	r.cancel()
	r.wg.Wait()
	return nil
}

func (r *Resolver) start() {
	r.once.Do(func() {
		r.ctx, r.cancel = context.WithCancel(context.Background())
		r.cache.size, r.links.size = DefaultCacheSize, DefaultCacheSize
		if r.CacheSize > 0 {
			r.cache.size, r.links.size = r.CacheSize, r.CacheSize
		}
		r.running = map[ipns.Name]*search{}
		r.asking = map[string]*asking{}
		if r.opener = r.Opener; r.opener == nil {
			r.opener = &routing.Opener{Now: r.now}
		}
		r.static = make(map[string]string, len(r.Static))
		for root, value := range r.Static {
			if key, err := rootKey(root); err == nil {
				r.static[key] = value
			}
		}
		r.leave = r.Book.Subscribe(r.bookChanged)
	})
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// errTimeout is why a request ended that took longer than its own Timeout.
var errTimeout = errors.New("time for the request is over")

// limit returns the context for a request.
func (o Options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case o.Timeout < 0:
		return context.WithCancel(ctx)
	case o.Timeout == 0:
		o.Timeout = DefaultTimeout
	}
	return context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
}

// systemTXT asks the DNS of the system, which does not tell TTLs.
func systemTXT(ctx context.Context, domain string) ([]string, time.Duration, error) {
	txt, err := net.DefaultResolver.LookupTXT(ctx, domain)
	return txt, 0, err
}
