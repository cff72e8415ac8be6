package publisher_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var long = flag.Bool("long", false, "run the tests at full length")

// asked is what a client asked about a name, and told what it got.
type (
	asked struct {
		name  int
		value string  // empty: only read
		cond  *uint64 // publish only if this is the last sequence
	}
	told struct {
		refused bool
		version // the version published, read, or shown to a refused client
	}
	version struct {
		some  bool // the name has a record
		seq   uint64
		value string
	}
)

// register is the model of a name as clients should see it: a value with a sequence that
// grows by one whenever the value changes.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byName := map[int][]porcupine.Operation{}
		for _, op := range history {
			n := op.Input.(asked).name
			byName[n] = append(byName[n], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byName {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return version{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(version), input.(asked), output.(told)
		if in.value == "" {
			return out.version == now, now
		}
		allowed := in.cond == nil || now.some && now.seq == *in.cond
		if out.refused {
			return !allowed && out.version == now, now
		}
		next := version{true, now.seq + 1, in.value}
		if !now.some {
			next.seq = 0
		} else if now.value == in.value {
			next.seq = now.seq
		}
		return allowed && out.version == next, next
	},
}

// TestNoSequenceHasTwoValues: clients of two publishers that share a store publish to the
// same names, with and without conditions. Their histories must be those of a register,
// and no sequence may ever have two values. R3.
func TestNoSequenceHasTwoValues(t *testing.T) {
	histories, ops := 6, 60
	if *long {
		histories, ops = 100, 1000
	}
	begin := time.Now()
	total, refused := 0, 0
	for h := range histories {
		history, used := linearHistory(t, uint64(h), ops)
		if result := porcupine.CheckOperationsTimeout(register, history, time.Minute); result != porcupine.Ok {
			t.Fatalf("history %d: %v", h, result)
		}
		for version, hash := range used {
			if len(hash) != 1 {
				t.Fatalf("history %d: %v has %d data hashes", h, version, len(hash))
			}
		}
		total += len(history)
		for _, op := range history {
			if op.Output.(told).refused {
				refused++
			}
		}
	}
	t.Logf("%d histories, %d operations of 10 clients, %d refused: all linearizable, 0 equivocations, in %v",
		histories, total, refused, time.Since(begin).Round(time.Millisecond))
	if refused == 0 {
		t.Error("no client was ever refused")
	}
}

type nameAndSequence struct {
	name int
	seq  uint64
}

// linearHistory runs 10 clients and returns their requests and results, and the data
// hashes used for each sequence.
func linearHistory(t *testing.T, seed uint64, ops int) ([]porcupine.Operation, map[nameAndSequence]map[[32]byte]bool) {
	const clients, nameCount = 10, 3
	now := func() time.Time { return epoch }
	var store recordstore.Store = recordstore.NewMemory()
	var publishers []*publisher.Publisher
	for range 2 {
		publishers = append(publishers, &publisher.Publisher{Book: &names.Book{Store: store, Now: now}, Now: now})
	}
	var keys []recordstoretest.Key
	for n := range nameCount {
		k := recordstoretest.KeyFromSeed(t, uint64(n))
		keys = append(keys, k)
		if err := publishers[0].Book.Create(t.Context(), k.Name); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	used := map[nameAndSequence]map[[32]byte]bool{}
	start := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(c)))
			p := publishers[c%len(publishers)]
			var last [nameCount]uint64 // as known to this client
			for i := range ops {
				in := asked{name: rng.IntN(nameCount)}
				if rng.IntN(4) > 0 {
					in.value = fmt.Sprintf("/ipfs/bafkqaaa/%d", rng.IntN(8))
				}
				if rng.IntN(2) == 0 {
					seq := last[in.name]
					in.cond = &seq
				}
				call := int64(time.Since(start))
				out, rec := ask(t, p, keys[in.name], in)
				op := porcupine.Operation{ClientId: c, Input: in, Call: call, Output: out, Return: int64(time.Since(start))}
				last[in.name] = out.seq
				mu.Lock()
				history = append(history, op)
				if rec != nil {
					at := nameAndSequence{in.name, rec.Sequence()}
					if used[at] == nil {
						used[at] = map[[32]byte]bool{}
					}
					used[at][rec.DataHash()] = true
				}
				mu.Unlock()
				if i%16 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	return history, used
}

func ask(t *testing.T, p *publisher.Publisher, k recordstoretest.Key, in asked) (told, *ipns.Record) {
	see := func(rec *ipns.Record) version {
		if rec == nil {
			return version{}
		}
		return version{true, rec.Sequence(), rec.Value()}
	}
	if in.value == "" {
		e, err := p.Book.Get(t.Context(), k.Name)
		if err != nil {
			t.Error(err)
		}
		return told{version: see(e.Record)}, e.Record
	}
	res, err := p.Publish(context.Background(), k.Signer, publisher.Request{
		Value: in.value, IfSequence: in.cond, Form: ipns.V2Only, Wait: publisher.WaitStored,
	})
	var conflict *publisher.IfSequenceError
	if errors.As(err, &conflict) {
		return told{refused: true, version: see(conflict.Current)}, conflict.Current
	}
	if err != nil {
		t.Error(err)
		return told{}, nil
	}
	return told{version: see(res.Record)}, res.Record
}
