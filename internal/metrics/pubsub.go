package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns/routing/pubsub"
)

// pubsubFigures are read from a Router.
type pubsubFigures struct{ router *pubsub.Router }

// A figure is one metric of pubsub; those of one desc differ in their label.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(pubsub.Stats) float64
	label []string
}

var (
	pubsubHot     = prometheus.NewDesc("ipns_pubsub_subscriptions", "Names that are listened to.", nil, nil)
	pubsubTopics  = prometheus.NewDesc("ipns_pubsub_topics", "Topics that connected peers listen to.", nil, nil)
	pubsubPeers   = prometheus.NewDesc("ipns_pubsub_peers", "Connected peers that listen to topics.", nil, nil)
	pubsubOut     = prometheus.NewDesc("ipns_pubsub_messages_out_total", "Messages to peers, each peer counted, by whether they were sent.", []string{"result"}, nil)
	pubsubIn      = prometheus.NewDesc("ipns_pubsub_records_in_total", "Records that came by pubsub, by what became of them.", []string{"result"}, nil)
	pubsubRefused = prometheus.NewDesc("ipns_pubsub_subscriptions_refused_total", "Subscriptions of peers that are not counted: too many, or to no name.", nil, nil)
	pubsubFetch   = prometheus.NewDesc("ipns_pubsub_fetches_total", "Fetches of peers, and answers to own ones, by result.", []string{"result"}, nil)
)

var pubsubReadings = []figure{
	{pubsubHot, prometheus.GaugeValue, func(s pubsub.Stats) float64 { return float64(s.Subscriptions) }, nil},
	{pubsubTopics, prometheus.GaugeValue, func(s pubsub.Stats) float64 { return float64(s.Topics) }, nil},
	{pubsubPeers, prometheus.GaugeValue, func(s pubsub.Stats) float64 { return float64(s.Peers) }, nil},
	{pubsubOut, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Sent) }, []string{"sent"}},
	{pubsubOut, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Dropped) }, []string{"dropped"}},
	{pubsubIn, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Taken) }, []string{"taken"}},
	{pubsubIn, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Repeated) }, []string{"repeated"}},
	{pubsubIn, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Late) }, []string{"late"}},
	{pubsubIn, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Invalid) }, []string{"invalid"}},
	{pubsubRefused, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.TooMany) }, nil},
	{pubsubFetch, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Fetched) }, []string{"own"}},
	{pubsubFetch, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Served) }, []string{"served"}},
	{pubsubFetch, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Missed) }, []string{"missed"}},
	{pubsubFetch, prometheus.CounterValue, func(s pubsub.Stats) float64 { return float64(s.Refused) }, []string{"refused"}},
}

// Describe implements prometheus.Collector.
func (pubsubFigures) Describe(out chan<- *prometheus.Desc) {
	for _, f := range pubsubReadings {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (p pubsubFigures) Collect(out chan<- prometheus.Metric) {
	stats := p.router.Stats()
	for _, f := range pubsubReadings {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(stats), f.label...)
	}
}
