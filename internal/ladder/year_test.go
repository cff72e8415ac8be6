package ladder_test

import (
	"context"
	"flag"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

var long = flag.Bool("long", false, "run the tests at full length")

const day = 24 * time.Hour

// join returns a router of a new host on a simulated network.
func join(t *testing.T, net *simnet.Network, name string) *dht.Router {
	t.Helper()
	h, err := net.NewHost(name)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := net.Bootstrap(6)
	for _, p := range bootstrap {
		if err := h.Connect(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	kad, err := kaddht.New(h, kaddht.Mode(kaddht.ModeClient), kaddht.ProtocolPrefix("/goipns"), kaddht.DisableAutoRefresh(),
		kaddht.V1ProtocolOverride(dht.ProtocolWAN), kaddht.Validator(dht.Validator(nil)), kaddht.BootstrapPeers(bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kad.Close() })
	for range 3 {
		time.Sleep(time.Second)
		<-kad.ForceRefresh()
	}
	r := dht.NewRouter(kad, dht.RouterConfig{Network: "wan", Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { r.Close() })
	return r
}

// daemon is the parts of a daemon that keep a name alive, over a store that outlives it.
type daemon struct {
	keeper      *ladder.Keeper
	republisher *republisher.Republisher
	publisher   *publisher.Publisher
	stop        func()
}

// start starts a daemon without any key.
func start(t *testing.T, store *recordstore.Memory, rows recordstore.Rows, router routing.Router) *daemon {
	book := &names.Book{Store: store}
	d := &daemon{publisher: &publisher.Publisher{Book: book, Router: router}}
	d.keeper = &ladder.Keeper{Book: book, Rows: rows, Put: func(ctx context.Context, rec *ipns.Record) error {
		_, err := d.publisher.Put(ctx, rec, publisher.PutRequest{Wait: publisher.WaitStored})
		return err
	}}
	d.republisher = &republisher.Republisher{Book: book, Router: router, Outlook: func(e recordstore.Entry) republisher.Outlook {
		l := d.keeper.Outlook(e)
		return republisher.Outlook{Signed: l.Ladder, Risk: l.Risk}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	// Book.Run and Publisher.Run do nothing here, once a second of the year.
	parts := []func(context.Context) error{d.keeper.Run, d.republisher.Run}
	if *long {
		parts = append(parts, book.Run, d.publisher.Run)
	}
	done := make(chan struct{}, len(parts))
	for _, run := range parts {
		go func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			done <- struct{}{}
		}()
	}
	d.stop = func() {
		cancel()
		for range cap(done) {
			<-done
		}
		short, end := context.WithCancel(context.Background())
		end() // what is being announced is cut off, as by kill -9
		_ = d.publisher.Close(short)
	}
	return d
}

// A name with a ladder of twelve steps outlives a year without its key: somebody else finds
// it whenever they look, though its daemon is killed every few weeks, and servers come and go. In the
// last weeks it is at risk, and after its end it is gone.
func TestANameWithATwelveStepLadderOutlivesAYearWithoutItsKey(t *testing.T) {
	servers, look, every := 24, 7, 31
	if *long {
		servers, look = 100, 1
	}
	if testing.Short() {
		every = 4 // 59 days
	}
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Config{Servers: servers, Profile: simnet.Ideal, Seed: 1})
		t.Cleanup(net.Close)
		router := join(t, net, "daemon")
		key := recordstoretest.KeyFromSeed(t, 1)
		begin := time.Now()
		r := &ladder.Request{Name: key.Name, Made: begin, Steps: []ladder.Want{{Value: "/ipfs/bafkqaaa", EOL: begin.Add(day), TTL: time.Minute}}}
		if err := r.Repeat(time.Duration(every)*day, 12, 0); err != nil {
			t.Fatal(err)
		}
		desk := &ladder.Desk{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: &recordstore.MemoryRows{}}
		file, err := desk.Sign(t.Context(), key.Signer, r, false)
		if err != nil {
			t.Fatal(err)
		}
		l, recs, err := ladder.Decode(file)
		if err != nil {
			t.Fatal(err)
		}

		store, rows := recordstore.NewMemory(), &recordstore.MemoryRows{}
		d := start(t, store, rows, router)
		if _, err := d.keeper.Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}
		lastDay := 12*every + 15
		end := begin.Add(time.Duration(lastDay) * day)
		if !recs[11].EOL().Equal(end.Truncate(time.Second)) {
			t.Fatalf("the ladder ends %v, and should %v", recs[11].EOL(), end)
		}
		released := map[[32]byte]bool{}
		for today := 1; today < lastDay; today++ {
			time.Sleep(day)
			if today%23 == 0 {
				d.stop()
				time.Sleep(5 * time.Hour)
				d = start(t, store, rows, router)
				time.Sleep(19 * time.Hour)
				today++
			}
			if today%10 == 0 {
				net.Replace(0.2)
			}
			if today%look != 0 || today >= lastDay {
				continue
			}
			var found *ipns.Record
			for a, err := range router.Search(t.Context(), key.Name) {
				if err == nil && a.Record != nil && (found == nil || ipns.Compare(a.Record, found) > 0) {
					found = a.Record
				}
			}
			if found == nil || found.Expired(time.Now()) {
				t.Fatalf("day %d: nobody finds the name: %v", today, found)
			}
			released[found.Hash()] = true
			risk := len(d.republisher.Status().AtRisk) > 0
			left, warning := time.Until(end), min(45*day, end.Sub(begin)/4)
			if left < warning-day && !risk || risk && left > warning+day {
				t.Fatalf("day %d: at risk: %v", today, d.republisher.Status().AtRisk)
			}
		}
		if len(released) < 12 && every > look {
			t.Errorf("%d records were seen, want all 12", len(released))
		}
		time.Sleep(2 * day)
		s, err := d.keeper.Status(t.Context(), key.Name)
		if err != nil || s == nil || s.Left != 0 || s.Risk == "" {
			t.Errorf("after the end: %+v, %v", s, err)
		}
		d.stop()
	})
}
