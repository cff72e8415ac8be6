package watch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// realHooks are webhooks with their own transport.
func realHooks(t *testing.T) (*watch.Webhooks, *names.Book) {
	t.Helper()
	b := newBook()
	h := &watch.Webhooks{Names: &watch.Names{Book: b}, Rows: &recordstore.MemoryRows{}}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return h, b
}

// failure waits until a webhook has failed, and returns why.
func failure(t *testing.T, h *watch.Webhooks) string {
	t.Helper()
	for {
		list, err := h.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Error != "" {
			return list[0].Error
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPrivateAddressesAndRedirectsAreRefused(t *testing.T) {
	var asked atomic.Int64
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer private.Close()
	redirects := httptest.NewServer(http.RedirectHandler(private.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	for what, c := range map[string]struct {
		hook watch.Webhook
		want string
	}{
		"an address of this machine": {watch.Webhook{URL: private.URL}, "not a public one"},
		"a name of this machine":     {watch.Webhook{URL: strings.Replace(private.URL, "127.0.0.1", "localhost", 1)}, "not a public one"},
		"mapped into IPv6":           {watch.Webhook{URL: strings.Replace(private.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1)}, "not a public one"},
		"a redirect":                 {watch.Webhook{URL: redirects.URL, Private: true}, "redirects are not followed"},
	} {
		t.Run(what, func(t *testing.T) {
			h, b := realHooks(t)
			if _, err := h.Add(t.Context(), c.hook); err != nil {
				t.Fatal(err)
			}
			enter(t, b, recordstoretest.NewKey(t).Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)))
			if got := failure(t, h); !strings.Contains(got, c.want) {
				t.Errorf("it says %q", got)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// Of a long answer only the beginning is read.
func TestALongAnswerIsNotRead(t *testing.T) {
	written := make(chan int64, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30)) // until the client leaves
		written <- n
	}))
	defer s.Close()
	h, b := realHooks(t)
	hook, err := h.Add(t.Context(), watch.Webhook{URL: s.URL, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	enter(t, b, recordstoretest.NewKey(t).Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)))
	if n := <-written; n >= 64<<20 { // what the kernel and the server hold
		t.Errorf("%d bytes were read", n)
	}
	for { // it was taken: the status says so
		list, err := h.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Waiting == 0 && list[0].Failures == 0 {
			break
		}
	}
	if dead, err := h.Dead(t.Context(), hook.ID); err != nil || len(dead) != 0 {
		t.Errorf("%+v, %v", dead, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
