package autotls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/goipns/ipns/internal/leaktest"
	"github.com/goipns/ipns/internal/repo"
)

const testDomain = "direct.example"

// wanted is the name of the host under test, for the stub of the authority.
var wanted string

// serve starts a host that listens for secure WebSockets, and its manager.
func serve(t *testing.T, s *stub, change func(*repo.AutoTLS, *Options), options ...libp2p.Option) (host.Host, *Manager) {
	t.Helper()
	c := repo.AutoTLS{DomainSuffix: testDomain, RegistrationEndpoint: s.url, CAEndpoint: s.url + "/acme/directory", Enabled: new(true)}
	o := Options{Folder: t.TempDir() + "/certs", Agent: "test", Log: slog.New(slog.DiscardHandler)}
	change(&c, &o)
	m := New(&c, o)
	h, err := libp2p.New(append(options, libp2p.Transport(websocket.New, websocket.WithTLSConfig(m.TLS())), libp2p.AddrsFactory(m.Addrs),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/tls/sni/*."+testDomain+"/ws"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if wanted = nameOf(h.ID()); m.Start(h) != nil {
		t.Fatal("not started")
	}
	t.Cleanup(func() { m.Close() })
	return h, m
}

func TestANodeGetsACertificateAndIsReachedByItsDomain(t *testing.T) {
	s := newStub(t)
	roots := x509.NewCertPool()
	roots.AddCert(s.root)
	h, m := serve(t, s, func(_ *repo.AutoTLS, o *Options) {
		o.Roots, o.Private = roots, true
		o.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", s.dns.LocalAddr().String())
		}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for !m.loaded.Load() {
		if slices.ContainsFunc(h.Addrs(), secure) && !m.loaded.Load() {
			t.Fatal("an address is announced without a certificate")
		}
		select {
		case <-ctx.Done():
			t.Fatal("no certificate")
		case <-time.After(20 * time.Millisecond):
		}
	}
	at := multiaddr.StringCast("/dns4/127-0-0-1." + nameOf(h.ID()) + "/tcp/" + port(t, h) + "/tls/ws")
	if got := m.Addrs(listening(h)); !slices.ContainsFunc(got, func(a multiaddr.Multiaddr) bool { return a.Equal(at) }) {
		t.Errorf("announced %v, not %s", got, at)
	}
	if end := m.CertificateEnd(); !end.After(time.Now()) {
		t.Errorf("the certificate ends at %v", end)
	}
	// As a browser does: the certificate is that of the domain, by an authority it trusts.
	other, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Transport(websocket.New, websocket.WithTLSClientConfig(&tls.Config{RootCAs: roots})))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	dial := multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + port(t, h) + "/tls/sni/127-0-0-1." + nameOf(h.ID()) + "/ws")
	if err := other.Connect(ctx, peer.AddrInfo{ID: h.ID(), Addrs: []multiaddr.Multiaddr{dial}}); err != nil {
		t.Error(err)
	}
}

func TestNobodyIsAskedWithoutAPublicAddress(t *testing.T) {
	defer leaktest.VerifyNone(t, goleak.IgnoreCurrent())
	s := &stub{url: "http://127.0.0.1:1"}
	h, m := serve(t, s, func(*repo.AutoTLS, *Options) {}, libp2p.ForceReachabilityPrivate())
	time.Sleep(50 * time.Millisecond)
	if m.forge.Load() != nil || m.loaded.Load() || !m.CertificateEnd().IsZero() {
		t.Error("a private node gets a certificate")
	}
	if got := h.Addrs(); slices.ContainsFunc(got, secure) {
		t.Errorf("announced without a certificate: %v", got)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	h.Close()
}

// A subscription that nobody reads would block the host, which then announces no new addresses.
func TestTheHostDoesNotWaitForTheManager(t *testing.T) {
	s := &stub{url: "http://127.0.0.1:1"}
	h, m := serve(t, s, func(_ *repo.AutoTLS, o *Options) { o.Private = true })
	for m.forge.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	emitter, err := h.EventBus().Emitter(new(event.EvtHostReachableAddrsChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer emitter.Close()
	told := make(chan error, 1)
	go func() {
		for range 100 {
			if err := emitter.Emit(event.EvtHostReachableAddrsChanged{}); err != nil {
				told <- err
				return
			}
		}
		told <- nil
	}()
	select {
	case err := <-told:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("the host is blocked")
		if err := m.Close(); err != nil { // which frees it
			t.Error(err)
		}
		<-told
	}
}

func TestAPublicNodeGetsOneAfterTheDelay(t *testing.T) {
	public := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/8.8.8.8/tcp/1")}
	for what, c := range map[string]struct {
		event  any
		public bool
	}{
		"public":           {event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic}, true},
		"private":          {event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate}, false},
		"an address":       {event.EvtHostReachableAddrsChanged{Reachable: public}, true},
		"of QUIC":          {event.EvtHostReachableAddrsChanged{Reachable: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")}}, false},
		"none that others": {event.EvtHostReachableAddrsChanged{Unreachable: public}, false},
	} {
		if isPublic(c.event) != c.public {
			t.Errorf("%s: %v", what, !c.public)
		}
	}
	for what, c := range map[string]struct {
		config repo.AutoTLS
		delay  time.Duration
	}{
		"by itself": {repo.AutoTLS{}, registrationDelay}, "told to": {repo.AutoTLS{Enabled: new(true)}, 0},
		"told when": {repo.AutoTLS{RegistrationDelay: new(repo.Duration(time.Minute))}, time.Minute},
	} {
		if got := New(&c.config, Options{Folder: t.TempDir() + "/none"}).delay(); got != c.delay {
			t.Errorf("%s: after %v", what, got)
		}
	}
}

func TestListenersForBrowsersAreBesidesThoseOfTheConfig(t *testing.T) {
	const tcp, own = "/ip4/0.0.0.0/tcp/4001", "/tls/sni/*.libp2p.direct/ws"
	for _, c := range []struct {
		what    string
		change  func(*repo.Config)
		besides []string
		use     bool
	}{
		{"the default", func(*repo.Config) {}, []string{tcp + own, "/ip6/::/tcp/4001" + own}, true},
		{"off", func(c *repo.Config) { c.AutoTLS.Enabled = new(false) }, nil, false},
		{"of its own", func(c *repo.Config) { c.Addresses.Swarm = []string{tcp, tcp + "/ws"} }, nil, false},
		{"of the domain", func(c *repo.Config) { c.Addresses.Swarm = []string{tcp, tcp + own} }, nil, true},
		{"no TCP", func(c *repo.Config) { c.Addresses.Swarm = []string{"/ip4/0.0.0.0/udp/4001/quic-v1"} }, nil, false},
		{"not by itself", func(c *repo.Config) { c.AutoTLS.AutoWSS = new(false) }, nil, false},
		{"without WebSockets", func(c *repo.Config) { c.Swarm.Transports.Network.Websocket = new(false) }, nil, false},
	} {
		config := repo.NewConfig(repo.Identity{})
		c.change(&config)
		if besides, use := Listeners(&config); !slices.Equal(besides, c.besides) || use != c.use {
			t.Errorf("%s: %v %v", c.what, besides, use)
		}
	}
}

// listening are the addresses of a host before what it announces is made of them.
func listening(h host.Host) []multiaddr.Multiaddr { return h.Network().ListenAddresses() }

func secure(a multiaddr.Multiaddr) bool { return strings.HasSuffix(a.String(), "/ws") }

func port(t *testing.T, h host.Host) string {
	t.Helper()
	for _, a := range slices.DeleteFunc(listening(h), func(a multiaddr.Multiaddr) bool { return !secure(a) }) {
		if p, err := a.ValueForProtocol(multiaddr.P_TCP); err == nil {
			return p
		}
	}
	t.Fatal("it listens nowhere")
	return ""
}
