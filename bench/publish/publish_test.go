// Package publish_test measures durable publishes beside those of boxo's
// publisher: the next record of a name is made, signed twice (V1+V2), written, and
// on disk when the call returns. Nobody announces anything.
package publish_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/namesys"
	"github.com/ipfs/boxo/path"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"
	pebbleds "github.com/ipfs/go-ds-pebble"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	store "github.com/goipns/ipns/recordstore/pebble"
)

var long = flag.Bool("long", false, "measure for longer, and fail below the goals")

// maxWriters is how many keys there are: every writer has its own name.
const maxWriters = 64

// contender publishes the n-th value of a writer's name and returns when it is on
// disk.
type contender struct {
	name    string
	publish func(ctx context.Context, writer, n int) error
}

func keys(t testing.TB) []crypto.PrivKey {
	var list []crypto.PrivKey
	for range maxWriters {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
	}
	return list
}

func value(n int) string {
	return fmt.Sprintf("/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/%d", n)
}

func ours(t testing.TB) contender {
	dir := t.TempDir()
	disk := &store.Disk{Dir: filepath.Join(dir, "db")}
	db, err := store.OpenDB(t.Context(), disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.New(db, store.Options{Disk: disk, Witness: filepath.Join(dir, "witness")})
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher.Publisher{Book: &names.Book{Store: s}}
	t.Cleanup(func() { p.Close(context.Background()); s.Close(); db.Close() })
	var signers []ipns.Signer
	for _, k := range keys(t) {
		name, err := ipns.NameOf(k.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Book.Create(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		signers = append(signers, ipns.NewSigner(k))
	}
	return contender{"ours, pebble", func(ctx context.Context, writer, n int) error {
		_, err := p.Publish(ctx, signers[writer], publisher.Request{Value: value(n), Wait: publisher.WaitStored})
		return err
	}}
}

// nowhere is a network on which nothing is found and everything is taken.
type nowhere struct{}

func (nowhere) PutValue(context.Context, string, []byte, ...routing.Option) error { return nil }
func (nowhere) GetValue(context.Context, string, ...routing.Option) ([]byte, error) {
	return nil, routing.ErrNotFound
}

func (nowhere) SearchValue(context.Context, string, ...routing.Option) (<-chan []byte, error) {
	return nil, routing.ErrNotFound
}

func boxo(t testing.TB, name string, d ds.Batching) contender {
	p := namesys.NewIPNSPublisher(nowhere{}, dssync.MutexWrap(d))
	list := keys(t)
	return contender{name, func(ctx context.Context, writer, n int) error {
		v, err := path.NewPath(value(n))
		if err != nil {
			return err
		}
		return p.Publish(ctx, list[writer], v)
	}}
}

func boxoLevelDB(t testing.TB) contender {
	d, err := leveldb.NewDatastore(t.TempDir(), nil) // syncs every write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return boxo(t, "boxo, go-ds-leveldb", d)
}

func boxoPebble(t testing.TB) contender {
	d, err := pebbleds.NewDatastore(t.TempDir(), pebbleds.WithPebbleWriteOptions(pebble.NoSync)) // its Sync does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return boxo(t, "boxo, go-ds-pebble", d)
}

// rate has the writers publish for some time and returns the publishes per second.
func rate(t testing.TB, c contender, writers int, length time.Duration) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range writers {
		wg.Go(func() {
			// Values of an earlier call must not come again: boxo signs no new
			// sequence for the same value.
			for n := int(begin.UnixNano() % 1e12); ctx.Err() == nil; n++ {
				if err := c.publish(context.Background(), w, n); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

// TestDurablePublishes measures all in turns, so that a busy machine is busy for
// all of them, and compares the medians of what each round gave. With one writer
// the disk decides, and the goal is to be no slower than boxo on either datastore;
// with many it is to be five times as fast as boxo on the one that Kubo uses.
func TestDurablePublishes(t *testing.T) {
	rounds, length, share := 5, 100*time.Millisecond, 1.0/3 // of a goal that must be reached
	if *long {
		rounds, length, share = 25, 500*time.Millisecond, 1
	}
	contenders := []contender{ours(t), boxoLevelDB(t), boxoPebble(t)}
	goals := map[int][]float64{1: {1, 0.9, 0.9}, maxWriters: {1, 5, 1}} // times the contender
	for _, writers := range []int{1, maxWriters} {
		rates, ratios := make([][]float64, len(contenders)), make([][]float64, len(contenders))
		below := func() bool {
			for i, goal := range goals[writers] {
				if median(ratios[i]) < share*goal {
					return true
				}
			}
			return false
		}
		// A few short rounds may all meet a disk that others use: then there are more.
		for n := 0; n < rounds || n < 25 && below(); n++ {
			var mine float64
			for i, c := range contenders {
				r := rate(t, c, writers, length)
				if i == 0 {
					mine = r
				}
				rates[i] = append(rates[i], r)
				ratios[i] = append(ratios[i], mine/r)
			}
		}
		for i, c := range contenders {
			ratio, goal := median(ratios[i]), goals[writers][i]
			t.Logf("%2d writers  %-20s %7.0f publishes/s; ours are %.2f times as many", writers, c.name, median(rates[i]), ratio)
			if ratio < share*goal {
				t.Errorf("%d writers: %.2f times %s, the goal is %.1f", writers, ratio, c.name, goal)
			}
		}
	}
}

func median(list []float64) float64 {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
