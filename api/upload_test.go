package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goipns/ipns/rpc"
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

// adder adds, and tells its version.
func adder() *rpc.Mux {
	m := new(rpc.Mux)
	rpc.Handle(m, Add, func(_ context.Context, req AddRequest) iter.Seq2[Added, error] {
		return func(yield func(Added, error) bool) {
			for f, err := range req.Files {
				if err == nil && f.Path == "broken" {
					err = errors.New("disk on fire")
				}
				if err != nil || !yield(Added{Name: f.Path, Hash: "Qm"}, nil) {
					yield(Added{}, err)
					return
				}
			}
		}
	})
	rpc.Handle(m, Version, rpc.One(func(context.Context, VersionRequest) (NodeVersion, error) { return NodeVersion{}, nil }))
	return m
}

// One client uploads and asks in turn, as a program does that keeps its connection.
func TestRequestsAfterUploads(t *testing.T) {
	var complaints strings.Builder
	srv := httptest.NewUnstartedServer(adder())
	srv.Config.ErrorLog = log.New(&complaints, "", 0)
	srv.Start()
	c, err := rpc.NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		for _, err := range rpc.Call(t.Context(), c, Add, AddRequest{Files: func(yield func(File, error) bool) {
			_ = yield(File{Path: "a", Body: strings.NewReader("a")}, nil) && yield(File{Path: "b", Body: strings.NewReader("b")}, nil)
		}}) {
			if err != nil {
				t.Fatalf("upload %d: %v", i, err)
			}
		}
		if _, err := rpc.Do(t.Context(), c, Version, VersionRequest{}); err != nil {
			t.Fatalf("after upload %d: %v", i, err)
		}
	}
	srv.Close()
	if complaints.Len() > 0 {
		t.Errorf("the server says:\n%s", complaints.String())
	}
}

// The names are those that Kubo 0.43 takes the files for.
func TestNamesOfUploadedFiles(t *testing.T) {
	for sent, want := range map[string]string{
		`filename="a b"`:                 "a b",
		`filename=a%20b`:                 "a b",
		`filename="a+b"`:                 "a b",
		`filename="a%2Bb"`:               "a+b",
		`filename="100% wool.txt"`:       "100% wool.txt",
		`filename="100%25 wool.txt"`:     "100% wool.txt",
		`filename="50%+1"`:               "50%+1",
		`filename="%2541"`:               "%41",
		`filename="a%2Fb"`:               "a/b",
		`filename="./a//b"`:              "a/b",
		`filename="/a/./b/"`:             "a/b",
		`filename="../../etc/passwd"`:    "etc/passwd",
		`filename="a/../../b"`:           "b",
		`filename=".."`:                  "",
		`filename="ünï"`:                 "ünï",
		`filename="say \"hi\".txt"`:      `say "hi".txt`,
		`filename="C:\dev\f"`:            `C:\dev\f`,
		`filename*=UTF-8''%E2%82%AC%20x`: "€ x",
		`name="file"`:                    "",
		`filename=""`:                    "",
	} {
		body := "--b\r\nContent-Disposition: form-data; " + sent + "\r\n\r\nx\r\n--b--\r\n"
		for f, err := range readFiles(multipart.NewReader(strings.NewReader(body), "b")) {
			if err != nil || f.Path != want {
				t.Errorf("%s: %q, %v; want %q", sent, f.Path, err, want)
			}
		}
	}
}

// What our own client sends comes out as it went in.
func TestNamesSurviveOurUpload(t *testing.T) {
	srv := httptest.NewServer(adder())
	defer srv.Close()
	c, err := rpc.NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"100% wool", "%41", "a+b", "a b/c", "ünï", `q"uote`, "new\nline", "%"} {
		for a, err := range rpc.Call(t.Context(), c, Add, AddRequest{Files: func(yield func(File, error) bool) {
			yield(File{Path: name, Body: strings.NewReader("x")}, nil)
		}}) {
			if err != nil || a.Name != name {
				t.Errorf("%q came out as %q, %v", name, a.Name, err)
			}
		}
	}
}

func TestFailedAddEndsWithALineThatClientsTakeForAnError(t *testing.T) {
	srv := httptest.NewServer(adder())
	defer srv.Close()
	const body = "--b\r\nContent-Disposition: form-data; filename=f\r\n\r\nx\r\n" +
		"--b\r\nContent-Disposition: form-data; filename=broken\r\n\r\nx\r\n--b--\r\n"
	resp, err := srv.Client().Post(srv.URL+rpc.Prefix+"add", "multipart/form-data; boundary=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	const last = `{"Name":"","Hash":"","Message":"disk on fire","Code":0,"Type":"error"}` + "\n"
	if !strings.HasSuffix(string(b), "}\n"+last) || resp.Trailer.Get("X-Stream-Error") != "disk on fire" {
		t.Errorf("%s and the trailer %v", b, resp.Trailer)
	}
}

// A proxy may drop the trailer.
func TestClientSeesAFailedAddWithoutTrailer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode(Added{Name: "f", Hash: "Qm"})
		_ = json.NewEncoder(w).Encode(failedAdd{Message: "disk on fire", Type: "error"})
	}))
	defer srv.Close()
	c, err := rpc.NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rpc.Do(t.Context(), c, Add, AddRequest{Files: func(func(File, error) bool) {}})
	if err == nil || err.Error() != "disk on fire" {
		t.Errorf("error %v", err)
	}
}
