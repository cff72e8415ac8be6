package rpc

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
)

// fake is a node of which a test gives the methods that it calls; the others
// panic.
type fake struct {
	Node
	publish func(context.Context, PublishRequest) iter.Seq2[Published, error]
	add     func(context.Context, AddRequest) iter.Seq2[Added, error]
	cat     func(context.Context, CatRequest) (Stream, error)
	keyGen  func(context.Context, KeyGenRequest) (Key, error)
	put     func(context.Context, NamePutRequest) (Put, error)
	status  func(context.Context, StatusRequest) (Statuses, error)
}

func (f *fake) NamePublish(ctx context.Context, req PublishRequest) iter.Seq2[Published, error] {
	return f.publish(ctx, req)
}

func (f *fake) Add(ctx context.Context, req AddRequest) iter.Seq2[Added, error] {
	return f.add(ctx, req)
}

func (f *fake) Cat(ctx context.Context, req CatRequest) (Stream, error) { return f.cat(ctx, req) }

func (f *fake) KeyGen(ctx context.Context, req KeyGenRequest) (Key, error) {
	return f.keyGen(ctx, req)
}

func (f *fake) NamePut(ctx context.Context, req NamePutRequest) (Put, error) { return f.put(ctx, req) }

func (f *fake) NameStatus(ctx context.Context, req StatusRequest) (Statuses, error) {
	return f.status(ctx, req)
}

// serve returns a client of the node, over HTTP on loopback.
func serve(t *testing.T, n Node) *Client {
	t.Helper()
	s := httptest.NewServer(&Handler{Node: n})
	t.Cleanup(s.Close)
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// secondNames are those that Kubo has of a command, or of one with an option.
var secondNames = map[string]string{
	"key/ls": "key/list", "bootstrap": "bootstrap/list", "bootstrap/add/default": "bootstrap/add", "bootstrap/rm/all": "bootstrap/rm",
}

// Every method of a Node has a route, and its Client calls that one with a query
// that the route reads as the same request.
func TestEveryCommand(t *testing.T) {
	var path string
	var query url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query = strings.TrimPrefix(r.URL.Path, Prefix), r.URL.Query()
		http.Error(w, "only recording", http.StatusInternalServerError)
	}))
	defer s.Close()
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	called := map[string]bool{}
	for method := range reflect.TypeFor[Node]().Methods() {
		req := reflect.New(method.Type.In(1))
		SetDefaults(req.Interface())
		for _, o := range Options(req.Interface()) {
			value := map[string]string{"bool": "true", "duration": "7s"}[o.Type()]
			if err := o.Set(or(value, "7")); err != nil {
				t.Fatal(err)
			}
		}
		if req.Type().Elem() == reflect.TypeFor[AddRequest]() {
			req.Interface().(*AddRequest).Files = func(func(File, error) bool) {}
		}
		path = ""
		out := reflect.ValueOf(c).MethodByName(method.Name).Call([]reflect.Value{reflect.ValueOf(t.Context()), req.Elem()})
		if len(out) == 1 { // a stream: nothing is sent before it is read
			for range out[0].Seq2() {
			}
		}
		if routes[path] == nil {
			t.Errorf("%s calls %q, which has no route", method.Name, path)
		}
		called[path] = true
		got := reflect.New(method.Type.In(1))
		if err := decode(query, got.Interface()); err != nil {
			t.Errorf("%s: %v", method.Name, err)
		}
		if add, ok := got.Interface().(*AddRequest); ok {
			req.Interface().(*AddRequest).Files, add.Files = nil, nil
		}
		if !reflect.DeepEqual(got.Interface(), req.Interface()) {
			t.Errorf("%s: got %+v, want %+v", method.Name, got, req)
		}
	}
	for path := range routes {
		if !called[path] && secondNames[path] == "" {
			t.Errorf("%s: no method of Node calls it", path)
		}
	}
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestErrors(t *testing.T) {
	var fail error
	c := serve(t, &fake{keyGen: func(context.Context, KeyGenRequest) (Key, error) { return Key{}, fail }})
	for _, client := range []bool{false, true} {
		fail = fmt.Errorf("key %q: %w", "x\n", io.ErrUnexpectedEOF)
		if client {
			fail = Refuse(fail)
		}
		_, err := c.KeyGen(t.Context(), KeyGenRequest{Name: "x"})
		var e *Error
		if !errors.As(err, &e) || e.Message != fail.Error() || e.Client != client {
			t.Errorf("got %#v, want %q, client %v", err, fail, client)
		}
	}
	c, err := NewClient("/ip4/127.0.0.1/tcp/1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.KeyGen(t.Context(), KeyGenRequest{Name: "secret"})
	if err == nil || !strings.HasPrefix(err.Error(), "call the API at http://127.0.0.1:1: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
	for _, addr := range []string{"", "nope", "/ip4/127.0.0.1/udp/1", "/dns4"} {
		if _, err := NewClient(addr); err == nil {
			t.Errorf("NewClient(%q): no error", addr)
		}
	}
}

// A stream arrives value by value, and an error after the first one is an error.
func TestStream(t *testing.T) {
	read := make(chan struct{})
	broken := errors.New("the network went away")
	c := serve(t, &fake{publish: func(_ context.Context, req PublishRequest) iter.Seq2[Published, error] {
		return func(yield func(Published, error) bool) {
			if !yield(Published{Name: req.Key, Stored: true}, nil) {
				return
			}
			<-read // the client has the first value while there is no second
			if yield(Published{Name: req.Key, Announced: 1}, nil) && req.Wait == "fail" {
				yield(Published{}, broken)
			}
		}
	}})
	for _, wait := range []string{"", "fail"} {
		var got []int
		var failed error
		for p, err := range c.NamePublish(t.Context(), PublishRequest{Path: "x", Key: "k", Wait: wait, Progress: true}) {
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
		if (failed != nil) != (wait == "fail") || failed != nil && failed.Error() != broken.Error() {
			t.Errorf("wait=%s: error %v", wait, failed)
		}
	}
}

// Who stops reading ends the command.
func TestStreamStops(t *testing.T) {
	var running sync.WaitGroup
	running.Add(1)
	c := serve(t, &fake{publish: func(ctx context.Context, _ PublishRequest) iter.Seq2[Published, error] {
		return func(yield func(Published, error) bool) {
			defer running.Done()
			yield(Published{}, nil)
			<-ctx.Done()
		}
	}})
	for range c.NamePublish(t.Context(), PublishRequest{Path: "x", Progress: true}) {
		break
	}
	running.Wait() // or the test never ends
}

// files, folders and links arrive in order and whole, and results come
// back while the upload is still going on.
func TestAdd(t *testing.T) {
	c := serve(t, &fake{add: func(_ context.Context, req AddRequest) iter.Seq2[Added, error] {
		return func(yield func(Added, error) bool) {
			for f, err := range req.Files {
				if err != nil {
					yield(Added{}, err)
					return
				}
				b, err := io.ReadAll(f.Body)
				if !yield(Added{Name: f.Path, Hash: fmt.Sprintf("%d %d %.10s", f.Kind, len(b), b)}, err) {
					return
				}
			}
		}
	}})
	for range 3 {
		testAdd(t, c)
	}
	// What cannot be read here ends the command there.
	broken := errors.New("permission denied")
	for _, err := range c.Add(t.Context(), AddRequest{Files: func(yield func(File, error) bool) { yield(File{}, broken) }}) {
		if err == nil {
			t.Error("no error from an upload that breaks off")
		}
	}
}

func testAdd(t *testing.T, c *Client) {
	seen := make(chan struct{})
	files := func(yield func(File, error) bool) {
		_ = yield(File{Path: "dir", Kind: Folder}, nil) &&
			yield(File{Path: "dir/ü %.txt", Body: strings.NewReader("hello")}, nil) &&
			yield(File{Path: "dir/large", Body: strings.NewReader(strings.Repeat("x", 1<<20))}, nil)
		<-seen
		yield(File{Path: "dir/link", Kind: Symlink, Body: strings.NewReader("../to")}, nil)
	}
	var got []string
	for a, err := range c.Add(t.Context(), AddRequest{Files: files}) {
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
	c := serve(t, &fake{put: func(_ context.Context, req NamePutRequest) (Put, error) {
		b, err := io.ReadAll(req.Record)
		return Put{Name: req.Name, Value: fmt.Sprint(len(b))}, err
	}})
	for _, size := range []int{0, 1, maxUpload} {
		p, err := c.NamePut(t.Context(), NamePutRequest{Name: "k51", Record: strings.NewReader(strings.Repeat("x", size))})
		if err != nil || p.Value != fmt.Sprint(size) {
			t.Errorf("%d bytes: %+v, %v", size, p, err)
		}
	}
	_, err := c.NamePut(t.Context(), NamePutRequest{Name: "k51", Record: strings.NewReader(strings.Repeat("x", maxUpload+1))})
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("one byte more than allowed: %v", err)
	}
}

func TestBytes(t *testing.T) {
	cut := errors.New("block was not found")
	c := serve(t, &fake{cat: func(_ context.Context, req CatRequest) (Stream, error) {
		var r io.Reader = strings.NewReader("hello")
		if req.Path == "cut" {
			r = io.MultiReader(r, errReader{cut})
		}
		return Stream{io.NopCloser(r), "text/plain", 5}, nil
	}})
	for path, want := range map[string]error{"whole": nil, "cut": cut} {
		s, err := c.Cat(t.Context(), CatRequest{Path: path})
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
	for _, want := range []Statuses{
		{One: &Status{Name: "k51a", Sequence: 3, EOL: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}},
		{Names: []Status{{Name: "k51a"}, {Name: "k51b"}}},
		{Names: []Status{}},
	} {
		c := serve(t, &fake{status: func(context.Context, StatusRequest) (Statuses, error) { return want, nil }})
		got, err := c.NameStatus(t.Context(), StatusRequest{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}
