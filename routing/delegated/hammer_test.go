package delegated_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

var hammerPuts = flag.Int("hammer.puts", 20_000, "how many malformed PUTs are sent")

// hammer makes PUTs of which few are as they should be.
type hammer struct {
	*rand.Rand
	authors []author
	records []*ipns.Record // sequence 1 and 2 of each author
}

// A blow is one PUT.
type blow struct {
	what, path, kind string
	body             []byte
	length           int64 // as the request says; -1: it does not
	breaks           bool  // the body ends with an error
}

func (h *hammer) blow() blow {
	rec := h.records[h.IntN(len(h.records))]
	b := blow{path: rec.Name().String(), kind: ipns.RecordMediaType, body: slices.Clone(rec.Raw())}
	b.what = []string{
		"whole", "flipped bits", "cut", "longer", "a piece repeated", "halves of two", "noise", "nothing", "too long",
		"another's name", "a broken name", "another codec", "a path", "another type", "a broken body", "noise in a field",
	}[h.IntN(16)]
	switch b.what {
	case "flipped bits":
		for range 1 + h.IntN(4) {
			b.body[h.IntN(len(b.body))] ^= 1 << h.IntN(8)
		}
	case "cut":
		b.body = b.body[:h.IntN(len(b.body))]
	case "longer":
		b.body = append(b.body, h.noise(h.IntN(100))...)
	case "a piece repeated":
		i, j := h.span(len(b.body))
		b.body = slices.Insert(b.body, h.IntN(len(b.body)), b.body[i:j]...)
	case "halves of two":
		other := h.records[h.IntN(len(h.records))].Raw()
		b.body = append(b.body[:h.IntN(len(b.body))], other[h.IntN(len(other)):]...)
	case "noise":
		b.body = h.noise(h.IntN(ipns.MaxRecordSize))
	case "nothing":
		b.body = nil
	case "too long":
		b.body = append(b.body, h.noise(ipns.MaxRecordSize-len(b.body)+1+h.IntN(5000))...)
	case "another's name":
		b.path = h.records[h.IntN(len(h.records))].Name().String()
	case "a broken name":
		text := []byte(b.path)
		text[h.IntN(len(text))] = "kz0-_~!bKQ1"[h.IntN(11)]
		b.path = string(text)[:1+h.IntN(len(text))]
	case "another codec":
		b.path = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
	case "a path":
		b.path += []string{"/", "/x", "/../x", "%2f", "%00", ".."}[h.IntN(6)]
	case "another type":
		b.kind = []string{"", "text/plain", "application/vnd.ipfs.ipns-recor", "application/json; charset=", ";;", "*/*"}[h.IntN(6)]
	case "a broken body":
		b.breaks, b.body = true, b.body[:h.IntN(len(b.body))]
	case "noise in a field":
		i, j := h.span(len(b.body))
		copy(b.body[i:j], h.noise(j-i))
	}
	b.length = int64(len(b.body))
	if b.breaks || h.IntN(2) == 0 {
		b.length = -1
	}
	return b
}

func (h *hammer) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.Uint32())
	}
	return b
}

func (h *hammer) span(n int) (i, j int) {
	i, j = h.IntN(n), h.IntN(n)
	return min(i, j), max(i, j)
}

var errBody = errors.New("the body breaks")

// request returns nil if net/http would not read the path.
func (b blow) request() *http.Request {
	var body io.Reader = bytes.NewReader(b.body)
	if b.breaks {
		body = io.MultiReader(body, errReader{})
	}
	r, err := http.NewRequest(http.MethodPut, "http://host/routing/v1/ipns/"+b.path, body)
	if err != nil {
		return nil
	}
	r.ContentLength = b.length
	if b.kind != "" {
		r.Header.Set("Content-Type", b.kind)
	}
	return r
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBody }

// verdict is the status that a PUT must get from somebody who has nothing, of what its
// parts are: those of a record are checked without the handler.
func (b blow) verdict(path string) int {
	rest := strings.TrimPrefix(path, "/routing/v1/ipns/")
	name, err := ipns.ParseName(rest)
	switch {
	case rest == "" || strings.Contains(rest, "/"):
		return http.StatusNotImplemented
	case err != nil:
		return http.StatusBadRequest
	case b.kind != ipns.RecordMediaType:
		return http.StatusNotAcceptable
	case len(b.body) > ipns.MaxRecordSize:
		return http.StatusRequestEntityTooLarge
	case b.breaks:
		return http.StatusBadRequest
	}
	if _, err := ipns.Open(name, b.body, time.Now()); err != nil {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// T-50 to T-52: whatever is PUT gets the status that it deserves, what is taken is a valid
// record of its name, and nothing grows. -hammer.puts says how many.
func TestMalformedPutsAreRefusedAndNothingGrows(t *testing.T) {
	var authors []author
	var records []*ipns.Record
	for range 20 {
		a := newAuthor(t)
		authors = append(authors, a)
		records = append(records, a.sign(t, ipns.Fields{Sequence: 1}), a.sign(t, ipns.Fields{Sequence: 2, Value: "/ipfs/bafkqabdbmfrgg"}))
	}
	handler := &delegated.Handler{
		Find:   new(shelf).find,
		Opener: &routing.Opener{Bytes: 256 << 10},
		Take: func(_ *http.Request, rec *ipns.Record) error {
			if err := rec.Verify(time.Now()); err != nil {
				t.Errorf("taken: %v", err)
			}
			return nil
		},
	}
	var statuses [600]atomic.Int64
	round := func(count int, seed uint64) {
		var wg sync.WaitGroup
		workers := runtime.GOMAXPROCS(0)
		for i := range workers {
			wg.Go(func() {
				h := &hammer{rand.New(rand.NewPCG(seed, uint64(i))), authors, records}
				for range count / workers {
					b := h.blow()
					r := b.request()
					if r == nil {
						continue
					}
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					statuses[w.Code].Add(1)
					if want := b.verdict(r.URL.Path); w.Code != want {
						t.Errorf("%s: PUT %s of %d bytes, %q: %d %s, want %d", b.what, r.URL.Path, len(b.body), b.kind, w.Code, w.Body, want)
					}
				}
			})
		}
		wg.Wait()
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	round(*hammerPuts/4, 1)
	before := heap()
	round(*hammerPuts*3/4, 2)
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	for _, status := range []int{200, 400, 406, 413, 501} {
		if statuses[status].Load() < int64(*hammerPuts/500) {
			t.Errorf("%d PUTs got %d: too few to say anything", statuses[status].Load(), status)
		}
	}
}

// Whatever is PUT gets the status that it deserves.
func FuzzPut(f *testing.F) {
	a := newAuthor(f)
	rec := a.sign(f, ipns.Fields{})
	f.Add(a.name.String(), ipns.RecordMediaType, rec.Raw())
	f.Add("nope", "text/plain", []byte("junk"))
	handler := (&shelf{}).handler()
	f.Fuzz(func(t *testing.T, path, kind string, body []byte) {
		b := blow{path: path, kind: kind, body: body, length: int64(len(body))}
		r := b.request()
		if r == nil || !strings.HasPrefix(r.URL.Path, "/routing/v1/ipns/") || kind != strings.TrimSpace(kind) {
			return
		}
		if kind != ipns.RecordMediaType && strings.Contains(strings.ToLower(kind), "ipns-record") {
			return // whether it is that type is another question
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if want := b.verdict(r.URL.Path); w.Code != want && !(want == http.StatusOK && w.Code == http.StatusConflict) {
			t.Errorf("PUT %q, %q: %d %s, want %d", r.URL.Path, kind, w.Code, w.Body, want)
		}
	})
}
