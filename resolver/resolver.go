// Package resolver finds the newest valid record of a name and resolves paths through it.
//
// A [Resolver] answers from the Book (names.Book), from a cache of recent results keyed
// by ipns.Name, and by searching the network, with at most one search per name at a
// time. It answers as soon as the requested [Confidence] is reached; the search continues
// in the background, and its results enter the Book and the cache.
//
// Invariants:
//   - A record is verified and not expired when it is shown.
//   - No record is shown that is older than one shown before, even after a restart: the
//     Book keeps the mark. If all newer records have expired, the answer is "expired",
//     not the older record.
//   - A record that the Book takes is shown as soon as Take returns.
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
	MaxPathLength = 16 << 10 // bytes of a resolved path with its rest: twice the longest value

	DefaultTimeout       = time.Minute
	DefaultSearchTimeout = time.Minute
	DefaultCacheSize     = 4096
	DefaultMaxSearches   = 1024
	DefaultMaxStale      = 5 * time.Minute

	notFoundPause = 30 * time.Second // how long "not found" and "expired" are remembered
	failedPause   = 5 * time.Second  // how long any other failure is remembered
	maxSources    = 256              // sources counted per search
	agreement     = 8                // agreeing sources, without any other answer, that end a search
)

// Resolver resolves names. Set its fields before first use and do not copy it.
// It is safe for concurrent use.
type Resolver struct {
	// Book has the records that this node vouches for and the marks of those shown. It
	// must be set.
	Book *names.Book
	// Router searches the network. nil: this node is offline.
	Router routing.Router
	// LookupTXT returns the TXT records of a domain, the strings of each joined, and
	// their TTL; 0 if unknown. If there are none, the error is a *net.DNSError with
	// IsNotFound. nil: the system resolver.
	LookupTXT func(ctx context.Context, domain string) (txt []string, ttl time.Duration, err error)
	// Static maps names and domains to paths and overrides their records; see
	// ParseStatic. It must not change after first use.
	Static map[string]string

	// Deny returns an error for a path /ipns/… that must not be resolved, also in the middle of a longer way. nil: all
	// are resolved.
	Deny func(path string) error

	// Opener verifies records from the Book before they are shown. nil: a new one.
	Opener *routing.Opener

	// CacheSize is how many names are cached, and how many domains. A name takes about
	// 400 bytes, 10 KiB at most. 0: DefaultCacheSize
	CacheSize int
	// MaxCacheTTL bounds how long anything is cached, and the TTL in answers. 0: no
	// bound; negative: nothing is cached, and the TTL is shown unchanged.
	MaxCacheTTL time.Duration
	// MaxStale is how long after its TTL a record is still returned at once while a
	// search for a newer one runs; never longer than the TTL itself. 0: DefaultMaxStale;
	// negative: a stale record is returned only if the search finds nothing. A record is
	// never returned after its EOL.
	MaxStale time.Duration
	// SearchTimeout bounds one search of the network. 0: DefaultSearchTimeout
	SearchTimeout time.Duration
	// MaxSearches bounds the number of concurrent searches. 0: DefaultMaxSearches
	MaxSearches int
	// Now is the clock. nil: time.Now
	Now func() time.Time

	once   sync.Once
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	leave  func() // ends the subscription to the Book
	wg     sync.WaitGroup

	mu          sync.Mutex // guards all below, and what searches hold
	closed      bool
	cache       lru[ipns.Name, result]
	running     map[ipns.Name]*search
	links       lru[string, link] // of domains
	linkLookups map[string]*linkLookup

	stats Stats

	static map[string]string // Static by canonical names
	opener *routing.Opener

	measure uint8 // the road that counts, an index of routing.Roads
}

// Confidence says when an answer is good enough. A positive value is the number of
// sources that must hold the same newest record: of DHT servers, if the Router reaches a
// DHT, else of HTTP routers. Others are asked too, and never counted as one of these.
type Confidence int

const (
	// First accepts the first valid answer: from the Book, from the cache within the
	// TTL, or from the first source that has a record. It is the default.
	First Confidence = 0
	// All waits until the search has ended.
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
	// OneHop stops after one lookup.
	OneHop bool
	// NoCache asks the network even if the cache has an answer. It joins a search for
	// the name that is already running.
	NoCache bool
	// Again asks the network even if a search for the name has just failed: for a user, who
	// may know better. Without it there is a pause, which strangers cannot shorten.
	Again bool
	// Offline asks neither the network nor DNS.
	Offline bool
	// Confidence says when an answer is good enough.
	Confidence Confidence
	// MinSequence is the least sequence that the first name may have: a client that has
	// published, or has read, by another daemon asks for that. Such a record is waited for
	// until Timeout; then the error is a *BehindError. 0: any.
	MinSequence uint64
	// Timeout bounds the whole request. If the confidence is not reached in time, the
	// best answer so far is returned, if there is one. 0: DefaultTimeout; negative: none.
	Timeout time.Duration
}

// Resolution is the result of resolving a path.
type Resolution struct {
	Path string // the resolved path; /ipns/… only with Options.OneHop
	// TTL is how long the answer may be cached: the smallest known TTL of all hops.
	// 0: not at all.
	TTL time.Duration
	// LastModified is when this node first saw the newest value among the hops.
	LastModified time.Time
	// Final says that the requested confidence was reached or the searches have ended.
	// It is not set if the request timed out before.
	Final bool
	// Silent is how long the store that several daemons share has not answered: what others
	// have published since is not known here. 0: it answers.
	Silent time.Duration
	// Hops are the lookups that led here, in their order: at least one.
	Hops []Hop
}

// Hop is one lookup: of a name, of a domain or in Resolver.Static.
type Hop struct {
	Root  string // the name or domain, in its canonical form
	Value string // the path that it stands for
	// TTL is how long this may be cached, never beyond EOL. 0: not at all, or unknown.
	TTL time.Duration

	// Source is a peer id, a URL, "book" for the node's Book, "dnslink" (which is not
	// signed) or "static".
	Source string
	// Network is the network of the source, as in routing.Answer.
	Network string `json:",omitempty"`
	// Cached says that the answer came from the cache.
	Cached bool `json:",omitempty"`

	// The remaining fields are set for names only.

	Record   *ipns.Record `json:"-"`
	Sequence uint64
	EOL      time.Time
	// Agree is how many sources of the last search held this record, out of Answered
	// that answered by then; the others had an older record or none. Only those on the
	// road that counts are counted: see On for the others.
	Agree, Answered int
	// Complete says that enough sources answered the last search to know that this is
	// the newest record.
	Complete bool
	// Stale says that the TTL has run out and the record has not been confirmed since, or
	// that the last search could not confirm it.
	Stale bool `json:",omitempty"`

	ttlKnown bool
	modified time.Time
	heard    heard
	final    bool // the confidence was reached, or the search has ended
	last     bool // no better answer follows
}

// LastModified returns when this node first saw the value of the hop.
func (h Hop) LastModified() time.Time { return h.modified }

// On returns Agree and Answered of the sources on a road.
func (h Hop) On(road routing.Road) (agree, answered int) {
	on := h.heard.roads[roadIndex(road)]
	return int(on.agree), int(on.answered)
}

// Resolve resolves a path: /ipns/<name>[/rest], a name or domain with or without /ipns/
// before it, or an ipns: URI. The rest of the path is kept at every hop.
//
// Errors wrap ErrNotFound, *UnknownError, ErrExpired, ErrRecursion, ErrPath or
// ErrBusy, *BehindError, those of ctx, or say what failed.
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

// Stream is like Resolve but yields each better answer as it is found. The first is what
// is already known; the last is the one that Resolve would return, with Final set unless
// the request timed out. An error is yielded last, possibly after answers.
func (r *Resolver) Stream(ctx context.Context, path string, opt Options) iter.Seq2[Resolution, error] {
	return r.walk(ctx, path, opt, true)
}

// Lookup finds the newest record of one name and sets Hop.Record. It implies OneHop and
// ignores Static.
func (r *Resolver) Lookup(ctx context.Context, name ipns.Name, opt Options) (Hop, error) {
	r.start()
	known, err := r.join(name, opt)
	if err == nil && known.hop.last {
		return known.hop, nil // the usual case needs no timer
	}
	ctx, cancel := opt.limit(ctx)
	defer cancel()
	var last Hop
	r.answer(ctx, name, known, err, opt.Confidence, false, func(hop Hop, e error) bool {
		last, err = hop, e
		return true
	})
	return last, err
}

// Close ends the running searches and waits for them. After that, answers come from the
// Book and the cache only.
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
		r.linkLookups = map[string]*linkLookup{}
		r.measure = uint8(roadIndex(routing.RoadOf(r.Router)))
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

// errTimeout is the cause when a request exceeds its Timeout.
var errTimeout = errors.New("request timed out")

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

// systemTXT asks the system resolver, which returns no TTLs.
func systemTXT(ctx context.Context, domain string) ([]string, time.Duration, error) {
	txt, err := net.DefaultResolver.LookupTXT(ctx, domain)
	return txt, 0, err
}
