package backup

import (
	"bytes"
	"context"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// switched is a network that can be away, and notes what is put.
type switched struct {
	*routingtest.Network
	mu   sync.Mutex
	away bool
	put  []*ipns.Record
	sign int // signers that were asked for while it was away
}

func (s *switched) isAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}

func (s *switched) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	s.mu.Lock()
	s.put = append(s.put, rec)
	s.mu.Unlock()
	return s.Network.Put(ctx, rec, look) // though it is away: a put then would reach some
}

func (s *switched) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	if s.isAway() {
		return func(yield func(routing.Answer, error) bool) { yield(routing.Answer{}, routing.ErrAway) }
	}
	return s.Network.Search(ctx, name)
}

// TestNothingRestoredIsPutBeforeTheNetworkWasAsked runs what announces, renews and releases on a
// restored store: with an own name that is due for renewal, a hosted one, one as a follow
// hosts it, and one with a ladder. Others have newer records of all. R5.
func TestNothingRestoredIsPutBeforeTheNetworkWasAsked(t *testing.T) {
	r, secret := small(t), cheap(t)
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		begin := time.Now()
		own, hosted, followed, climbing := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2), recordstoretest.KeyFromSeed(t, 3), recordstoretest.KeyFromSeed(t, 4)
		store, rows := recordstore.NewMemory(), &recordstore.MemoryRows{}
		book := &names.Book{Store: store}
		for _, k := range []recordstoretest.Key{own, hosted, followed} {
			in := names.Entrance{Origin: recordstore.Hosted}
			switch k.Name {
			case own.Name:
				in.Origin = recordstore.Own
			case hosted.Name:
				in.Tenant = "ann"
			}
			if _, err := book.Take(t.Context(), k.Record(t, 3, "/ipfs/bafkqaaa/old", begin.Add(4*day)), in); err != nil {
				t.Fatal(err)
			}
		}
		want := &ladder.Request{Name: climbing.Name, Made: begin, Steps: []ladder.Want{{Value: "/ipfs/bafkqaaa/old", EOL: begin.Add(day), TTL: time.Minute}}}
		if err := want.Repeat(31*day, 3, 0); err != nil {
			t.Fatal(err)
		}
		file, err := (&ladder.Desk{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: &recordstore.MemoryRows{}}).Sign(t.Context(), climbing.Signer, want, false)
		if err != nil {
			t.Fatal(err)
		}
		l, recs, err := ladder.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&ladder.Keeper{Book: book, Rows: rows}).Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}

		var lines bytes.Buffer
		if err := Dump(t.Context(), &lines, Store{Book: book, Rows: rows}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "names.age")
		if _, err := Save(t.Context(), path, Source{Repo: r, Names: &lines}, secret); err != nil {
			t.Fatal(err)
		}
		store, rows = recordstore.NewMemory(), &recordstore.MemoryRows{}
		_, err = Restore(t.Context(), Restoration{
			Path: path, Secret: secret, Into: repo.Repo(filepath.Join(t.TempDir(), "r")),
			Open: func(_ context.Context, _ repo.Repo, f func(Names) error) error {
				return f(Names{Store: store, Notes: store, Marks: store, Rows: rows})
			},
		})
		if err != nil {
			t.Fatal(err)
		}

		net := &switched{Network: routingtest.New(24), away: true}
		newer := map[ipns.Name]*ipns.Record{}
		for _, k := range []recordstoretest.Key{own, hosted, followed, climbing} {
			rec := k.Record(t, 9, "/ipfs/bafkqaaa/new", begin.Add(20*day))
			newer[k.Name] = rec
			for _, s := range net.Closest(k.Name) {
				s.Hold(k.Name, rec.Raw())
			}
		}
		book = &names.Book{Store: store}
		signer := func(context.Context, ipns.Name) (ipns.Signer, error) { // own is the only own name
			net.mu.Lock()
			defer net.mu.Unlock()
			if net.away {
				net.sign++
			}
			return own.Signer, nil
		}
		p := &publisher.Publisher{Book: book, Router: net, Signers: signer}
		keeper := &ladder.Keeper{
			Book: book, Rows: rows,
			Put: func(ctx context.Context, rec *ipns.Record) error {
				_, err := p.Put(ctx, rec, publisher.PutRequest{Wait: publisher.WaitStored})
				return err
			},
			Ask: func(ctx context.Context, name ipns.Name) error {
				for a, err := range net.Search(ctx, name) {
					if err == nil && a.Record != nil {
						_, err = book.Take(ctx, a.Record, names.Entrance{})
					}
					if err != nil {
						return err
					}
				}
				return nil
			},
		}
		rep := &republisher.Republisher{Book: book, Router: net, Signers: signer, Outlook: func(e recordstore.Entry) republisher.Outlook {
			return republisher.Outlook{Signed: keeper.Outlook(e).Ladder}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, run := range []func(context.Context) error{keeper.Run, rep.Run, p.Run} {
			running.Go(func() { _ = run(ctx) })
		}
		time.Sleep(3 * day) // the records have one more
		net.mu.Lock()
		if len(net.put) > 0 || net.sign > 0 {
			t.Errorf("%d records were put and %d signers asked for before the network answered", len(net.put), net.sign)
		}
		net.put, net.away = nil, false
		net.mu.Unlock()
		time.Sleep(30 * time.Hour) // a period
		cancel()
		running.Wait()
		puts := map[ipns.Name]int{}
		for _, rec := range net.put {
			if puts[rec.Name()]++; rec.Sequence() < 9 || rec.Value() != "/ipfs/bafkqaaa/new" {
				t.Errorf("%s was put with sequence %d and %s", rec.Name(), rec.Sequence(), rec.Value())
			}
		}
		for _, k := range []recordstoretest.Key{own, hosted, followed} {
			e, err := book.Get(t.Context(), k.Name)
			if err != nil || e.Record.Value() != newer[k.Name].Value() || puts[k.Name] == 0 {
				t.Errorf("%s: %v, %v, put %d times", k.Name, e.Record, err, puts[k.Name])
			}
		}
	})
}
