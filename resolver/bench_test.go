package resolver

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

func BenchmarkResolve(b *testing.B) {
	for name, opt := range map[string]Options{
		"cached":  {},
		"offline": {Offline: true},
		"search":  {NoCache: true, Confidence: All}, // of 20 servers without delay
	} {
		b.Run(name, func(b *testing.B) {
			network := routingtest.New(20)
			r := &Resolver{Book: &names.Book{Store: recordstore.NewMemory()}, Router: network}
			defer r.Close()
			rec := routingtest.Sign(b, routingtest.NewKey(b), ipns.Fields{Value: pathA, TTL: time.Hour})
			if _, err := r.Book.Take(b.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
				b.Fatal(err)
			}
			hold(rec, network.Servers...)
			path := rec.Name().Path() + "/index.html"
			if _, err := r.Resolve(b.Context(), path, Options{Confidence: All}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Resolve(b.Context(), path, opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
