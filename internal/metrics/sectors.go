package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/republisher"
)

// sectored are the figures of the sectors that this daemon looks after, of at most 64.
type sectored struct {
	r *republisher.Republisher
	c *cluster.Member
}

var sector = []string{"sector"}

var (
	sectorNames  = prometheus.NewDesc("ipns_sector_names", "Names in a sector that this daemon looks after.", sector, nil)
	sectorDue    = prometheus.NewDesc("ipns_sector_due", "Names of a sector to be put now.", sector, nil)
	sectorLate   = prometheus.NewDesc("ipns_sector_late", "Names of a sector that have been due for more than five minutes.", sector, nil)
	sectorAtRisk = prometheus.NewDesc("ipns_sector_at_risk", "Names of a sector that may be lost.", sector, nil)
	sectorEpoch  = prometheus.NewDesc("ipns_sector_epoch", "Epoch of the lease of a sector that this daemon holds.", sector, nil)
	sectorsHeld  = prometheus.NewDesc("ipns_sectors_held", "Sectors that this daemon holds, of 64.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s sectored) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sectorNames, sectorDue, sectorLate, sectorAtRisk, sectorEpoch, sectorsHeld} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s sectored) Collect(out chan<- prometheus.Metric) {
	for _, f := range s.r.Status().Sectors {
		for d, n := range map[*prometheus.Desc]int{sectorNames: f.Names, sectorDue: f.Due, sectorLate: f.Late, sectorAtRisk: f.AtRisk} {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), strconv.Itoa(f.Number))
		}
	}
	held := cluster.Sectors
	if s.c != nil {
		list := s.c.Leases()
		held = len(list)
		for number, l := range list {
			out <- prometheus.MustNewConstMetric(sectorEpoch, prometheus.GaugeValue, float64(l.Epoch), strconv.Itoa(number))
		}
	}
	out <- prometheus.MustNewConstMetric(sectorsHeld, prometheus.GaugeValue, float64(held))
}
