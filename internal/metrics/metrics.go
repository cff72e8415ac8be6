// Package metrics counts what a node does, and shows it in the form of Prometheus.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/republisher"
)

// Where the metrics are, on a port of their own and on that of the API.
const (
	path    = "/metrics"
	apiPath = "/debug/metrics/prometheus"
)

// Metrics are the figures of a node. Times are counted as things happen; all else is read
// from the parts when somebody asks.
type Metrics struct {
	registry *prometheus.Registry
	publish  *prometheus.HistogramVec // seconds, by result
	resolve  *prometheus.HistogramVec
}

// New returns the metrics of a node with these parts.
func New(b *names.Book, p *publisher.Publisher, r *republisher.Republisher) *Metrics {
	seconds := func(what, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ipns_" + what + "_seconds", Help: help,
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 11), // 5 ms to 48 s
		}, []string{"result"})
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		publish:  seconds("publish", "Time until a publish was answered."),
		resolve:  seconds("resolve", "Time until a resolve was answered."),
	}
	m.registry.MustRegister(m.publish, m.resolve, parts{b, p, r})
	return m
}

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

// A reading is a metric that is read from a part of the node.
type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(republisher.Status) float64
}

func gauge(name, help string, value func(republisher.Status) float64) reading {
	return reading{prometheus.NewDesc("ipns_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(republisher.Status) float64) reading {
	r := gauge(name+"_total", help, value)
	r.kind = prometheus.CounterValue
	return r
}

// readings are what parts yields.
var readings = []reading{
	gauge("names_own", "Names with a record whose key is here.", func(s republisher.Status) float64 { return float64(s.Own) }),
	gauge("names_hosted", "Names of others that are kept alive.", func(s republisher.Status) float64 { return float64(s.Hosted) }),
	gauge("names_expired", "Names whose record has ended.", func(s republisher.Status) float64 { return float64(s.Expired) }),
	gauge("names_due", "Names that are to be announced again now.", func(s republisher.Status) float64 { return float64(s.Due) }),
	gauge("names_late", "Names that wait for more than five minutes to be announced again.", func(s republisher.Status) float64 { return float64(s.Late) }),
	gauge("names_at_risk", "Names with less than a quarter of their life left, too few holders, or a key that cannot sign.", func(s republisher.Status) float64 { return float64(s.AtRiskCount) }),
	gauge("names_unready", "Names whose key cannot sign: it is locked or damaged, or the agent or signer that has it does not answer.", func(s republisher.Status) float64 { return float64(s.Unready) }),
	gauge("holders", "Servers that took a record when it was last announced, of all names.", func(s republisher.Status) float64 { return float64(s.Holders) }),
	gauge("survival_ratio", "Share of the holders that still have a record when it is announced again; 0: not known.", func(s republisher.Status) float64 { return s.Survival }),
	gauge("republish_regions_done", "Regions of the key space, of 64, in which no name waits.", func(s republisher.Status) float64 { return float64(s.RegionsDone) }),
	gauge("republish_rpcs_per_name_day", "Records offered to servers, for each name and day.", func(s republisher.Status) float64 { return s.RPCsPerNameDay }),
	gauge("republish_bytes_per_name_day", "Bytes of records offered to servers, for each name and day.", func(s republisher.Status) float64 { return s.BytesPerNameDay }),
	counter("republish_puts", "Names that were announced again.", func(s republisher.Status) float64 { return float64(s.Puts) }),
	counter("republish_acks", "Records that servers took when they were announced again.", func(s republisher.Status) float64 { return float64(s.Acks) }),
	counter("republish_failed_acks", "Records that servers did not take when they were announced again.", func(s republisher.Status) float64 { return float64(s.FailedAcks) }),
	counter("renewals", "Records that were signed again.", func(s republisher.Status) float64 { return float64(s.Renewed) }),
	counter("renewals_failed", "Records that could not be signed again.", func(s republisher.Status) float64 { return float64(s.RenewalsFailed) }),
}

var (
	announcing = prometheus.NewDesc("ipns_announcing", "Records that are on their way after a publish.", nil, nil)
	retrying   = prometheus.NewDesc("ipns_retrying", "Published names that too few servers hold yet.", nil, nil)
	records    = prometheus.NewDesc("ipns_records_total", "Records that came in, by what they were to what was known.", []string{"outcome"}, nil)
)

// parts are what figures are read from.
type parts struct {
	book        *names.Book
	publisher   *publisher.Publisher
	republisher *republisher.Republisher
}

// Describe implements prometheus.Collector.
func (p parts) Describe(out chan<- *prometheus.Desc) {
	for _, r := range readings {
		out <- r.desc
	}
	out <- announcing
	out <- retrying
	out <- records
}

// Collect implements prometheus.Collector.
func (p parts) Collect(out chan<- prometheus.Metric) {
	status := p.republisher.Status()
	for _, r := range readings {
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(status))
	}
	stats := p.publisher.Stats()
	out <- prometheus.MustNewConstMetric(announcing, prometheus.GaugeValue, float64(stats.Announcing))
	out <- prometheus.MustNewConstMetric(retrying, prometheus.GaugeValue, float64(stats.Retrying))
	for o := names.New; o <= names.Fork; o++ {
		out <- prometheus.MustNewConstMetric(records, prometheus.CounterValue, float64(p.book.Count(o)), o.String())
	}
}
