// Package autotls gets a certificate for this node, of a domain with its peer id in it, so
// that browsers connect to it by secure WebSockets. A service (Kubo's, libp2p.direct) proves
// to a certificate authority that the node has the domain.
//
// Contract: nobody is asked, and nothing runs, until others can connect to this node at a
// public address over TCP. Addresses of the domain are announced only once the certificate
// is there.
package autotls

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	logging "github.com/ipfs/go-log/v2"
	"github.com/ipshipyard/p2p-forge/client"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multibase"

	"github.com/goipns/ipns/internal/repo"
)

// registrationDelay is how long a node that was not told to get a certificate is public
// before it gets one, so that those that run for a moment ask nobody.
const registrationDelay = time.Hour

// Options are what is not in the config.
type Options struct {
	Folder string // for certificates
	Agent  string // what the servers see
	Log    *slog.Logger
	// For tests: the authority's root, who is asked by DNS, and that private addresses do.
	Roots    *x509.CertPool
	Resolver *net.Resolver
	Private  bool
}

// Manager gets and renews the certificate of one host.
type Manager struct {
	config  *repo.AutoTLS
	options Options
	forge   atomic.Pointer[client.P2PForgeCertMgr] // nil: nothing runs yet
	loaded  atomic.Bool                            // the certificate is there
	name    string                                 // domain of the host, before forge is set
	end     context.CancelFunc
	running sync.WaitGroup
}

// New returns the manager for a config whose AutoTLS is on.
func New(c *repo.AutoTLS, o Options) *Manager { return &Manager{config: c, options: o, end: func() {}} }

// Domain is the one below which the node's is.
func Domain(c *repo.AutoTLS) string { return cmp.Or(c.DomainSuffix, client.DefaultForgeDomain) }

// Listeners are the addresses on which a node listens for WebSockets of its domain, besides
// those of the config: one at each TCP port, unless the config has listeners for WebSockets
// or does not want any. use is false if then there is none at all.
func Listeners(c *repo.Config) (besides []string, use bool) {
	n := &c.Swarm.Transports.Network
	if !repo.On(c.AutoTLS.Enabled) || !repo.On(n.TCP) || !repo.On(n.Websocket) {
		return nil, false
	}
	own := "/tls/sni/*." + Domain(&c.AutoTLS) + "/ws"
	if slices.ContainsFunc(c.Addresses.Swarm, func(a string) bool { return strings.HasSuffix(a, own) }) {
		return nil, true
	}
	for _, a := range c.Addresses.Swarm {
		if strings.HasSuffix(a, "/ws") || strings.HasSuffix(a, "/wss") {
			return nil, false // it does that itself
		}
		if parts := strings.Split(a, "/"); len(parts) == 5 && parts[3] == "tcp" && repo.On(c.AutoTLS.AutoWSS) {
			besides = append(besides, a+own)
		}
	}
	return besides, len(besides) > 0
}

// TLS is the config of the listeners.
func (m *Manager) TLS() *tls.Config {
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		forge := m.forge.Load()
		if forge == nil {
			return nil, errors.New("there is no certificate yet")
		}
		return forge.TLSConfig().GetCertificate(hello)
	}}
}

// Addrs puts the domain of the node into addresses of its listeners, or leaves them away
// while there is no certificate.
func (m *Manager) Addrs(found []ma.Multiaddr) []ma.Multiaddr {
	if forge := m.forge.Load(); forge != nil && m.loaded.Load() {
		return forge.AddressFactory()(found)
	}
	own := "/tls/sni/*." + Domain(m.config) + "/ws"
	return slices.DeleteFunc(slices.Clone(found), func(a ma.Multiaddr) bool { return strings.HasSuffix(a.String(), own) })
}

// CertificateEnd returns from when on browsers refuse the certificate; zero: there is none.
func (m *Manager) CertificateEnd() time.Time {
	forge := m.forge.Load()
	if forge == nil || !m.loaded.Load() {
		return time.Time{}
	}
	pair, err := forge.TLSConfig().GetCertificate(&tls.ClientHelloInfo{ServerName: "metrics." + m.name})
	if err != nil || pair.Leaf == nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

// Start gets the certificate of a host, once others can connect to it.
func (m *Manager) Start(h host.Host) error {
	sub, err := h.EventBus().Subscribe([]any{new(event.EvtLocalReachabilityChanged), new(event.EvtHostReachableAddrsChanged)})
	if err != nil {
		return fmt.Errorf("get a certificate: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	m.end = end
	m.running.Go(func() {
		ready := m.wait(ctx, sub)
		sub.Close() // a subscriber that does not read makes the host wait
		if !ready {
			return
		}
		if err := m.run(ctx, h); err != nil {
			m.options.Log.Error("browsers cannot connect by secure WebSockets: no certificate", "err", err)
		}
	})
	return nil
}

// Close ends the work. The libraries have a goroutine that ends with the process.
func (m *Manager) Close() error {
	m.end()
	m.running.Wait()
	return nil
}

// wait returns true once others can connect, and could for the time of the config.
func (m *Manager) wait(ctx context.Context, sub event.Subscription) bool {
	if m.options.Private {
		return true
	}
	var ready <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case e := <-sub.Out():
			public := isPublic(e)
			switch {
			case public && ready == nil:
				timer := time.NewTimer(m.delay())
				defer timer.Stop()
				ready = timer.C
			case !public:
				if _, addrs := e.(event.EvtHostReachableAddrsChanged); !addrs {
					ready = nil
				}
			}
		case <-ready:
			return true
		}
	}
}

func isPublic(e any) bool {
	switch e := e.(type) {
	case event.EvtLocalReachabilityChanged:
		return e.Reachability == network.ReachabilityPublic
	case event.EvtHostReachableAddrsChanged:
		return slices.ContainsFunc(e.Reachable, func(a ma.Multiaddr) bool {
			_, err := a.ValueForProtocol(ma.P_TCP)
			return err == nil && manet.IsPublicAddr(a)
		})
	}
	return false
}

// delay is how long the node has to be public before its first certificate.
func (m *Manager) delay() time.Duration {
	there, err := os.ReadDir(m.options.Folder)
	switch {
	case err == nil && len(there) > 0:
		return 0 // it had one
	case m.config.RegistrationDelay != nil:
		return time.Duration(*m.config.RegistrationDelay)
	case m.config.Enabled != nil:
		return 0 // it was told to
	}
	return registrationDelay
}

// quiet sends what the library says without a logger of ours to the others.
var quiet = sync.OnceFunc(func() {
	certmagic.Default.Logger = logging.Logger("autotls").Desugar()
	certmagic.DefaultACME.Logger = certmagic.Default.Logger
})

// run keeps the certificate until ctx ends.
func (m *Manager) run(ctx context.Context, h host.Host) error {
	quiet()
	c, o := m.config, m.options
	settings := []client.P2PForgeCertMgrOptions{
		client.WithLogger(logging.Logger("autotls").Desugar().Sugar()),
		client.WithForgeDomain(Domain(c)), client.WithForgeRegistrationEndpoint(cmp.Or(c.RegistrationEndpoint, client.DefaultForgeEndpoint)),
		client.WithCAEndpoint(cmp.Or(c.CAEndpoint, client.DefaultCAEndpoint)), client.WithForgeAuth(cmp.Or(c.RegistrationToken, os.Getenv(client.ForgeAuthEnv))),
		client.WithUserAgent(o.Agent), client.WithCertificateStorage(&certmagic.FileStorage{Path: o.Folder}),
		client.WithShortForgeAddrs(repo.On(c.ShortAddrs)), client.WithResolver(o.Resolver), client.WithTrustedRoots(o.Roots),
		client.WithOnCertLoaded(func() {
			m.loaded.Store(true)
			o.Log.Info("browsers can connect by secure WebSockets: the certificate is there", "domain", Domain(c))
		}),
	}
	if o.Private {
		settings = append(settings, client.WithAllowPrivateForgeAddrs())
	}
	forge, err := client.NewP2PForgeCertMgr(settings...)
	if err != nil {
		return err
	}
	label, err := peer.ToCid(h.ID()).StringOfBase(multibase.Base36)
	if err != nil {
		return err
	}
	m.name = label + "." + Domain(c)
	forge.ProvideHost(h)
	if err := forge.Start(); err != nil {
		return err
	}
	m.forge.Store(forge)
	<-ctx.Done()
	forge.Stop()
	return nil
}
