package watch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// A receiver that has taken something a moment ago is left alone for moments only, however
// often it fails in a row by chance. One that is away is left alone more and more, from its
// last success on and not at once.
func TestAReceiverThatTakesSomeIsNotLeftAloneForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := false
		in := &inbox{answer: func(_ *http.Request, n int) (int, error) {
			if away || n%13 != 1 { // twelve failures after each success
				return http.StatusServiceUnavailable, nil
			}
			return http.StatusOK, nil
		}}
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, in)
		h.add(t, watch.Webhook{URL: "https://example.com/"})
		const all = 60
		for i := range uint64(all) {
			h.put(t, recordstoretest.KeyFromSeed(t, i), 1)
		}
		time.Sleep(time.Minute)
		in.mu.Lock()
		for i := 1; i < len(in.at); i++ {
			// A pause is of a second, and then the next is due after a random time; pauses that
			// grow with each of twelve failures are of a minute.
			if d := in.at[i].Sub(in.at[i-1]); d > 5*time.Second {
				t.Errorf("left alone for %s", d)
			}
		}
		in.mu.Unlock()
		if _, taken := in.count(); taken < 5 {
			t.Fatalf("%d were taken in a minute", taken)
		}
		in.mu.Lock()
		away, in.at = true, nil
		in.mu.Unlock()
		for i := range uint64(all) {
			h.put(t, recordstoretest.KeyFromSeed(t, i), 2)
		}
		time.Sleep(time.Hour)
		in.mu.Lock()
		defer in.mu.Unlock()
		if n := len(in.at); n < 20 || n > 90 {
			t.Errorf("it was tried %d times in the hour in which it was away", n)
		}
		for i := 1; i < len(in.at); i++ {
			if d, since := in.at[i].Sub(in.at[i-1]), in.at[i-1].Sub(in.at[0]); d > 3*time.Second+3*since {
				t.Errorf("left alone for %s when it had failed for %s", d, since)
			}
		}
	})
}

// What waits since a clock was ahead is sent when the clock is right again.
func TestWhatWaitsDoesNotWaitForAClockThatWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		store, rows := recordstore.NewMemory(), &recordstore.MemoryRows{}
		h := runHooks(t, store, rows, in)
		hook := h.add(t, watch.Webhook{URL: "https://example.com/"})
		h.stop()
		k := recordstoretest.NewKey(t)
		h.put(t, k, 1)
		rec, err := h.book.Get(t.Context(), k.Name)
		if err != nil {
			t.Fatal(err)
		}
		year := time.Now().AddDate(1, 0, 0)
		letter := fmt.Sprintf(`{"Kind":1,"Record":%s,"Since":%s,"Next":%s,"Tries":1}`, asJSON(t, rec.Record.Raw()), asJSON(t, year), asJSON(t, year))
		if _, err := rows.Swap(t.Context(), recordstore.Row{Table: "webhook-waiting", Key: hook.ID + "/" + k.Name.String(), Value: []byte(letter)}); err != nil {
			t.Fatal(err)
		}
		runHooks(t, store, rows, in)
		time.Sleep(time.Minute)
		if got := in.sequences(k.Name); len(got) == 0 {
			t.Error("it was not sent")
		}
	})
}

// Events without a record are told apart: a receiver that drops what has an ID that it
// knows would miss the second one.
func TestNamesThatGoTwiceAreTwoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ids := make(map[string]int)
		to := roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			ids[r.Header.Get("Webhook-Id")]++
			mu.Unlock()
			return (&inbox{}).RoundTrip(r)
		})
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, to)
		k := recordstoretest.NewKey(t)
		h.put(t, k, 1)
		h.add(t, watch.Webhook{URL: "https://example.com/", Names: []string{k.Name.String()}})
		for sequence := uint64(2); sequence < 4; sequence++ {
			h.put(t, k, sequence)
			time.Sleep(2 * watch.MinPoll)
			e, err := h.book.Get(t.Context(), k.Name)
			if err == nil {
				err = h.book.Forget(t.Context(), e, recordstore.Lease{})
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * watch.MinPoll)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(ids) != 4 {
			t.Errorf("%d IDs of two changes and two ends: %v", len(ids), ids)
		}
	})
}

// Warnings about more names than may wait become dead letters: they are neither lost nor in
// memory.
func TestWarningsThatFindNoRoomAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(*http.Request, int) (int, error) { return 0, errors.New("away") }}
		h := runHooks(t, recordstore.NewMemory(), &recordstore.MemoryRows{}, in)
		hook := h.add(t, watch.Webhook{URL: "https://example.com/"})
		const more = 3
		for i := range uint64(watch.MaxWaiting + more) {
			k := recordstoretest.KeyFromSeed(t, i)
			h.put(t, k, 1)
			if err := h.Warn(t.Context(), k.Name); err != nil {
				t.Fatal(err)
			}
		}
		list, err := h.List(t.Context())
		if err != nil || list[0].Waiting != watch.MaxWaiting || list[0].Dead != more {
			t.Errorf("%d wait, %d are dead, %v", list[0].Waiting, list[0].Dead, err)
		}
		if n, err := h.Replay(context.Background(), hook.ID); err != nil || n != more {
			t.Errorf("%d replayed, %v", n, err)
		}
	})
}

// The address of a webhook may have a secret in it, which errors do not repeat.
func TestErrorsOfWebhooksDoNotRepeatTheAddress(t *testing.T) {
	h, b := realHooks(t)
	if _, err := h.Add(t.Context(), watch.Webhook{URL: "http://127.0.0.1:1/services/hidden"}); err != nil {
		t.Fatal(err)
	}
	enter(t, b, recordstoretest.NewKey(t).Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)))
	if got := failure(t, h); strings.Contains(got, "hidden") {
		t.Errorf("it says %q", got)
	}
}
