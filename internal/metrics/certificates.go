package metrics

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificates are the ends of the certificates in use, by door.
type certificates struct {
	mu   sync.Mutex
	ends map[string]func() time.Time
}

var certificateEnd = prometheus.NewDesc("ipns_certificate_end_timestamp_seconds", "From when on clients refuse the certificate of a door.", []string{"door"}, nil)

func (c *certificates) add(door string, end func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = map[string]func() time.Time{}
	}
	c.ends[door] = end
}

// Describe implements prometheus.Collector.
func (*certificates) Describe(out chan<- *prometheus.Desc) { out <- certificateEnd }

// Collect implements prometheus.Collector.
func (c *certificates) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	ends := maps.Clone(c.ends)
	c.mu.Unlock()
	for door, end := range ends {
		if at := end(); !at.IsZero() {
			out <- prometheus.MustNewConstMetric(certificateEnd, prometheus.GaugeValue, since1970(at), door)
		}
	}
}
