package watch_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

func serve(t *testing.T, n *watch.Names) string {
	t.Helper()
	s := httptest.NewServer(&watch.Handler{Names: n})
	t.Cleanup(s.Close)
	return s.URL
}

// open requests changes with headers in pairs.
func open(t *testing.T, url string, header ...string) (*bufio.Scanner, *http.Response, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewScanner(resp.Body), resp, cancel
}

// sse is one Server-Sent Event.
type sse struct{ id, event, data string }

func nextSSE(t *testing.T, lines *bufio.Scanner) (e sse) {
	t.Helper()
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if lines.Text() == "" {
				return e
			}
		}
	}
	t.Fatalf("the stream ends: %v", lines.Err())
	return e
}

func message(t *testing.T, data string) (m watch.Message) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), &m); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return m
}

func TestChangesComeAsServerSentEventsFromTheLastEventID(t *testing.T) {
	b := newBook()
	url := serve(t, &watch.Names{Book: b})
	k := recordstoretest.NewKey(t)
	hour := epoch.Add(time.Hour)
	lines, resp, leave := open(t, url+"/v1/watch?name="+k.Name.String())
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s: %s", resp.Status, got)
	}
	first := nextSSE(t, lines)
	if first.id == "" || first.event != "" {
		t.Fatalf("the first event is %+v", first)
	}
	rec := k.Record(t, 1, "/ipfs/bafkqaaa", hour)
	enter(t, b, rec)
	e := nextSSE(t, lines)
	m := message(t, e.data)
	if e.event != "changed" || m.Name != k.Name.String() || *m.Sequence != 1 || m.Value != rec.Value() || m.Position != e.id {
		t.Fatalf("%+v, %+v", e, m)
	}
	if got, err := ipns.Open(k.Name, m.Record, epoch); err != nil || got.Value() != rec.Value() {
		t.Errorf("the record in it: %v", err)
	}
	leave()
	for sequence := uint64(2); sequence < 5; sequence++ {
		enter(t, b, k.Record(t, sequence, "/ipfs/bafkqaaa", hour))
	}
	lines, _, _ = open(t, url+"/v1/watch?name="+k.Name.String(), "Last-Event-ID", e.id)
	if first := nextSSE(t, lines); first.id != e.id {
		t.Fatalf("it begins at %s, not %s", first.id, e.id)
	}
	if m := message(t, nextSSE(t, lines).data); *m.Sequence != 4 {
		t.Errorf("sequence %d after the return, want the newest", *m.Sequence)
	}
}

func TestChangesComeAsLinesAndBySocket(t *testing.T) {
	b := newBook()
	url := serve(t, &watch.Names{Book: b})
	k := recordstoretest.NewKey(t)
	at := url + "/v1/watch?name=" + k.Name.String()
	lines, _, _ := open(t, at, "Accept", "application/x-ndjson")
	lines.Scan()
	if m := message(t, lines.Text()); m.Type != "position" || m.Position == "" {
		t.Fatalf("the first line is %s", lines.Text())
	}
	conn, _, err := websocket.Dial(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	_, text, err := conn.Read(t.Context())
	if m := message(t, string(text)); err != nil || m.Type != "position" {
		t.Fatalf("the first message is %s, %v", text, err)
	}
	enter(t, b, k.Record(t, 3, "/ipfs/bafkqaaa", epoch.Add(time.Hour)))
	lines.Scan()
	_, text, err = conn.Read(t.Context())
	if err != nil || string(text) != lines.Text() || *message(t, string(text)).Sequence != 3 {
		t.Errorf("%s by socket, %s as a line: %v", text, lines.Text(), err)
	}
}

// A protocol without a word for a gap has its clients come again.
func TestAGapThatCannotBeToldEndsTheConnection(t *testing.T) {
	n := &watch.Names{Book: newBook()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := watch.Request{Since: recordstore.PositionOf(recordstore.Generation{1}, recordstore.Place{Number: 7}), Caller: "ann"}
		n.Socket(w, r, req, func(watch.Event) []byte { return nil })
	}))
	defer server.Close()
	conn, _, err := websocket.Dial(t.Context(), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithTimeout(t.Context(), watch.Heartbeat)
	defer cancel()
	if _, b, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("%q, %v", b, err)
	}
}

func TestBadRequestsOfReadersAreAnswered(t *testing.T) {
	url := serve(t, &watch.Names{Book: newBook(), MaxPerCaller: 1})
	name := recordstoretest.NewKey(t).Name.String()
	for query, want := range map[string]int{
		"":                           http.StatusBadRequest,
		"?name=nonsense":             http.StatusBadRequest,
		"?name=" + name + "&since=x": http.StatusBadRequest,
		"?name=" + strings.Repeat(name+"&name=", 2000) + name: http.StatusOK, // one name
	} {
		_, resp, leave := open(t, url+query)
		if resp.StatusCode != want {
			t.Errorf("%.80q: %s, want %d", query, resp.Status, want)
		}
		leave()
	}
	var many []string
	for i := range watch.MaxNames + 1 {
		many = append(many, recordstoretest.KeyFromSeed(t, uint64(i)).Name.String())
	}
	if _, resp, _ := open(t, url+"?name="+strings.Join(many, "&name=")); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("too many names: %s", resp.Status)
	}
	for { // the reader that was OK leaves
		_, resp, leave := open(t, url+"?name="+name)
		if resp.StatusCode == http.StatusOK {
			defer leave()
			break
		}
	}
	if _, resp, _ := open(t, url+"?name="+name); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second reader of one caller: %s", resp.Status)
	}
	if resp, err := http.Post(url, "text/plain", strings.NewReader(fmt.Sprint("name=", name))); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", resp, err)
	}
}

// Who has shown no token may watch less at a time: each may have names searched for it alone.
func TestAStrangerMayWatchLess(t *testing.T) {
	n := &watch.Names{Book: newBook()}
	name := recordstoretest.NewKey(t).Name
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	began := make(chan error)
	read := func(caller string) error {
		readers.Go(func() {
			first := true
			for _, err := range n.Read(ctx, watch.Request{Caller: caller, Stranger: caller != "tenant", Names: []ipns.Name{name}}) {
				if first {
					began <- err
				}
				first = false
			}
		})
		return <-began
	}
	for i := range watch.MaxPerStranger {
		if err := read("@192.0.2.1"); err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
		if err := read("tenant"); err != nil {
			t.Fatalf("reader %d of a tenant: %v", i, err)
		}
	}
	if err := read("@192.0.2.1"); !errors.Is(err, watch.ErrCaller) {
		t.Errorf("one more: %v", err)
	}
	for _, caller := range []string{"@192.0.2.2", "tenant"} {
		if err := read(caller); err != nil {
			t.Errorf("one more of %s: %v", caller, err)
		}
	}
}
