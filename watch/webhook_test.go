package watch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// inbox is what receivers got, and how they answer.
type inbox struct {
	mu     sync.Mutex
	answer func(r *http.Request, n int) (int, error) // nil: 204
	tries  int
	posts  []watch.Post // that were taken
	at     []time.Time
	secret []byte
	wrong  int // signatures
}

func (b *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	b.at = append(b.at, time.Now())
	status := http.StatusNoContent
	if b.answer != nil {
		if status, err = b.answer(r, b.tries); err != nil {
			return nil, err
		}
	}
	if b.secret != nil && r.Header.Get("Webhook-Signature") != watch.Sign(b.secret, r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body) {
		b.wrong++
	}
	var p watch.Post
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	if status < 300 {
		b.posts = append(b.posts, p)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// sequences returns the sequences that came of a name, in their order.
func (b *inbox) sequences(name ipns.Name) (list []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.posts {
		if p.Data.Name == name.String() && p.Data.Sequence != nil {
			list = append(list, *p.Data.Sequence)
		}
	}
	return list
}

func (b *inbox) count() (tries, taken int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries, len(b.posts)
}

// hooks are webhooks that run until the test stops them.
type hooks struct {
	*watch.Webhooks
	book *names.Book
	stop func()
}

func runHooks(t *testing.T, store *recordstore.Memory, rows recordstore.Rows, to http.RoundTripper) *hooks {
	t.Helper()
	begin := time.Now()
	b := &names.Book{Store: store, Now: func() time.Time { return epoch.Add(time.Since(begin)) }}
	h := &hooks{book: b, Webhooks: &watch.Webhooks{Names: &watch.Names{Book: b}, Rows: rows, Transport: to}}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := h.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	h.stop = sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(h.stop)
	synctest.Wait()
	return h
}

func (h *hooks) add(t *testing.T, hook watch.Webhook) watch.Webhook {
	t.Helper()
	hook, err := h.Add(t.Context(), hook)
	if err != nil {
		t.Fatal(err)
	}
	return hook
}

func (h *hooks) put(t *testing.T, k recordstoretest.Key, sequence uint64) {
	t.Helper()
	rec := k.Record(t, sequence, "/ipfs/bafkqaaa", epoch.Add(1000*time.Hour))
	if _, err := h.book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
		t.Fatal(err)
	}
}

func TestAWebhookIsToldOfWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, in)
		k, other := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
		h.put(t, k, 1)
		hook := h.add(t, watch.Webhook{URL: "https://example.com/hook", Names: []string{k.Name.String()}})
		in.secret = hook.Secret
		h.put(t, k, 2)
		h.put(t, other, 7)
		synctest.Wait()
		if got := in.sequences(k.Name); len(got) != 1 || got[0] != 2 || len(in.posts) != 1 {
			t.Fatalf("%d, %+v", got, in.posts)
		}
		if p := in.posts[0]; p.Type != "name.changed" || p.Data.Value != "/ipfs/bafkqaaa" || in.wrong != 0 {
			t.Errorf("%+v, %d wrong signatures", p, in.wrong)
		}
		list, err := h.List(t.Context())
		if err != nil || len(list) != 1 || list[0].Secret != nil || list[0].Waiting != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := h.Remove(t.Context(), hook.ID); err != nil {
			t.Fatal(err)
		}
		h.put(t, k, 3)
		time.Sleep(time.Hour)
		if got := in.sequences(k.Name); len(got) != 1 {
			t.Errorf("after it was removed: %d", got)
		}
		if _, err := h.Remove(t.Context(), hook.ID); !errors.Is(err, watch.ErrNoWebhook) {
			t.Errorf("removed again: %v", err)
		}
	})
}

// What a receiver does not take is sent again with growing pauses, for 24 hours, and is then
// a dead letter, which can be replayed: with the newest by then.
func TestWhatIsNotTakenBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(*http.Request, int) (int, error) { return http.StatusInternalServerError, nil }}
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, in)
		k := recordstoretest.NewKey(t)
		hook := h.add(t, watch.Webhook{URL: "https://example.com/hook", Names: []string{k.Name.String()}})
		h.put(t, k, 1)
		time.Sleep(watch.GiveUp - time.Hour)
		if dead, err := h.Dead(t.Context(), hook.ID); err != nil || len(dead) != 0 {
			t.Fatalf("before its time: %+v, %v", dead, err)
		}
		time.Sleep(3 * time.Hour)
		dead, err := h.Dead(t.Context(), "")
		if err != nil || len(dead) != 1 || dead[0].Sequence != 1 || dead[0].Webhook != hook.ID || dead[0].Name != k.Name.String() {
			t.Fatalf("%+v, %v", dead, err)
		}
		tries, _ := in.count()
		if tries < 20 || tries > 60 || dead[0].Tries != tries {
			t.Errorf("%d tries, %d of them counted", tries, dead[0].Tries)
		}
		time.Sleep(48 * time.Hour)
		if again, _ := in.count(); again != tries {
			t.Errorf("a dead letter was sent %d times", again-tries)
		}
		in.mu.Lock()
		in.answer = nil
		in.mu.Unlock()
		h.put(t, k, 2)
		time.Sleep(time.Hour)
		if n, err := h.Replay(t.Context(), hook.ID); err != nil || n != 1 {
			t.Fatalf("%d replayed, %v", n, err)
		}
		time.Sleep(time.Minute)
		if got := in.sequences(k.Name); len(got) == 0 || got[0] != 2 || got[len(got)-1] != 2 {
			t.Errorf("it got %d", got)
		}
		if dead, err := h.Dead(t.Context(), hook.ID); err != nil || len(dead) != 0 {
			t.Errorf("after the replay: %+v, %v", dead, err)
		}
	})
}

// A receiver that hangs or fails holds up no other, and is left alone more and more.
func TestAReceiverThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		var slow atomic.Int64
		to := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow.example" {
				slow.Add(1)
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return in.RoundTrip(r)
		})
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, to)
		h.add(t, watch.Webhook{URL: "https://slow.example/"})
		h.add(t, watch.Webhook{URL: "https://quick.example/"})
		keys := make([]recordstoretest.Key, 100)
		for i := range keys {
			keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
			h.put(t, keys[i], 1)
		}
		synctest.Wait()
		if _, taken := in.count(); taken != len(keys) {
			t.Errorf("the other one got %d of %d", taken, len(keys))
		}
		time.Sleep(time.Hour)
		if n := slow.Load(); n < 5 || n > 20 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		list, err := h.List(t.Context())
		if err != nil || len(list) != 2 || list[0].Failures == 0 && list[1].Failures == 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Receivers that fail half of the time, in a node that is ended again and again between any
// two of its writes, get the newest of every name that changed, and never an older one after
// a newer one.
func TestNoChangeIsLostByFailuresAndCrashes(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random, luck := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // luck is the inbox's, which has a lock
			store, disk := recordstore.NewMemory(), &recordstore.MemoryRows{}
			in := &inbox{answer: func(*http.Request, int) (int, error) {
				switch luck.IntN(4) {
				case 0:
					return http.StatusInternalServerError, nil
				case 1:
					return 0, io.ErrUnexpectedEOF
				}
				return http.StatusOK, nil
			}}
			keys := make([]recordstoretest.Key, 5)
			for i := range keys {
				keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
			}
			newest := make(map[ipns.Name]uint64)
			rows := &dying{Rows: disk}
			h := runHooks(t, store, rows, in)
			h.add(t, watch.Webhook{URL: "https://example.com/"})
			for range 8 {
				for range random.IntN(20) {
					k := keys[random.IntN(len(keys))]
					newest[k.Name]++
					h.put(t, k, newest[k.Name])
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(5)) * time.Second)
					}
				}
				rows.die(random.IntN(6)) // no write after some more
				time.Sleep(time.Duration(random.IntN(5)) * time.Second)
				h.stop()
				rows = &dying{Rows: disk}
				h = runHooks(t, store, rows, in)
			}
			time.Sleep(10 * watch.GiveUp)
			for name, want := range newest {
				got := in.sequences(name)
				for i := 1; i < len(got); i++ {
					if got[i] < got[i-1] {
						t.Errorf("seed %d: %d of one name", seed, got)
					}
				}
				if len(got) == 0 || got[len(got)-1] != want {
					t.Errorf("seed %d: it got %d, the newest is %d", seed, got, want)
				}
			}
		})
	}
}

// dying are rows that take no more writes after some, as those of a process that was killed.
type dying struct {
	recordstore.Rows
	mu   sync.Mutex
	left *int
}

func (d *dying) die(after int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = &after
}

func (d *dying) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left != nil {
		if *d.left == 0 {
			return recordstore.Row{}, errors.New("the process was killed")
		}
		*d.left--
	}
	return d.Rows.Swap(ctx, r)
}

func TestBadWebhooksAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, &inbox{})
		for _, url := range []string{"", "x", "ftp://example.com", "http://", "https://user:word@example.com/", "https://example.com/#x", "https://example.com/" + string(bytes.Repeat([]byte("x"), 3000))} {
			if _, err := h.Add(t.Context(), watch.Webhook{URL: url}); err == nil {
				t.Errorf("%.50q is taken", url)
			}
		}
		if _, err := h.Add(t.Context(), watch.Webhook{URL: "https://example.com", Names: []string{"x"}}); err == nil {
			t.Error("a bad name is taken")
		}
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
