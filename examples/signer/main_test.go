package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore/remote"
)

// folder returns a folder with the key "blog", and options for a signer there. Its path is short,
// as that of a socket must be.
func folder(t *testing.T) (string, options) {
	t.Helper()
	dir, err := os.MkdirTemp("", "signer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipns.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "blog.key"), b)
	return dir, options{
		listen: "unix:" + filepath.Join(dir, "s"), keys: dir, state: filepath.Join(dir, "signed.json"),
		maxLifetime: 48 * time.Hour, requestTimeout: 10 * time.Second,
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a signer until the returned function is called.
func start(t *testing.T, o options) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- run(ctx, o, func(a net.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		address = a.String()
	case err := <-ended:
		t.Fatal(err)
	}
	return address, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// ask asks for the signature of a record.
func ask(t *testing.T, s *remote.Server, sequence uint64, value string, life time.Duration, form ipns.Form) error {
	t.Helper()
	signer, err := s.Find(t.Context(), "signer:"+s.URL+"#blog")
	if err != nil {
		return err
	}
	_, err = ipns.Sign(t.Context(), signer, ipns.Fields{Value: value, Sequence: sequence, EOL: time.Now().Add(life)}, form)
	return err
}

func TestASequenceNeverGoesBack(t *testing.T) {
	dir, o := folder(t)
	_, stop := start(t, o)
	s := &remote.Server{URL: o.listen}
	if info, err := os.Stat(filepath.Join(dir, "s")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := ask(t, s, 7, "/ipfs/bafkqaaa", time.Hour, ipns.V2Only); err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		for _, c := range []struct {
			sequence uint64
			value    string
			life     time.Duration
			form     ipns.Form
			text     string
		}{
			{6, "/ipfs/bafkqaaa", time.Hour, ipns.V2Only, "6 would go back"},
			{7, "/ipfs/bafkqabtimvwgy3yk", time.Hour, ipns.V2Only, "sequence 7 was signed with other content"},
			{8, "/ipfs/bafkqaaa", 49 * time.Hour, ipns.V2Only, "48h0m0s at most"},
		} {
			if err := ask(t, s, c.sequence, c.value, c.life, c.form); !errors.Is(err, remote.ErrRefused) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.text, err)
			}
		}
	}
	refused()
	if err := ask(t, s, 7, "/ipfs/bafkqaaa", 2*time.Hour, ipns.V2Only); err != nil { // a renewal
		t.Error(err)
	}
	stop()
	_, stop = start(t, o)
	refused() // also after a restart
	if err := ask(t, s, 8, "/ipfs/bafkqaaa", time.Hour, ipns.V1V2); err == nil || !strings.Contains(err.Error(), "only records are signed, with one signature") {
		t.Errorf("two signatures: %v", err)
	}
	if err := run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "another signer listens") {
		t.Errorf("a second signer: %v", err)
	}
	stop()
	write(t, o.state, []byte("{"))
	if err := run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "read what was signed") {
		t.Errorf("with a damaged state: %v", err)
	}
}

// certificate makes one for 127.0.0.1, signed by itself.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
	return cert, key
}

func TestOverHTTPSClientsShowWhoTheyAre(t *testing.T) {
	dir, o := folder(t)
	o.listen = "127.0.0.1:0"
	if err := run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "HTTPS needs") {
		t.Errorf("without anything: %v", err)
	}
	o.cert, o.certKey = certificate(t, dir, "server")
	clientCert, clientKey := certificate(t, dir, "client")
	otherCert, otherKey := certificate(t, dir, "other")
	o.clientCA, o.token = clientCert, filepath.Join(dir, "token")
	write(t, o.token, []byte("let-me-in\n"))
	wrong := filepath.Join(dir, "wrong")
	write(t, wrong, []byte("let me"))
	address, stop := start(t, o)
	defer stop()
	good := remote.Server{URL: "https://" + address, CAFile: o.cert, CertFile: clientCert, KeyFile: clientKey, TokenFile: o.token}
	if err := ask(t, &good, 1, "/ipfs/bafkqaaa", time.Hour, ipns.V2Only); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*remote.Server){
		"without a certificate":   func(s *remote.Server) { s.CertFile, s.KeyFile = "", "" },
		"with that of a stranger": func(s *remote.Server) { s.CertFile, s.KeyFile = otherCert, otherKey },
		"without a token":         func(s *remote.Server) { s.TokenFile = "" },
		"with another token":      func(s *remote.Server) { s.TokenFile = wrong },
		"of another authority":    func(s *remote.Server) { s.CAFile = otherCert },
	} {
		s := good
		change(&s)
		if err := ask(t, &s, 2, "/ipfs/bafkqaaa", time.Hour, ipns.V2Only); err == nil {
			t.Errorf("signed %s", what)
		}
	}
}
