package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// A lease is extended however many swaps hold it, and is taken only after they have ended.
func TestSwapsInFlightDelayATakeoverAndNoExtension(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	a, b := open(t, url), open(t, url)
	region := keyspace.RegionOf(recordstoretest.NewKey(t).Name.Kad(), 6)
	const ttl = 500 * time.Millisecond
	leases, err := a.Lease(t.Context(), "a", time.Minute, region)
	if err != nil || len(leases) != 1 {
		t.Fatal(leases, err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context()) // as a swap does that takes long
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select from ipns.leases where holder = 'a' for key share`); err != nil {
		t.Fatal(err)
	}
	again, err := a.Lease(t.Context(), "a", ttl, region)
	if err != nil || len(again) != 1 || again[0].Epoch != leases[0].Epoch {
		t.Fatalf("it is not extended: %v %v", again, err)
	}
	taken := make(chan error, 1)
	go func() {
		for {
			list, err := b.Lease(t.Context(), "b", time.Minute, region)
			if err != nil || len(list) == 1 {
				taken <- err
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	select {
	case err := <-taken:
		t.Fatalf("it is taken while a swap with it is in flight: %v", err)
	case <-time.After(2 * ttl):
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
}

// certificate makes a self-signed one for a host.
func certificate(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	block := func(what string, b []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: what, Bytes: b})
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", private)
}

// Over TCP a server is only taken for the one that its certificate says, where the URL asks
// for that. No error shows the password.
func TestTheServerIsVerifiedAndNoPasswordIsShown(t *testing.T) {
	server := pgtest.Start(t)
	cert, key := certificate(t, "localhost")
	other, _ := certificate(t, "localhost")
	port := freePort(t)
	server.Write(t, "server.crt", cert)
	server.Write(t, "server.key", key)
	server.Write(t, "pg_hba.conf", []byte("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"))
	for name, value := range map[string]string{"listen_addresses": "'127.0.0.1'", "port": fmt.Sprint(port), "ssl": "on"} {
		server.Exec(t, "postgres", `alter system set `+name+` = `+value)
	}
	server.Exec(t, "postgres", `create database names`)
	server.Exec(t, "postgres", `set password_encryption = 'scram-sha-256'; create role app login password 'correct horse'; grant create on database names to app`)
	server.Stop()
	server.Port = port
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	file := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "root.crt")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	url := func(host, password, mode string, root []byte) string {
		return fmt.Sprintf("postgres://app:%s@%s:%d/names?sslmode=%s&sslrootcert=%s", password, host, port, mode, file(root))
	}
	s := open(t, url("localhost", "correct%20horse", "verify-full", cert))
	if _, err := s.Swap(t.Context(), recordstoretest.NewKey(t).Entry(t, 1, recordstoretest.Value(1), recordstore.Own), none); err != nil {
		t.Error(err)
	}
	for what, url := range map[string]string{
		"another certificate": url("localhost", "correct%20horse", "verify-full", other),
		"another host":        url("127.0.0.1", "correct%20horse", "verify-full", cert),
		"another password":    url("localhost", "wrong%20horse", "verify-full", cert),
		"no TLS":              url("localhost", "correct%20horse", "disable", cert),
	} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if !errors.Is(err, postgres.ErrAway) || strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// freePort returns a port of loopback that nobody uses. It is below those that systems choose
// from, so that nobody else gets it who listens on any port, or connects, before it is used.
func freePort(t *testing.T) int {
	t.Helper()
	for tries := 0; ; tries++ {
		port := 10_000 + mathrand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
		if tries > 100 {
			t.Fatal(err)
		}
	}
}

// A server that takes requests and never answers is not waited for without end: a caller's
// context ends it, and so does closing the store.
func TestAServerThatDoesNothingHoldsNobody(t *testing.T) {
	server := pgtest.Start(t)
	s := open(t, server.Database(t))
	k := recordstoretest.NewKey(t)
	e := step(t, s, k, recordstore.Entry{})
	server.Freeze()
	defer server.Thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Swap(ctx, following(t, k, e), none); !errors.Is(err, recordstore.ErrDoubt) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a swap: %v", err)
	}
	if _, err := s.Get(ctx, k.Name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Get(t.Context(), k.Name)
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	go s.Close()
	if err := <-done; !errors.Is(err, recordstore.ErrClosed) {
		t.Errorf("a read while the store is closed: %v", err)
	}
}

// The end of a password with an @ in it is taken for the begin of the host: it is not looked
// up, nor shown.
func TestAPasswordWithAnAtIsNotTakenForAHost(t *testing.T) {
	for _, url := range []string{
		"postgres://ipns:p@secret@127.0.0.1:1/db",
		"postgres://ipns:p@secret@127.0.0.1:1,127.0.0.1:1/db",
	} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err == nil || errors.Is(err, postgres.ErrAway) || strings.Contains(err.Error(), "secret") {
			t.Errorf("open: %v", err)
		}
	}
	if _, err := postgres.Open(t.Context(), "postgres://ipns:p%40secret@127.0.0.1:1/db", postgres.Options{}); !errors.Is(err, postgres.ErrAway) {
		t.Errorf("one that is written as it should be: %v", err)
	}
}
