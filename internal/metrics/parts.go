package metrics

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/watch"
)

// look is what the parts say at one time.
type look struct {
	republisher.Status
	publisher publisher.Stats
	resolver  resolver.Stats

	repo, max                 uint64 // bytes
	diskFree, disk, reserve   uint64
	behind                    time.Duration // the clock
	knowsClock                bool
	silent                    time.Duration
	peers, wan, lan           int
	answered                  time.Time
	webhooksWaiting, webhooks int
	dead                      int
}

// A reading is a metric that is read from the parts.
type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*look) float64
}

func gauge[N int | uint64](name, help string, value func(*look) N) reading {
	return reading{
		prometheus.NewDesc("ipns_"+name, help, nil, nil), prometheus.GaugeValue,
		func(l *look) float64 { return float64(value(l)) },
	}
}

func ratio(name, help string, value func(*look) float64) reading {
	return reading{prometheus.NewDesc("ipns_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*look) uint64) reading {
	r := gauge(name+"_total", help, value)
	r.kind = prometheus.CounterValue
	return r
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// since1970 is a time as metrics have it; 0: there is none.
func since1970(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// readings are what parts yields.
var readings = []reading{
	gauge("names_own", "Names with a record whose key is here.", func(l *look) int { return l.Own }),
	gauge("names_hosted", "Names of others that are kept alive.", func(l *look) int { return l.Hosted }),
	gauge("names_expired", "Names whose record has ended.", func(l *look) int { return l.Expired }),
	gauge("names_own_expired", "Names with a record whose key is here, and which has ended.", func(l *look) int { return l.OwnExpired }),
	gauge("names_due", "Names that are to be announced again now.", func(l *look) int { return l.Due }),
	gauge("names_late", "Names that wait for more than five minutes to be announced again.", func(l *look) int { return l.Late }),
	gauge("names_at_risk", "Names with less than a quarter of their life left, too few holders, or a key that cannot sign.", func(l *look) int { return l.AtRiskCount }),
	gauge("names_few_holders", "Names at risk because too few servers hold them, although there are more.", func(l *look) int { return l.FewHolders }),
	gauge("names_unready", "Names whose key cannot sign: it is locked or damaged, or the agent or signer that has it does not answer.", func(l *look) int { return l.Unready }),
	gauge("names_other_writer", "Names for which another holder of the key has published, since the start; at most 1000.", func(l *look) int { return len(l.OtherWriters) }),
	gauge("holders", "Servers that took a record when it was last announced, of all names.", func(l *look) int { return l.Holders }),
	ratio("survival_ratio", "Share of the holders that still have a record when it is announced again; 0: not known.", func(l *look) float64 { return l.Survival }),
	gauge("republish_regions_done", "Regions of the key space, of 64, in which no name waits.", func(l *look) int { return l.RegionsDone }),
	ratio("republish_paused", "Whether nothing is announced because no server answered.", func(l *look) float64 { return truth(!l.PausedUntil.IsZero()) }),
	ratio("republish_rpcs_per_name_day", "Records offered to servers, for each name and day.", func(l *look) float64 { return l.RPCsPerNameDay }),
	ratio("republish_bytes_per_name_day", "Bytes of records offered to servers, for each name and day.", func(l *look) float64 { return l.BytesPerNameDay }),
	counter("republish_puts", "Names that were announced again.", func(l *look) uint64 { return l.Puts }),
	counter("republish_acks", "Records that servers took when they were announced again.", func(l *look) uint64 { return l.Acks }),
	counter("republish_failed_acks", "Records that servers did not take when they were announced again.", func(l *look) uint64 { return l.FailedAcks }),
	counter("renewals", "Records that were signed again.", func(l *look) uint64 { return l.Renewed }),
	counter("renewals_failed", "Records that could not be signed again.", func(l *look) uint64 { return l.RenewalsFailed }),

	gauge("announcing", "Records that are on their way after a publish.", func(l *look) int { return l.publisher.Announcing }),
	gauge("retrying", "Published names that too few servers hold yet.", func(l *look) int { return l.publisher.Retrying }),

	gauge("resolver_names", "Names of others in the cache.", func(l *look) int { return l.resolver.Names }),
	gauge("resolver_searching", "Searches for names that are running.", func(l *look) int { return l.resolver.Searching }),
	counter("resolver_cached", "Lookups of names that the cache answered.", func(l *look) uint64 { return l.resolver.Cached }),
	counter("resolver_stale", "Lookups that the cache answered after the TTL, while it searched.", func(l *look) uint64 { return l.resolver.Stale }),

	gauge("peers", "Peers that are connected.", func(l *look) int { return l.peers }),
	gauge("servers_wan", "Servers of the public network that are known.", func(l *look) int { return l.wan }),
	gauge("servers_lan", "Servers of the local network that are known.", func(l *look) int { return l.lan }),
	ratio("network_answered_timestamp_seconds", "When the public network last answered; 0: never.", func(l *look) float64 { return since1970(l.answered) }),

	gauge("repo_size_bytes", "Size of the database.", func(l *look) uint64 { return l.repo }),
	gauge("repo_max_bytes", "Datastore.StorageMax of the config.", func(l *look) uint64 { return l.max }),
	gauge("disk_free_bytes", "Bytes that are free on the disk of the repo.", func(l *look) uint64 { return l.diskFree }),
	gauge("disk_size_bytes", "Bytes that the disk of the repo has; 0: not known.", func(l *look) uint64 { return l.disk }),
	gauge("disk_reserve_bytes", "Free bytes below which no name is stored.", func(l *look) uint64 { return l.reserve }),

	ratio("clock_behind_seconds", "How far this clock is behind that of servers, or ahead if below 0; 0 also if it is not known.", func(l *look) float64 { return l.behind.Seconds() }),
	ratio("clock_known", "Whether servers have said what time it is.", func(l *look) float64 { return truth(l.knowsClock) }),
	ratio("store_silent_seconds", "For how long the database that daemons share has not answered; 0: it answers, or there is none.", func(l *look) float64 { return l.silent.Seconds() }),

	gauge("webhooks", "Webhooks that there are.", func(l *look) int { return l.webhooks }),
	gauge("webhook_waiting", "Changes that wait to be sent to webhooks.", func(l *look) int { return l.webhooksWaiting }),
	gauge("webhook_dead_letters", "Changes that webhooks did not take, and that are not sent any more.", func(l *look) int { return l.dead }),
}

var (
	records  = prometheus.NewDesc("ipns_records_total", "Records that came in, by what they were to what was known.", []string{"outcome"}, nil)
	searches = prometheus.NewDesc("ipns_resolver_searches_total", "Searches for names that have ended, by result.", []string{"result"}, nil)
)

// parts are what figures are read from.
type parts struct {
	p     Parts
	hooks atomic.Pointer[[]watch.State] // as they were last
}

// Describe implements prometheus.Collector.
func (*parts) Describe(out chan<- *prometheus.Desc) {
	for _, r := range readings {
		out <- r.desc
	}
	out <- records
	out <- searches
}

// lookTime bounds how long a look waits for the store.
const lookTime = 5 * time.Second

func (c *parts) look() *look {
	p := c.p
	l := &look{publisher: p.Publisher.Stats(), resolver: p.Resolver.Stats(), repo: p.Content.Size()}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	var err error
	if l.Status, err = p.Republisher.Look(ctx); err != nil {
		l.Status = p.Republisher.Status() // as it was last
	}
	l.max, _ = p.Max() // a daemon with a wrong one does not start
	l.diskFree, l.disk, l.reserve = p.Disk.Space()
	if l.behind, l.knowsClock = p.Publisher.Behind(); !l.knowsClock {
		l.behind = 0
	}
	l.silent, _ = p.Book.Silent() // that it is silent says enough
	if h := p.Network.Host; h != nil {
		l.peers = len(h.Network().Peers())
	}
	if d := p.Network.DHT; d != nil {
		if d.WAN != nil {
			l.wan, l.answered = d.WAN.Map().Len(), d.WAN.Answered()
		}
		if d.LAN != nil {
			l.lan = d.LAN.Map().Len()
		}
	}
	if hooks, err := p.Webhooks.List(ctx); err == nil {
		c.hooks.Store(&hooks)
	}
	hooks := c.hooks.Load()
	if hooks == nil {
		return l
	}
	l.webhooks = len(*hooks)
	for _, h := range *hooks {
		l.webhooksWaiting += h.Waiting
		l.dead += h.Dead
	}
	return l
}

// Collect implements prometheus.Collector.
func (c *parts) Collect(out chan<- prometheus.Metric) {
	l := c.look()
	for _, r := range readings {
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(l))
	}
	for o := names.New; o <= names.Fork; o++ {
		out <- prometheus.MustNewConstMetric(records, prometheus.CounterValue, float64(c.p.Book.Count(o)), o.String())
	}
	for result, n := range map[string]uint64{
		"found": l.resolver.Found, "unconfirmed": l.resolver.Unconfirmed, "not found": l.resolver.NotFound,
		"expired": l.resolver.Expired, "unknown": l.resolver.Unknown, "failed": l.resolver.Failed,
	} {
		out <- prometheus.MustNewConstMetric(searches, prometheus.CounterValue, float64(n), result)
	}
}
