package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns/hosting"
)

// hosted are the figures of what is kept for others. Their tenants are those with most
// names; all others are one.
type hosted struct{ host *hosting.Host }

var tenant = []string{"tenant"}

var (
	hostedNames   = prometheus.NewDesc("ipns_hosting_names", "Names that are kept for a tenant.", tenant, nil)
	hostedBytes   = prometheus.NewDesc("ipns_hosting_bytes", "Bytes of the records that are kept for a tenant.", tenant, nil)
	hostedAtRisk  = prometheus.NewDesc("ipns_hosting_at_risk", "Names of a tenant whose record ends soon.", tenant, nil)
	hostedSoonest = prometheus.NewDesc("ipns_hosting_soonest_end_seconds", "Time until the first record of a tenant ends.", tenant, nil)
	hostedPuts    = prometheus.NewDesc("ipns_hosting_puts_total", "Records of a tenant that were taken or were here already.", tenant, nil)
	hostedRefused = prometheus.NewDesc("ipns_hosting_refused_total", "Requests of a tenant that were refused, and why.", []string{"tenant", "why"}, nil)
)

// Describe implements prometheus.Collector.
func (h hosted) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hostedNames, hostedBytes, hostedAtRisk, hostedSoonest, hostedPuts, hostedRefused} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (h hosted) Collect(out chan<- prometheus.Metric) {
	for _, f := range h.host.Figures() {
		figure := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, more ...string) {
			out <- prometheus.MustNewConstMetric(d, kind, value, append([]string{f.Tenant}, more...)...)
		}
		figure(hostedNames, prometheus.GaugeValue, float64(f.Names+f.Custodial))
		figure(hostedBytes, prometheus.GaugeValue, float64(f.Bytes))
		figure(hostedAtRisk, prometheus.GaugeValue, float64(f.AtRisk))
		if !f.Soonest.IsZero() {
			figure(hostedSoonest, prometheus.GaugeValue, time.Until(f.Soonest).Seconds())
		}
		figure(hostedPuts, prometheus.CounterValue, float64(f.Taken))
		for why, n := range f.Refused {
			figure(hostedRefused, prometheus.CounterValue, float64(n), why)
		}
	}
}
