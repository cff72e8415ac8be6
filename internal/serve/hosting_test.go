package serve

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/internal/door"
)

// street has the connections that clients make.
type street chan net.Conn

func (s street) Accept() (net.Conn, error) {
	c, ok := <-s
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (s street) Close() error   { return nil }
func (s street) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// from is a connection from an address of its own.
type from struct {
	net.Conn
	n int
}

func (f from) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(8, 8, byte(f.n>>8), byte(f.n)), Port: 1}
}

// 5,000 clients that send half a request are dropped within 20 seconds, and a whole request
// is answered meanwhile.
func TestTheDoorOfHostingOutlastsHalfOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 5000
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = bufio.NewReader(r.Body).Discard(1 << 20)
			w.WriteHeader(http.StatusOK)
		})
		d := door.New(hostingDoor, h, nil)
		s := make(street)
		served := make(chan error, 1)
		go func() { served <- d.Serve(s) }()
		var clients []net.Conn
		for i := range many {
			client, server := net.Pipe()
			s <- from{server, i}
			// Nothing, half a head, or half a body.
			switch i % 3 {
			case 1:
				fmt.Fprintf(client, "PUT /routing/v1/ipns/x HTTP/1.1\r\nHost: ")
			case 2:
				fmt.Fprintf(client, "PUT /routing/v1/ipns/x HTTP/1.1\r\nHost: h\r\nContent-Length: 400\r\n\r\nhalf")
			}
			clients = append(clients, client)
		}
		synctest.Wait()
		whole, server := net.Pipe()
		s <- from{server, many}
		fmt.Fprintf(whole, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(whole), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("a whole request: %v, %v", resp, err)
		}
		time.Sleep(door.Stall + time.Second)
		synctest.Wait()
		open := 0
		for _, c := range clients {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "timeout") {
				open++
			}
			c.Close()
		}
		if open != 0 {
			t.Errorf("%d of %d are still open", open, many)
		}
		whole.Close()
		close(s)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// Reads that take long, as those that search the network, do not keep puts waiting.
func TestReadsOfHostingDoNotKeepPutsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				<-r.Context().Done()
			}
		})
		d := door.New(hostingDoor, h, nil)
		s := make(street)
		served := make(chan error, 1)
		go func() { served <- d.Serve(s) }()
		var clients []net.Conn
		send := func(method string) net.Conn {
			client, server := net.Pipe()
			s <- from{server, len(clients)}
			clients = append(clients, client)
			fmt.Fprintf(client, "%s / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", method)
			return client
		}
		for range 2 * hostingDoor.Requests {
			send(http.MethodGet)
		}
		synctest.Wait()
		begin := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(send(http.MethodPut)), nil)
		if err != nil || resp.StatusCode != http.StatusOK || time.Since(begin) > 0 {
			t.Errorf("a put: %v, %v, after %s", resp, err, time.Since(begin))
		}
		for _, c := range clients {
			c.Close()
		}
		close(s)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// writeCertificate writes a certificate for a name.
func writeCertificate(t *testing.T, dir, name string, at time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A certificate that is renewed is used without a restart; while its files do not fit, the
// old one stays.
func TestACertificateThatIsRenewedIsUsed(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	cert, key := writeCertificate(t, dir, "first", now)
	c, err := openCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	shown := func(after time.Duration) string {
		pair := c.now(now.Add(after))
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	if got := shown(0); got != "first" {
		t.Errorf("at first: %s", got)
	}
	old, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, dir, "second", now.Add(time.Hour))
	renewed, err := os.ReadFile(key)
	if err == nil {
		err = os.WriteFile(key, old, 0o600) // only one of the two is new yet
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(recheck); got != "first" {
		t.Errorf("while the files do not fit: %s", got)
	}
	if err := os.WriteFile(key, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(key, now.Add(2*time.Hour), now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := shown(2*recheck - 1); got != "first" {
		t.Errorf("before the next look: %s", got)
	}
	if got := shown(2 * recheck); got != "second" {
		t.Errorf("after it was renewed: %s", got)
	}
	if _, err := openCertificate(cert, cert, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a key that is none was taken")
	}
	if none, err := openCertificate("", "", nil); err != nil || none.config() != nil {
		t.Errorf("without files: %v", err)
	}
}

// Connections by TLS are counted and limited as others are.
func TestTheDoorSpeaksTLS(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), "h", time.Now())
	c, err := openCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := hostingDoor
	o.TLS = c.config()
	d := door.New(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.TLS != nil) }), nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	resp, err := client.Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var b [64]byte
	n, _ := resp.Body.Read(b[:])
	resp.Body.Close()
	if string(b[:n]) != "HTTP/1.1true" {
		t.Errorf("the answer is %q", b[:n])
	}
	client.CloseIdleConnections()
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}
