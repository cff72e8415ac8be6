package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

// script is a resolver that answers as it is told.
type script struct {
	Resolver
	answers []told
	known   *told // by others, from then on
	began   time.Time
}

// told is an answer, so long after the request.
type told struct {
	at    time.Duration
	path  string
	stale bool
	final bool
	err   error
}

func (a told) resolution() resolver.Resolution {
	return resolver.Resolution{Path: a.path, TTL: time.Minute, Final: a.final, Hops: []resolver.Hop{{Root: "x", Value: a.path, Stale: a.stale}}}
}

func (s *script) Stream(ctx context.Context, _ string, o resolver.Options) iter.Seq2[resolver.Resolution, error] {
	return func(yield func(resolver.Resolution, error) bool) {
		for _, a := range s.answers {
			select {
			case <-time.After(time.Until(s.began.Add(a.at))):
			case <-ctx.Done():
				yield(resolver.Resolution{}, context.Cause(ctx))
				return
			}
			if a.err != nil {
				yield(resolver.Resolution{}, a.err)
				return
			}
			if !yield(a.resolution(), nil) {
				return
			}
		}
	}
}

func (s *script) Known(context.Context, string) (resolver.Resolution, bool) {
	if s.known == nil || time.Since(s.began) < s.known.at {
		return resolver.Resolution{}, false
	}
	return s.known.resolution(), true
}

func (s *script) Last(context.Context, ipns.Name) (*ipns.Record, recordstore.Mark, error) {
	return nil, recordstore.Mark{}, nil
}

// fetching serves what a path leads to; each takes its time to fetch, or as long as the request.
func fetching(takes map[string]time.Duration, log *[]string) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		res, err := visitOf(ctx).resolve(ctx, r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		mu.Lock()
		*log = append(*log, res.Path)
		mu.Unlock()
		w.Header().Set("From", res.Path)
		wait, ok := takes[res.Path]
		if !ok {
			wait = 24 * time.Hour
		}
		select {
		case <-time.After(wait):
			_, _ = io.WriteString(w, "content of "+res.Path)
		case <-ctx.Done():
			http.Error(w, context.Cause(ctx).Error(), http.StatusInternalServerError)
		}
	})
}

func TestFetchBeginsWithTheFirstRecordAndSwitchesToABetterOne(t *testing.T) {
	quick := map[string]time.Duration{"A": 0, "B": 0, "C": 0}
	slow := map[string]time.Duration{"A": 5 * time.Second, "B": time.Second, "C": time.Second}
	endless := []told{}
	for i := range 20 {
		endless = append(endless, told{at: time.Duration(i+1) * time.Second, path: fmt.Sprint(i)})
	}
	for _, c := range []struct {
		name    string
		answers []told
		known   *told
		takes   map[string]time.Duration
		want    string        // the body, or a part of the error
		fetched string        // in this order
		took    time.Duration // until the answer
	}{
		{"first is quick", []told{{path: "A"}, {at: time.Second, path: "B"}}, nil, quick, "content of A", "A", 0},
		{"better before the first byte", []told{{path: "A"}, {at: time.Second, path: "B"}}, nil, slow, "content of B", "A B", 2 * time.Second},
		{"two better ones", []told{{path: "A"}, {at: time.Second, path: "B"}, {at: 1500 * time.Millisecond, path: "C"}}, nil, slow, "content of C", "A B C", 2500 * time.Millisecond},
		{"the same again", []told{{path: "A"}, {at: time.Second, path: "A", final: true}}, nil, slow, "content of A", "A", 5 * time.Second},
		{"what is stale is not begun with", []told{{path: "A", stale: true}, {at: time.Second, path: "B"}}, nil, quick, "content of B", "B", time.Second},
		{"what is stale is the last", []told{{path: "A", stale: true}}, nil, quick, "content of A", "A", 0},
		{"what is stale is final", []told{{path: "A", stale: true, final: true}}, nil, quick, "content of A", "A", 0},
		{"others were shown a newer one", []told{{path: "A"}}, &told{at: time.Second, path: "B"}, slow, "content of B", "A B", 6 * time.Second},
		{"the newest has expired", []told{{path: "A"}, {at: time.Second, err: resolver.ErrExpired}}, nil, slow, resolver.ErrExpired.Error(), "A", time.Second},
		{"the search fails later", []told{{path: "A"}, {at: time.Second, err: errors.New("no network")}}, nil, slow, "content of A", "A", 5 * time.Second},
		{"nothing is found", []told{{at: time.Second, err: resolver.ErrNotFound}}, nil, quick, resolver.ErrNotFound.Error(), "", time.Second},
		{"the first never comes", []told{{path: "gone"}, {at: time.Second, path: "B"}}, nil, slow, "content of B", "gone B", 2 * time.Second},
		{"better ones without end", endless, nil, nil, "content of", "0 1 2 3 4", 5*time.Second + 24*time.Hour},
		{"at once from the cache", nil, &told{path: "C"}, quick, "content of C", "C", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				takes := c.takes
				if takes == nil {
					takes = map[string]time.Duration{"4": 24 * time.Hour}
				}
				names := &script{answers: c.answers, known: c.known, began: time.Now()}
				var log []string
				h := visits(names, &fetches{next: fetching(takes, &log)})
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest("GET", "/ipns/x", nil))
				if !strings.Contains(rec.Body.String(), c.want) {
					t.Errorf("got %q, want %q", rec.Body, c.want)
				}
				if got := strings.Join(log, " "); got != c.fetched {
					t.Errorf("fetched %s, want %s", got, c.fetched)
				}
				if took := time.Since(names.began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				if from := rec.Result().Header.Get("From"); rec.Code == 200 && !strings.HasSuffix(rec.Body.String(), from) {
					t.Errorf("header of %s with %q", from, rec.Body)
				}
			})
		})
	}
}

// pausing writes a first part, pauses, and writes the rest, unless its request ends.
func pausing(before, between time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i, pause := range []time.Duration{before, between, between, between} {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				if i == 0 {
					http.Error(w, "canceled", http.StatusInternalServerError)
				}
				return
			}
			if _, err := io.WriteString(w, "part "); err != nil {
				return
			}
		}
	})
}

// slowClient takes its time to read.
type slowClient struct {
	*httptest.ResponseRecorder
	takes time.Duration
}

func (c slowClient) Write(p []byte) (int, error) {
	time.Sleep(c.takes)
	return c.ResponseRecorder.Write(p)
}

func TestTimeOutIsThatOfTheContentNotOfTheClient(t *testing.T) {
	const limit = 30 * time.Second
	for _, c := range []struct {
		name            string
		before, between time.Duration
		client          time.Duration
		status          int
		body            string
		broken          bool
	}{
		{"in time", 29 * time.Second, 29 * time.Second, 0, 200, "part part part part ", false},
		{"nothing in time", 31 * time.Second, 0, 0, 504, "Unable to retrieve content within timeout period", false},
		{"a pause that is too long", 0, 31 * time.Second, 0, 200, "part ", true},
		{"a slow client", 0, time.Second, 5 * time.Minute, 200, "part part part part ", false},
		{"a slow client and a pause that is too long", 0, 31 * time.Second, 5 * time.Minute, 200, "part ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := visits(&script{}, &fetches{next: pausing(c.before, c.between), timeout: limit})
				rec := slowClient{httptest.NewRecorder(), c.client}
				broken := func() (broken bool) {
					defer func() { broken = recover() == http.ErrAbortHandler }()
					h.ServeHTTP(rec, httptest.NewRequest("GET", "/ipfs/x", nil))
					return false
				}()
				if rec.Code != c.status || !strings.HasPrefix(rec.Body.String(), c.body) || rec.Code == 200 && rec.Body.String() != c.body || broken != c.broken {
					t.Errorf("%d %q, broken off: %v", rec.Code, rec.Body, broken)
				}
			})
		})
	}
}
