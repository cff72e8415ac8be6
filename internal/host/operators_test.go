package host

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
)

// The network is joined by servers from before when all bootstrap peers are dead.
func TestANodeWhoseBootstrapPeersAreDeadJoinsByThoseItKnew(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	bootstrap := nw.Addrs()[0]
	n := start(t, r, bootstrap)
	name, err := ipns.ParseName(nw.Server(0).ID().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range n.Router().Search(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := nw.Server(0).Kill(); err != nil {
		t.Fatal(err)
	}
	again := start(t, r, bootstrap, "/ip4/127.0.0.1/udp/1/quic-v1/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS")
	for !again.DHT.LAN.Joined() {
		select {
		case <-t.Context().Done():
			t.Fatal("the node did not join")
		case <-time.After(10 * time.Millisecond):
		}
	}
	answered := 0
	for a, err := range again.DHT.LAN.Search(t.Context(), name) {
		if err == nil && !a.Own {
			answered++
		}
	}
	if answered == 0 {
		t.Error("no server answered")
	}
}

// trusted makes a certificate for localhost that this process trusts.
func trusted(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file) // read once, at the first certificate that is verified
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// operator starts a server of the LAN DHT, and returns the address of it that has a part.
func operator(t *testing.T, part string, options ...libp2p.Option) string {
	t.Helper()
	h, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	d, err := kaddht.New(h, kaddht.Mode(kaddht.ModeServer), kaddht.ProtocolExtension("/lan"), kaddht.DisableAutoRefresh(), kaddht.AddressFilter(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for _, a := range h.Addrs() {
		if strings.Contains(a.String(), part) {
			return a.String() + "/p2p/" + h.ID().String()
		}
	}
	t.Fatalf("no address with %s: %v", part, h.Addrs())
	return ""
}

// Any operator of several is enough, over QUIC or secure WebSockets.
func TestAnyOperatorOfBootstrapPeersIsEnough(t *testing.T) {
	const dead = "/dns4/bootstrap.invalid/tcp/443/tls/ws/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"
	secure := trusted(t)
	overQUIC := operator(t, "quic-v1", libp2p.Transport(quic.NewTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"))
	overWSS := operator(t, "/tls/ws", libp2p.Transport(websocket.New, websocket.WithTLSConfig(secure)), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0/tls/ws"))
	overWSS = strings.Replace(overWSS, "/ip4/127.0.0.1/", "/dns4/localhost/", 1)
	for _, works := range []string{overQUIC, overWSS} {
		n := start(t, newRepo(t), dead, works)
		if !n.waitForPeers(t.Context()) {
			t.Errorf("not joined by %s", works)
		}
	}
}
