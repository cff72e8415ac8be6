// Package gateway serves names and content over HTTP, at /ipns/{name}/… and /ipfs/{cid}/…, following the IPFS
// specifications of path, subdomain and trustless gateways. Files, directories and formats come from boxo; names come
// only from a [Resolver].
//
// Invariant: no response is made from an expired record, or can be reused by a cache after its record has expired.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"syscall"
	"time"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/exchange/offline"
	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

// Limits of one gateway. The server limits its connections.
const (
	maxRequests      = 1024             // at once; more are answered with 429
	maxDuration      = time.Hour        // of one request
	retrievalTimeout = 30 * time.Second // until the first byte, and between two writes; then 504
)

// routingPath is the prefix that Options.Routing serves.
const routingPath = "/routing/v1/"

// Resolver resolves names: a *resolver.Resolver, or a wrapper around it.
type Resolver interface {
	Resolve(ctx context.Context, path string, o resolver.Options) (resolver.Resolution, error)
	Stream(ctx context.Context, path string, o resolver.Options) iter.Seq2[resolver.Resolution, error]
	Known(ctx context.Context, path string) (resolver.Resolution, bool)
	Last(ctx context.Context, name ipns.Name) (*ipns.Record, recordstore.Mark, error)
	Lookup(ctx context.Context, name ipns.Name, o resolver.Options) (resolver.Hop, error)
}

// Options configure [New].
type Options struct {
	Content *content.Store // required
	Names   Resolver       // required
	// Routing serves paths below /routing/v1/. nil: they get 404.
	Routing http.Handler
	// Silent returns for how long the store of names that several daemons share has not answered, which answers
	// say; 0: it answers. nil: it is not shared.
	Silent func() (time.Duration, error)
	// RootRedirect is where requests for / are sent, such as /ipns/example.com. "": they get 404.
	RootRedirect string
	// NoFetch serves only local blocks. Names are still resolved.
	NoFetch bool
	// NoDNSLink disables the lookup of domains in Host headers. Paths such as /ipns/example.com still work.
	NoDNSLink bool
	// TrustlessOnly serves only what clients can verify: records, blocks and CARs.
	TrustlessOnly bool
	// Hosts are the host names of this gateway, in addition to localhost, which gives each name its own subdomain. A
	// nil entry removes localhost. Requests for other hosts are served by their path.
	Hosts map[string]*Host
	// RetrievalTimeout bounds the time to the first byte, and between two writes.
	// nil: 30 s; 0: no bound.
	RetrievalTimeout *time.Duration
	// MaxRequestDuration bounds one request. 0: 1 h.
	MaxRequestDuration time.Duration
	// MaxConcurrentRequests limits the requests served at once; more get 429. nil: 1024; 0: no limit.
	MaxConcurrentRequests *int
	// PlainErrors answers errors as text, to browsers too.
	PlainErrors bool
	// ConvertCodecs answers data in another codec than the one it is stored in.
	ConvertCodecs bool
	// MaxRangeFile is the size of files, in bytes, above which no ranges are served. 0: any.
	MaxRangeFile int64
	// Diagnose is the URL of a page that pages of errors link to. nil, "": none.
	Diagnose *string
	// Headers are added to every response.
	Headers map[string][]string
	// Metrics registers the gateway's metrics. nil: there are none.
	Metrics prometheus.Registerer
	// Now returns the current time. nil: time.Now.
	Now func() time.Time
}

// Host is one host name of a gateway.
type Host struct {
	Paths         []string // served prefixes, such as /ipns/
	UseSubdomains bool     // {name}.ipns.{host}, so that sites can't read each other's cookies
	InlineDNSLink bool     // dots of domains become dashes in subdomains: for TLS certificates with one wildcard
	NoDNSLink     bool
	TrustlessOnly *bool // nil: as Options says
}

// New returns a gateway. Paths other than /ipns/, /ipfs/ and those of the options get 404.
func New(o Options) (http.Handler, error) {
	return newGateway(o, o.Content.Changes)
}

// newGateway is New, with what counts the changes after which answers may be wrong.
func newGateway(o Options, changes func() uint64) (http.Handler, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	b, err := newBackend(o)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	cfg := config(o)
	plain := cfg
	plain.RetrievalTimeout = 0     // fetches has it
	plain.DisableHTMLErrors = true // errorPages makes them
	fetched := &fetches{next: boxo.NewHandler(plain, b), timeout: cfg.RetrievalTimeout}
	records := &recordHandler{names: o.Names, denied: o.Content.Denied, now: o.Now, limit: cmp.Or(cfg.RetrievalTimeout, cfg.MaxRequestDuration), next: fetched}
	answered := newAnswers(cfg, o, changes, pages(records))
	answered.troubles = b.troubles
	mux := http.NewServeMux()
	served := boxo.NewHeaders(o.Headers).WithDeprecatedXIpfsPath().ApplyCors().Wrap(isolate(answered))
	mux.Handle("/ipfs/", served)
	mux.Handle("/ipns/", served)
	if o.RootRedirect != "" {
		mux.Handle("/{$}", boxo.NewHeaders(o.Headers).Wrap(http.RedirectHandler(o.RootRedirect, http.StatusFound)))
	}
	if o.Routing != nil {
		mux.Handle(routingPath, boxo.NewHeaders(o.Headers).Wrap(o.Routing))
	}
	var whole http.Handler = boxo.NewHostnameHandler(plain, b, mux)
	if !o.PlainErrors {
		whole = &errorPages{names: o.Names, diagnose: cfg.DiagnosticServiceURL, next: whole}
	}
	whole = visits(o.Names, whole)
	if o.Silent != nil {
		whole = tellsSilence(o.Silent, whole)
	}
	return whole, nil
}

// or is what p points to, or else a default.
func or[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}

func config(o Options) boxo.Config {
	hosts := map[string]*Host{"localhost": {Paths: []string{"/ipfs/", "/ipns/", "/p2p/", routingPath}, UseSubdomains: true}}
	maps.Copy(hosts, o.Hosts)
	cfg := boxo.Config{
		DeserializedResponses: !o.TrustlessOnly,
		NoDNSLink:             o.NoDNSLink,
		PublicGateways:        make(map[string]*boxo.PublicGateway),
		RetrievalTimeout:      or(o.RetrievalTimeout, retrievalTimeout),
		MaxConcurrentRequests: or(o.MaxConcurrentRequests, maxRequests),
		MaxRequestDuration:    cmp.Or(o.MaxRequestDuration, maxDuration),
		DeprecatedXIpfsPath:   true,

		DisableHTMLErrors:       o.PlainErrors,
		AllowCodecConversion:    o.ConvertCodecs,
		MaxRangeRequestFileSize: o.MaxRangeFile,
		DiagnosticServiceURL:    or(o.Diagnose, ""),

		MetricsRegistry: o.Metrics,
	}
	if cfg.MetricsRegistry == nil {
		cfg.MetricsRegistry = prometheus.NewRegistry()
	}
	for name, h := range hosts {
		if h == nil {
			continue
		}
		cfg.PublicGateways[name] = &boxo.PublicGateway{
			Paths:                 h.Paths,
			UseSubdomains:         h.UseSubdomains,
			InlineDNSLink:         h.InlineDNSLink,
			NoDNSLink:             h.NoDNSLink,
			DeserializedResponses: !or(h.TrustlessOnly, o.TrustlessOnly),
		}
	}
	return cfg
}

// backend gives boxo's handlers blocks, and our resolver for names instead of boxo's own.
type backend struct {
	*boxo.BlocksBackend
	local *boxo.BlocksBackend // of what is here
	dag   format.DAGService   // of what is served
	here  appendBlock         // of what is here

	folders  *folders
	ahead    ahead
	troubles *troubles
	names    Resolver
	denied   func(path string) error
	now      func() time.Time
}

var _ boxo.IPFSBackend = (*backend)(nil)

func newBackend(o Options) (*backend, error) {
	bs := o.Content.BlockService().Blockstore()
	local, err := boxo.NewBlocksBackend(blockservice.New(bs, offline.Exchange(bs)))
	if err != nil {
		return nil, err
	}
	served := blockservice.New(bs, offline.Exchange(bs))
	if !o.NoFetch {
		served = o.Content.BlockService()
	}
	b := &backend{local: local, here: o.Content.AppendBlock, dag: merkledag.NewDAGService(served), names: o.Names, denied: o.Content.Denied, now: o.Now, folders: newFolders(), ahead: make(ahead, allAhead), troubles: &troubles{}}
	b.BlocksBackend, err = boxo.NewBlocksBackend(served)
	return b, err
}

// noModified is a time for which boxo sends no Last-Modified.
var noModified = time.Unix(0, 0)

// ResolveMutable is called for every path; those that begin with /ipfs/ are returned unchanged.
func (b *backend) ResolveMutable(ctx context.Context, p path.Path) (path.ImmutablePath, time.Duration, time.Time, error) {
	if !p.Mutable() {
		im, err := path.NewImmutablePath(p)
		return im, 0, time.Time{}, err
	}
	v := visitOf(ctx)
	res, err := v.resolve(ctx, p.String())
	root := p.Segments()[1]
	if err == nil {
		b.troubles.over(root)
	}
	if err != nil {
		if ctx.Err() == nil { // otherwise it is the client who left, or the time-out
			since := b.now()
			if !errors.Is(err, content.ErrDenied) {
				since = b.troubles.failed(root, since)
			}
			v.lost(p.String(), err, since)
		}
		if _, noName := ipns.ParseName(root); noName != nil && errors.Is(err, resolver.ErrNotFound) {
			err = boxo.NewErrorStatusCode(err, http.StatusNotFound) // neither a name nor a domain with a DNSLink
		} else {
			err = statusOf(ctx, err)
		}
		return path.ImmutablePath{}, 0, time.Time{}, err
	}
	to, err := path.NewPath(res.Path)
	if err != nil {
		return path.ImmutablePath{}, 0, time.Time{}, err
	}
	im, err := path.NewImmutablePath(to)
	if err != nil {
		return path.ImmutablePath{}, 0, time.Time{}, err
	}
	ttl, modified := cacheable(res, b.now())
	return im, ttl, modified, nil
}

// cacheable returns how long an answer may be cached, and since when it is what it is.
func cacheable(res resolver.Resolution, now time.Time) (ttl time.Duration, modified time.Time) {
	ttl = wholeSeconds(res, now)
	if ttl == 0 || res.LastModified.IsZero() {
		// Without a TTL no modification time is set either: a cache would derive a TTL from it.
		return ttl, noModified
	}
	return ttl, res.LastModified
}

// wholeSeconds rounds the TTL of an answer up, so that a fresh one shows what its publisher wrote, but never beyond the
// EOL of a record.
func wholeSeconds(res resolver.Resolution, now time.Time) time.Duration {
	ttl := (res.TTL + time.Second - 1).Truncate(time.Second)
	if eol := res.EOL(); !eol.IsZero() {
		ttl = min(ttl, eol.Sub(now).Truncate(time.Second))
	}
	return max(0, ttl)
}

// statusOf adds the HTTP status to an error of the resolver, unless that is 500.
func statusOf(ctx context.Context, err error) error {
	status := http.StatusInternalServerError
	dnslink := ctx.Value(boxo.DNSLinkHostnameKey) != nil
	switch {
	case errors.Is(err, content.ErrDenied):
		status = http.StatusGone
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	case errors.Is(err, resolver.ErrBusy), errors.Is(err, recordstore.ErrAway):
		status = http.StatusServiceUnavailable
	case errors.Is(err, resolver.ErrRecursion) && dnslink:
		status = http.StatusBadRequest // DNSLink gateway specification, Host
	case errors.Is(err, resolver.ErrRecursion):
		status = http.StatusLoopDetected
	case errors.Is(err, resolver.ErrPath), errors.Is(err, ipns.ErrName):
		status = http.StatusBadRequest
	case errors.Is(err, recordstore.ErrConflict):
		status = http.StatusConflict
	case isFull(err):
		status = http.StatusInsufficientStorage
	}
	return boxo.NewErrorStatusCode(err, status)
}

// storage adds the HTTP status to an error of the blocks where boxo has none.
func storage(err error) error {
	if isFull(err) {
		return boxo.NewErrorStatusCode(err, http.StatusInsufficientStorage)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, recordstore.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// GetIPNSRecord is reached only for requests that [recordHandler] leaves alone.
func (b *backend) GetIPNSRecord(ctx context.Context, c cid.Cid) ([]byte, error) {
	name, err := ipns.ParseName(c.String())
	if err != nil {
		return nil, boxo.NewErrorStatusCode(err, http.StatusBadRequest)
	}
	if err := b.denied("/ipns/" + name.String()); err != nil {
		return nil, statusOf(ctx, err)
	}
	hop, err := b.names.Lookup(ctx, name, resolver.Options{})
	if err != nil {
		return nil, statusOf(ctx, err)
	}
	return hop.Record.Raw(), nil
}

// GetDNSLinkRecord returns the target of a domain's DNSLink without resolving it.
func (b *backend) GetDNSLinkRecord(ctx context.Context, domain string) (path.Path, error) {
	res, err := b.names.Resolve(ctx, domain, resolver.Options{OneHop: true})
	if errors.Is(err, content.ErrDenied) {
		return path.NewPath("/ipns/" + domain) // it is there, and the answer says that it is denied
	}
	if err != nil {
		return nil, err
	}
	return path.NewPath(res.Path)
}

// IsCached answers only-if-cached requests. boxo's own would use its own name system, and fetch blocks from other
// nodes.
func (b *backend) IsCached(ctx context.Context, p path.Path) bool {
	if p.Mutable() {
		res, err := b.names.Resolve(ctx, p.String(), resolver.Options{Offline: true})
		if err != nil {
			return false
		}
		if p, err = path.NewPath(res.Path); err != nil {
			return false
		}
	}
	im, err := path.NewImmutablePath(p)
	return err == nil && b.local.IsCached(ctx, im)
}
