package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/request"
	"github.com/goipns/ipns/rpc"
)

// serve returns a client of a mux, over HTTP on loopback.
func serve[Req, Resp any](t *testing.T, c rpc.Command[Req, Resp], f func(context.Context, Req) iter.Seq2[Resp, error]) *rpc.Client {
	t.Helper()
	m := new(rpc.Mux)
	rpc.Handle(m, c, f)
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	client, err := rpc.NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestErrors(t *testing.T) {
	var fail error
	c := serve(t, api.KeyGen, rpc.One(func(context.Context, api.KeyGenRequest) (api.Key, error) { return api.Key{}, fail }))
	for _, client := range []bool{false, true} {
		fail = fmt.Errorf("key %q: %w", "x\n", io.ErrUnexpectedEOF)
		if client {
			fail = rpc.Refuse(fail)
		}
		_, err := rpc.Do(t.Context(), c, api.KeyGen, api.KeyGenRequest{Name: "x"})
		var e *rpc.Error
		if !errors.As(err, &e) || e.Message != fail.Error() || e.Client != client {
			t.Errorf("got %#v, want %q, client %v", err, fail, client)
		}
	}
	c, err := rpc.NewClient("/ip4/127.0.0.1/tcp/1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = rpc.Do(t.Context(), c, api.KeyGen, api.KeyGenRequest{Name: "secret"})
	if err == nil || !strings.HasPrefix(err.Error(), "call the API at http://127.0.0.1:1: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
	for _, addr := range []string{"", "nope", "/ip4/127.0.0.1/udp/1", "/dns4"} {
		if _, err := rpc.NewClient(addr); err == nil {
			t.Errorf("rpc.NewClient(%q): no error", addr)
		}
	}
}

// A stream arrives value by value, and an error after the first one is an error.
func TestStream(t *testing.T) {
	read := make(chan struct{})
	broken := rpc.Because("away", fmt.Errorf("publish: %w", rpc.Because("full", errors.New("the network went away"))))
	c := serve(t, api.NamePublish, (func(_ context.Context, req api.PublishRequest) iter.Seq2[api.Published, error] {
		return func(yield func(api.Published, error) bool) {
			if !yield(api.Published{Name: req.Key, Outcome: api.Outcome{Stored: true}}, nil) {
				return
			}
			<-read // the client has the first value while there is no second
			if yield(api.Published{Name: req.Key, Outcome: api.Outcome{Announced: 1}}, nil) && req.Wait == "fail" {
				yield(api.Published{}, broken)
			}
		}
	}))
	for _, wait := range []string{"", "fail"} {
		var got []int
		var failed error
		for p, err := range rpc.Call(t.Context(), c, api.NamePublish, api.PublishRequest{Path: "x", Key: "k", Wait: wait, Progress: true}) {
			if err != nil {
				failed = err
				break
			}
			got = append(got, p.Announced)
			if len(got) == 1 {
				read <- struct{}{}
			}
		}
		if fmt.Sprint(got) != "[0 1]" {
			t.Errorf("wait=%s: got %v", wait, got)
		}
		if (failed != nil) != (wait == "fail") || failed != nil && (failed.Error() != broken.Error() || rpc.ReasonOf(failed) != "away full") {
			t.Errorf("wait=%s: error %v because of %q", wait, failed, rpc.ReasonOf(failed))
		}
	}
}

// Who stops reading ends the command.
func TestStreamStops(t *testing.T) {
	var running sync.WaitGroup
	running.Add(1)
	c := serve(t, api.NamePublish, func(ctx context.Context, _ api.PublishRequest) iter.Seq2[api.Published, error] {
		return func(yield func(api.Published, error) bool) {
			defer running.Done()
			yield(api.Published{}, nil)
			<-ctx.Done()
		}
	})
	for range rpc.Call(t.Context(), c, api.NamePublish, api.PublishRequest{Path: "x", Progress: true}) {
		break
	}
	running.Wait() // or the test never ends
}

// files, folders and links arrive in order and whole, and results come
// back while the upload is still going on.
func TestAdd(t *testing.T) {
	c := serve(t, api.Add, func(_ context.Context, req api.AddRequest) iter.Seq2[api.Added, error] {
		return func(yield func(api.Added, error) bool) {
			for f, err := range req.Files {
				if err != nil {
					yield(api.Added{}, err)
					return
				}
				b, err := io.ReadAll(f.Body)
				if !yield(api.Added{Name: f.Path, Hash: fmt.Sprintf("%d %d %.10s", f.Kind, len(b), b)}, err) {
					return
				}
			}
		}
	})
	for range 3 {
		testAdd(t, c)
	}
	// What cannot be read here ends the command there.
	broken := errors.New("permission denied")
	for _, err := range rpc.Call(t.Context(), c, api.Add, api.AddRequest{Files: func(yield func(api.File, error) bool) { yield(api.File{}, broken) }}) {
		if err == nil {
			t.Error("no error from an upload that breaks off")
		}
	}
}

func testAdd(t *testing.T, c *rpc.Client) {
	seen := make(chan struct{})
	files := func(yield func(api.File, error) bool) {
		_ = yield(api.File{Path: "dir", Kind: api.Folder}, nil) &&
			yield(api.File{Path: "dir/ü %.txt", Body: strings.NewReader("hello")}, nil) &&
			yield(api.File{Path: "dir/large", Body: strings.NewReader(strings.Repeat("x", 1<<20))}, nil)
		<-seen
		yield(api.File{Path: "dir/link", Kind: api.Symlink, Body: strings.NewReader("../to")}, nil)
	}
	var got []string
	for a, err := range rpc.Call(t.Context(), c, api.Add, api.AddRequest{Files: files}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.Name+" "+a.Hash)
		if a.Name == "dir/ü %.txt" {
			close(seen)
		}
	}
	want := []string{"dir 1 0 ", "dir/ü %.txt 0 5 hello", "dir/large 0 1048576 xxxxxxxxxx", "dir/link 2 5 ../to"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestUpload(t *testing.T) {
	c := serve(t, api.NamePut, rpc.One(func(_ context.Context, req api.NamePutRequest) (api.Published, error) {
		b, err := io.ReadAll(req.Record)
		return api.Published{Name: req.Name, Value: fmt.Sprint(len(b))}, err
	}))
	for _, size := range []int{0, 1, rpc.MaxUpload} {
		p, err := rpc.Do(t.Context(), c, api.NamePut, api.NamePutRequest{Name: "k51", Record: strings.NewReader(strings.Repeat("x", size))})
		if err != nil || p.Value != fmt.Sprint(size) {
			t.Errorf("%d bytes: %+v, %v", size, p, err)
		}
	}
	_, err := rpc.Do(t.Context(), c, api.NamePut, api.NamePutRequest{Name: "k51", Record: strings.NewReader(strings.Repeat("x", rpc.MaxUpload+1))})
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("one byte more than allowed: %v", err)
	}
}

func TestBytes(t *testing.T) {
	cut := errors.New("block was not found")
	c := serve(t, api.Cat, rpc.One(func(_ context.Context, req api.CatRequest) (rpc.Stream, error) {
		var r io.Reader = strings.NewReader("hello")
		if req.Paths[0] == "cut" {
			r = io.MultiReader(r, errReader{cut})
		}
		return rpc.Stream{io.NopCloser(r), "text/plain", 5, false}, nil
	}))
	for path, want := range map[string]error{"whole": nil, "cut": cut} {
		s, err := rpc.Do(t.Context(), c, api.Cat, api.CatRequest{Paths: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(s)
		if string(b) != "hello" || s.Size != 5 || s.Type != "text/plain" {
			t.Errorf("%s: %q, %+v", path, b, s)
		}
		if (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
			t.Errorf("%s: error %v, want %v", path, err, want)
		}
		s.Close()
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// One status is an object, several are a list, and both come back as they went.
func TestStatuses(t *testing.T) {
	for _, want := range []api.Statuses{
		{One: &api.Status{Name: "k51a", Sequence: 3, EOL: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}},
		{Names: []api.Status{{Name: "k51a"}, {Name: "k51b"}}},
		{Names: []api.Status{}},
	} {
		c := serve(t, api.NameStatus, rpc.One(func(context.Context, api.StatusRequest) (api.Statuses, error) { return want, nil }))
		got, err := rpc.Do(t.Context(), c, api.NameStatus, api.StatusRequest{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// Every command that a client calls arrives as the request that it was.
func TestRequestsArriveAsTheyWere(t *testing.T) {
	var path string
	var query url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query = strings.TrimPrefix(r.URL.Path, rpc.Prefix), r.URL.Query()
		http.Error(w, "only recording", http.StatusInternalServerError)
	}))
	defer s.Close()
	c, err := rpc.NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, spec := range api.All {
		req := spec.New()
		for _, o := range request.Options(req) {
			value := map[string]string{"bool": "true", "duration": "7s"}[o.Type()]
			if value == "" {
				value = "7"
			}
			if err := o.Set(value); err != nil {
				t.Fatal(err)
			}
		}
		if add, ok := req.(*api.AddRequest); ok {
			add.Files = func(func(api.File, error) bool) {}
		}
		for range spec.Run(t.Context(), c, req) {
		}
		got := spec.New()
		if err := request.Decode(query, got); err != nil {
			t.Errorf("%s: %v", spec.Describe().Path, err)
		}
		if add, ok := got.(*api.AddRequest); ok {
			req.(*api.AddRequest).Files, add.Files = nil, nil
		}
		if path != spec.Describe().Path || !reflect.DeepEqual(got, req) {
			t.Errorf("%s: %s got %+v, want %+v", spec.Describe().Path, path, got, req)
		}
	}
}
