package remote_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/remote"
)

// socket returns the path of a socket at which serve is called for each connection.
func socket(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "signer-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
		os.RemoveAll(dir)
	})
	return path
}

// served returns a signer at a socket with an HTTP handler.
func served(t testing.TB, h http.Handler) *remote.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "signer-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(func() { server.Close(); os.RemoveAll(dir) })
	return &remote.Server{URL: "unix:" + filepath.Join(dir, "s")}
}

// holder signs with keys by label, without asking what.
type holder struct {
	keys remote.Keys
	by   map[string]ipns.Signer
}

func hold(t testing.TB, kinds map[string]ipns.KeyType) *holder {
	t.Helper()
	h := &holder{by: map[string]ipns.Signer{}}
	for label, kind := range kinds {
		bits := 0
		if kind == ipns.RSA {
			bits = 2048
		}
		key, err := ipns.GenerateKey(kind, bits)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ipns.MarshalPublicKey(key.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.NameOf(key.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		h.keys.Keys = append(h.keys.Keys, remote.Key{Label: label, PublicKey: public})
		h.by[name.String()] = ipns.NewSigner(key)
	}
	return h
}

func (h *holder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == remote.KeysPath {
		_ = json.NewEncoder(w).Encode(h.keys)
		return
	}
	var req remote.SignRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	var sig []byte
	if err == nil {
		sig, err = h.by[req.Name].Sign(r.Context(), req.Message)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(remote.Signed{Signature: sig})
}

func record(t testing.TB, s ipns.Signer, form ipns.Form) error {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), s, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)}, form)
	if err != nil {
		return err
	}
	name, err := ipns.NameOf(s.Public())
	if err != nil {
		return err
	}
	_, err = ipns.Open(name, rec.Raw(), time.Now())
	return err
}

func TestKeysOfAServerSignRecords(t *testing.T) {
	s := served(t, hold(t, map[string]ipns.KeyType{"ed": ipns.Ed25519, "rsa": ipns.RSA, "coin": ipns.Secp256k1, "a b#c": ipns.Secp256k1}))
	for _, label := range []string{"ed", "rsa", "coin", "a b#c"} {
		found, err := s.Find(t.Context(), "signer:"+s.URL+"#"+label)
		if err != nil {
			t.Errorf("%s: %v", label, err)
			continue
		}
		if err := errors.Join(record(t, found, ipns.V1V2), record(t, found, ipns.V2Only)); err != nil {
			t.Errorf("%s: %v", label, err)
		}
		name, err := ipns.NameOf(found.Public())
		if err != nil {
			t.Fatal(err)
		}
		if of, err := s.Of(t.Context(), name); err != nil || !of.Public().Equals(found.Public()) {
			t.Errorf("%s by its name: %v", label, err)
		}
		if r, ok := found.(interface{ Remote() bool }); !ok || !r.Remote() {
			t.Errorf("%s: no sequence would be reserved for it", label)
		}
	}
	for label, text := range map[string]string{
		"signer:" + s.URL + "#none": `has no key "none"`,
		"signer:" + s.URL:           "has 4 keys: name one, such as signer:unix:",
		"signer:unix:/other#ed":     keystore.ErrNotFound.Error(),
		"agent:ed":                  keystore.ErrNotFound.Error(),
	} {
		if _, err := s.Find(t.Context(), label); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", label, err)
		}
	}
	only := served(t, hold(t, map[string]ipns.KeyType{"one": ipns.Ed25519}))
	if _, err := only.Find(t.Context(), "signer:"+only.URL); err != nil {
		t.Errorf("the only key: %v", err)
	}
	found, err := s.Find(t.Context(), "signer:"+s.URL+"#ed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found.Sign(t.Context(), make([]byte, remote.MaxMessage+1)); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("a message that is too long: %v", err)
	}
}

// TestWhatIsNoAnswerIsAnError has servers whose list of keys is right, and whose answer to the
// request of a signature is not.
func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	var redirected atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { redirected.Add(1) }))
	defer elsewhere.Close()
	keys := hold(t, map[string]ipns.KeyType{"one": ipns.Ed25519})
	for what, c := range map[string]struct {
		answer func(http.ResponseWriter)
		text   string
	}{
		"refused":           {refuse(403, `{"Error": "sequence 4 was signed"}`), "it refuses: sequence 4 was signed"},
		"refused, in short": {refuse(401, ``), "it refuses: 401 Unauthorized"},
		"long":              {refuse(403, `{"Error": "`+strings.Repeat("x", 9000)+`"}`), "it refuses: " + strings.Repeat("x", 300)},
		"out of order":      {refuse(500, `<html>`), "it fails: 500 Internal Server Error"},
		"elsewhere": {func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "it fails: 307 Temporary Redirect"},
		"garbage":         {refuse(200, `{"Signature": [`), "not one of a signer"},
		"a page":          {refuse(200, `<html>hello</html>`), "not one of a signer"},
		"another type":    {refuse(200, `{"Signature": 7}`), "not one of a signer"},
		"two":             {refuse(200, `{"Signature": "AAAA"}{"Signature": "AAAA"}`), "not one of a signer"},
		"nothing":         {refuse(200, `{}`), "its answer has no signature"},
		"a wrong one":     {refuse(200, `{"Signature": "`+strings.Repeat("A", 88)+`"}`), "signature"},
		"a long one":      {refuse(200, `{"Signature": "`+strings.Repeat("A", 8000)+`"}`), "its signature has 6000 bytes"},
		"without end":     {func(w http.ResponseWriter) { _, _ = io.Copy(w, zeros{}) }, "more than 16384 bytes"},
		"a head, no end":  {func(w http.ResponseWriter) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "header"},
		"a broken answer": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "90") }, "sign with key"},
	} {
		s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == remote.KeysPath {
				keys.ServeHTTP(w, r)
				return
			}
			c.answer(w)
		}))
		found, err := s.Find(t.Context(), "signer:"+s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if err := record(t, found, ipns.V2Only); err == nil || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 600 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if redirected.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

func refuse(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// TestListsThatAreWrongAreNamed has a damaged key beside a good one, the same label twice, and
// too many keys.
func TestListsThatAreWrongAreNamed(t *testing.T) {
	h := hold(t, map[string]ipns.KeyType{"good": ipns.Ed25519})
	good := h.keys.Keys[0]
	h.keys.Keys = append(h.keys.Keys, remote.Key{Label: "bad", PublicKey: []byte("no key")}, remote.Key{Label: "twice"}, remote.Key{Label: "twice"})
	s := served(t, h)
	if found, err := s.Find(t.Context(), "signer:"+s.URL+"#good"); err != nil {
		t.Errorf("beside a damaged key: %v", err)
	} else if err := record(t, found, ipns.V2Only); err != nil {
		t.Error(err)
	}
	for label, text := range map[string]string{"bad": `key "bad" of the signer`, "twice": `2 keys that are called "twice"`} {
		if _, err := s.Find(t.Context(), "signer:"+s.URL+"#"+label); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", label, err)
		}
	}
	h.keys.Keys = nil
	for range remote.MaxKeys + 1 {
		h.keys.Keys = append(h.keys.Keys, good)
	}
	if _, err := s.Find(t.Context(), "signer:"+s.URL+"#good"); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("too many: %v", err)
	}
}

// TestAServerThatHangsEndsWithTheContext has one that never answers, one that sends a byte now and
// then, and one that takes no connection.
func TestAServerThatHangsEndsWithTheContext(t *testing.T) {
	for what, serve := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"slow": func(c net.Conn) {
			_, err := http.ReadRequest(bufio.NewReader(c)) // or the client closes: it has asked for nothing
			if err == nil {
				_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			}
			for err == nil {
				time.Sleep(time.Millisecond)
				_, err = io.WriteString(c, " ")
			}
		},
	} {
		s := &remote.Server{URL: "unix:" + socket(t, serve)}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Find(ctx, "signer:"+s.URL); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAServerThatVanishesIsAnError(t *testing.T) {
	keys := hold(t, map[string]ipns.KeyType{"one": ipns.Ed25519})
	s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == remote.KeysPath {
			keys.ServeHTTP(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
	}))
	found, err := s.Find(t.Context(), "signer:"+s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := record(t, found, ipns.V2Only); err == nil || !strings.Contains(err.Error(), "sign with key") {
		t.Errorf("a connection that ends: %v", err)
	}
	if _, err := (&remote.Server{URL: s.URL + ".none"}).Find(t.Context(), "signer:"+s.URL+".none"); err == nil || errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("without a socket: %v", err)
	}
}

// TestHTTPSWantsTheRightServerAndShowsItself signs over HTTPS with a token, and refuses a server
// whose certificate no one has signed.
func TestHTTPSWantsTheRightServerAndShowsItself(t *testing.T) {
	keys := hold(t, map[string]ipns.KeyType{"one": ipns.Ed25519})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer let-me-in" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		keys.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &remote.Server{URL: server.URL, CAFile: ca, TokenFile: token}
	label := "signer:" + s.URL + "#one"
	for content, text := range map[string]string{"another": "it refuses", "": "not a token", "two\nlines": "not a token", strings.Repeat("x", 5000): "not a token"} {
		if err := os.WriteFile(token, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Find(t.Context(), label); err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "another") {
			t.Errorf("token %.10q: %v", content, err)
		}
	}
	if err := os.WriteFile(token, []byte("let-me-in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := s.Find(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	if err := record(t, found, ipns.V2Only); err != nil {
		t.Error(err)
	}
	s.CAFile = ""
	if _, err := s.Find(t.Context(), label); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that no one vouches for: %v", err)
	}
}

func TestOnlySocketsAndHTTPSArePossible(t *testing.T) {
	for _, s := range []remote.Server{
		{URL: ""},
		{URL: "http://127.0.0.1:80"},
		{URL: "unix:relative"},
		{URL: "unix:/a#b"},
		{URL: "https://"},
		{URL: "https://u:secret@host"},
		{URL: "https://host?x=y"},
		{URL: "https://host#x"},
		{URL: "ftp://host"},
		{URL: "https://host", CertFile: "c"},
		{URL: "unix:/s", CAFile: "c"},
		{URL: "%"},
	} {
		if err := s.Check(); err == nil || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []remote.Server{{URL: "unix:/run/s"}, {URL: "https://host:1234/path/"}, {URL: "https://[::1]", CertFile: "c", KeyFile: "k"}} {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

func ExampleServer() {
	s := &remote.Server{URL: "http://signer.example"}
	fmt.Println(s.Check())
	// Output: signer "http://signer.example": use unix:/PATH or https://HOST
}
