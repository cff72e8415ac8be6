// Package metrics counts what a node does, and shows it in the form of Prometheus.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing/pubsub"
	"github.com/goipns/ipns/watch"
)

// Where the metrics are, on a port of their own and on that of the API.
const (
	path    = "/metrics"
	apiPath = "/debug/metrics/prometheus"
)

// Parts are what figures are read from. Those without which a node can be are nil then.
type Parts struct {
	Release     string // of the program
	Book        *names.Book
	Publisher   *publisher.Publisher
	Republisher *republisher.Republisher
	Resolver    *resolver.Resolver
	Content     *content.Store
	Max         func() (uint64, error) // bytes that Content may have
	Disk        *pebble.Disk
	Network     *host.Network
	Hosting     *hosting.Host
	Webhooks    *watch.Webhooks
	Cluster     *cluster.Member // nil: the store is not shared
	Pubsub      *pubsub.Router  // nil: it is off
}

// Metrics are the figures of a node. Times are counted as things happen; all else is read
// from the parts when somebody asks.
type Metrics struct {
	registry *prometheus.Registry
	publish  *prometheus.HistogramVec // seconds, by result
	resolve  *prometheus.HistogramVec
	requests *prometheus.HistogramVec // seconds, by door and code
	ends     *certificates
}

// New returns the metrics of a node with these parts.
func New(p Parts) *Metrics {
	seconds := func(what, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ipns_" + what + "_seconds", Help: help,
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 11), // 5 ms to 48 s
		}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		publish:  seconds("publish", "Time until a publish was answered.", "result"),
		resolve:  seconds("resolve", "Time until a resolve was answered.", "result"),
		requests: seconds("http_request_duration", "Time of a request by HTTP, by where it came in and the status of its response.", "door", "code"),
		ends:     &certificates{},
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ipns_build_info", Help: "The release of the program; always 1."}, []string{"version", "goversion"})
	build.WithLabelValues(p.Release, runtime.Version()).Set(1)
	for _, result := range []string{"ok", "stored", "canceled", "error"} { // a rate needs the 0 before the first
		m.publish.WithLabelValues(result)
		m.resolve.WithLabelValues(result)
	}
	m.registry.MustRegister(build, m.publish, m.resolve, m.requests, m.ends, &parts{p: p}, hosted{p.Hosting}, sectored{p.Republisher, p.Cluster})
	if h := p.Network.Host; h != nil {
		m.AddCertificate("autotls", h.CertificateEnd)
	}
	if p.Pubsub != nil {
		m.registry.MustRegister(pubsubFigures{p.Pubsub})
	}
	return m
}

// Timed measures the requests of a handler.
func (m *Metrics) Timed(door string, h http.Handler) http.Handler {
	return promhttp.InstrumentHandlerDuration(m.requests.MustCurryWith(prometheus.Labels{"door": door}), h)
}

// AddCertificate adds the end of a certificate, which end returns; zero: it has none now.
func (m *Metrics) AddCertificate(door string, end func() time.Time) { m.ends.add(door, end) }

// Published counts a publish that has ended.
func (m *Metrics) Published(begin time.Time, err error) { observe(m.publish, begin, err) }

// Resolved counts a resolve that has ended.
func (m *Metrics) Resolved(begin time.Time, err error) { observe(m.resolve, begin, err) }

// observe counts something that has ended.
func observe(of *prometheus.HistogramVec, begin time.Time, err error) {
	result := "ok"
	var few *publisher.NotAnnouncedError
	switch {
	case errors.As(err, &few):
		result = "stored" // but announced to fewer than was asked for
	case errors.Is(err, context.Canceled):
		result = "canceled"
	case err != nil:
		result = "error"
	}
	of.WithLabelValues(result).Observe(time.Since(begin).Seconds())
}

// Handler serves the metrics, and those that libp2p keeps.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	h := promhttp.HandlerFor(prometheus.Gatherers{m.registry, prometheus.DefaultGatherer}, promhttp.HandlerOpts{})
	mux.Handle("GET "+path, h)
	mux.Handle("GET "+apiPath, h)
	return mux
}
