package rpc

import (
	"context"
	"io"
	"iter"
	"log"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
)

// An upload that ends before its last boundary must not pass for a smaller one.
func TestUploadWithoutItsEnd(t *testing.T) {
	const part = "--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nall"
	for sent, whole := range map[string]bool{
		part: false, part + "\r\n--b": false, part + "\r\n--b\r\nContent-Dis": false, part + "\r\n--b--\r\n": true,
	} {
		var failed error
		for f, err := range readFiles(multipart.NewReader(strings.NewReader(sent), "b")) {
			if err == nil {
				_, err = io.ReadAll(f.Body)
			}
			if err != nil {
				failed = err
				break
			}
		}
		if (failed == nil) != whole {
			t.Errorf("%q: %v", sent, failed)
		}
	}
}

// adder is a node that can add and tell its version.
type adder struct{ Node }

func (adder) Add(_ context.Context, req AddRequest) iter.Seq2[Added, error] {
	return func(yield func(Added, error) bool) {
		for f, err := range req.Files {
			if err != nil || !yield(Added{Name: f.Path}, nil) {
				yield(Added{}, err)
				return
			}
		}
	}
}

func (adder) Version(context.Context, VersionRequest) (Version, error) { return Version{}, nil }

// One client uploads and asks in turn, as a program does that keeps its connection.
func TestRequestsAfterUploads(t *testing.T) {
	var complaints strings.Builder
	srv := httptest.NewUnstartedServer(&Handler{Node: adder{}})
	srv.Config.ErrorLog = log.New(&complaints, "", 0)
	srv.Start()
	c, err := NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		for _, err := range c.Add(t.Context(), AddRequest{Files: func(yield func(File, error) bool) {
			_ = yield(File{Path: "a", Body: strings.NewReader("a")}, nil) && yield(File{Path: "b", Body: strings.NewReader("b")}, nil)
		}}) {
			if err != nil {
				t.Fatalf("upload %d: %v", i, err)
			}
		}
		if _, err := c.Version(t.Context(), VersionRequest{}); err != nil {
			t.Fatalf("after upload %d: %v", i, err)
		}
	}
	srv.Close()
	if complaints.Len() > 0 {
		t.Errorf("the server says:\n%s", complaints.String())
	}
}
