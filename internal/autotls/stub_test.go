package autotls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	httppeeridauth "github.com/libp2p/go-libp2p/p2p/http/auth"
	"golang.org/x/net/dns/dnsmessage"
)

// stub is the service that proves domains, the DNS that has its proofs, and a certificate
// authority that looks there.
type stub struct {
	url  string
	dns  net.PacketConn
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu     sync.Mutex // guards all below
	proofs map[string]string
	leaf   []byte
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{proofs: map[string]string{}}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stub"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &s.key.PublicKey, s.key)
	if err != nil {
		t.Fatal(err)
	}
	if s.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	own, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	auth := &httppeeridauth.ServerPeerIDAuth{
		PrivKey: own, TokenTTL: time.Hour, NoTLS: true, ValidHostnameFn: func(string) bool { return true },
		Next: func(id peer.ID, w http.ResponseWriter, r *http.Request) {
			var proof struct {
				Value     string
				Addresses []string
			}
			if err := json.NewDecoder(r.Body).Decode(&proof); err != nil || len(proof.Addresses) == 0 {
				http.Error(w, "no proof", http.StatusBadRequest)
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.proofs[nameOf(id)] = proof.Value
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("POST /v1/_acme-challenge", auth)
	mux.HandleFunc("/acme/", s.authority)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.serveDNS(t)
	return s
}

// nameOf is the domain of a peer, without the star.
func nameOf(id peer.ID) string {
	text, err := peer.ToCid(id).StringOfBase('k')
	if err != nil {
		panic(err) // it has every CID
	}
	return text + "." + testDomain
}

// serveDNS answers what a name proves.
func (s *stub) serveDNS(t *testing.T) {
	var err error
	if s.dns, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		b := make([]byte, 4096)
		for {
			n, from, err := s.dns.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(b[:n]); err != nil || len(m.Questions) == 0 {
				continue
			}
			q := m.Questions[0]
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions}
			name, _ := strings.CutPrefix(strings.TrimSuffix(q.Name.String(), "."), "_acme-challenge.")
			s.mu.Lock()
			proof := s.proofs[name]
			s.mu.Unlock()
			if proof != "" && q.Type == dnsmessage.TypeTXT {
				reply.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.TXTResource{TXT: []string{proof}},
				}}
			}
			if out, err := reply.Pack(); err == nil {
				_, _ = s.dns.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { s.dns.Close(); <-over })
}

// authority speaks as much of ACME (RFC 8555) as one order needs, and verifies no
// signatures. It gives a certificate only for a name that the DNS has a proof of.
func (s *stub) authority(w http.ResponseWriter, r *http.Request) {
	var jws struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&jws)
	payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	at := s.url + "/acme"
	w.Header().Set("Replay-Nonce", "n")
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	defer s.mu.Unlock()
	var name string
	status := "pending"
	for n := range s.proofs {
		name, status = n, "valid"
	}
	answer := func(code int, v any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	challenge := map[string]any{"type": "dns-01", "url": at + "/challenge", "token": "token", "status": status}
	order := map[string]any{"status": "pending", "authorizations": []string{at + "/authorization"}, "finalize": at + "/finalize"}
	switch strings.TrimPrefix(r.URL.Path, "/acme/") {
	case "directory":
		answer(http.StatusOK, map[string]string{"newNonce": at + "/nonce", "newAccount": at + "/account", "newOrder": at + "/order", "revokeCert": at + "/revoke", "keyChange": at + "/change"})
	case "nonce":
	case "account":
		w.Header().Set("Location", at+"/account/1")
		answer(http.StatusCreated, map[string]string{"status": "valid"})
	case "order":
		var asked struct{ Identifiers []map[string]string }
		_ = json.Unmarshal(payload, &asked)
		order["identifiers"] = asked.Identifiers
		w.Header().Set("Location", at+"/order/1")
		answer(http.StatusCreated, order)
	case "authorization":
		answer(http.StatusOK, map[string]any{
			"status": status, "wildcard": true, "challenges": []any{challenge}, "identifier": map[string]string{"type": "dns", "value": s.domain(name)},
		})
	case "challenge":
		answer(http.StatusOK, challenge)
	case "finalize":
		var asked struct{ CSR string }
		_ = json.Unmarshal(payload, &asked)
		der, _ := base64.RawURLEncoding.DecodeString(asked.CSR)
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || len(csr.DNSNames) != 1 || csr.DNSNames[0] != "*."+name {
			http.Error(w, "no proof", http.StatusForbidden)
			return
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		if s.leaf, err = x509.CreateCertificate(rand.Reader, leaf, s.root, csr.PublicKey, s.key); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		order["status"], order["certificate"] = "valid", at+"/certificate"
		w.Header().Set("Location", at+"/order/1")
		answer(http.StatusOK, order)
	case "certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		for _, der := range [][]byte{s.leaf, s.root.Raw} {
			_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
	default:
		http.NotFound(w, r)
	}
}

// domain is the one that the only host asks for.
func (s *stub) domain(proved string) string {
	if proved != "" {
		return proved
	}
	return wanted
}
