package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
)

// Limits of a probe.
const (
	probeTimeout   = 20 * time.Second // for all of it
	probeDial      = 8 * time.Second  // for one peer over one transport
	maxProbed      = 64               // bootstrap peers and relays
	resolveDepth   = 3                // of names in addresses that lead to more names
	relayHop       = protocol.ID("/libp2p/circuit/relay/0.2.0/hop")
	dhtWAN, dhtLAN = protocol.ID("/ipfs/kad/1.0.0"), protocol.ID("/ipfs/lan/kad/1.0.0")
)

// Route is the way into the network that a node takes.
type Route struct {
	Config              repo.Config
	SwarmKey, Overrides string   // files of its repo
	Bootstrap           []string // multiaddrs
	// Addrs are the addresses of the running node; nil: none runs. Public says that others
	// connect to it without a relay.
	Addrs  []string
	Public bool
}

// probe asks over TCP and over UDP with a host each, so that neither stands in for the other.
type probe struct {
	tcp, udp *transport.Host
	mu       sync.Mutex // guards the results of peers that are asked at once
}

// Probe takes that way, with a peer id of its own.
func Probe(whole context.Context, r Route) (*Network, error) {
	ctx, cancel := context.WithTimeout(whole, probeTimeout)
	defer cancel()
	n := &Network{}
	if n.NoLink = noLink(r.Bootstrap); n.NoLink != "" {
		return n, nil
	}
	p := &probe{}
	for _, h := range []**transport.Host{&p.tcp, &p.udp} {
		var err error
		if *h, err = dialer(r); err != nil {
			return nil, err
		}
		defer (*h).Close()
	}
	var wg sync.WaitGroup
	byName := map[string]*Operator{}
	for _, text := range r.Bootstrap[:min(len(r.Bootstrap), maxProbed)] {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer %q: %w", text, err)
		}
		name := operatorOf(a)
		if byName[name] == nil {
			byName[name] = &Operator{Name: name}
		}
		o := byName[name]
		wg.Go(func() { p.peer(ctx, a, o) })
	}
	static := r.Config.Swarm.RelayClient.StaticRelays
	relays, wrong := relaysOf(static[:min(len(static), maxProbed)])
	n.Relays = make([]Relay, len(relays))
	for i, addrs := range relays {
		wg.Go(func() { n.Relays[i] = p.relay(ctx, addrs, r) })
	}
	wg.Wait()
	n.Relays = append(n.Relays, wrong...)
	for _, o := range byName {
		n.Operators = append(n.Operators, *o)
	}
	slices.SortFunc(n.Operators, func(a, b Operator) int { return strings.Compare(a.Name, b.Name) })
	return n, whole.Err()
}

// dialer is a host that only dials.
func dialer(r Route) (*transport.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	c := r.Config
	c.Addresses = repo.Addresses{}
	c.Swarm.DisableNatPortMap, c.Swarm.RelayClient.Enabled, c.Swarm.RelayService.Enabled = true, new(false), new(false)
	c.AutoNAT.ServiceMode = "disabled"
	return transport.Open(&c, transport.Options{Key: key, SwarmKey: r.SwarmKey, Overrides: r.Overrides})
}

// noLink says why no network can be reached; "": one can, or none is to be.
func noLink(bootstrap []string) string {
	if !slices.ContainsFunc(bootstrap, func(text string) bool {
		a, err := ma.NewMultiaddr(text)
		return err == nil && !manet.IsIPLoopback(a)
	}) {
		return ""
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "" // not to be seen here
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return ""
		}
	}
	return "no network interface has an address"
}

// operatorOf is the domain or the IP address of a bootstrap peer.
func operatorOf(a ma.Multiaddr) string {
	first := a[0]
	switch first.Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		labels := strings.Split(first.Value(), ".")
		return strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	return first.Value()
}

// peer tries one bootstrap peer of an operator.
func (p *probe) peer(ctx context.Context, a ma.Multiaddr, o *Operator) {
	addrs, err := p.resolve(ctx, a, resolveDepth)
	if err != nil || len(addrs) == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		o.NoDNS = a.String() + " is not resolved"
		if err != nil {
			o.NoDNS = err.Error()
		}
		return
	}
	var over sync.WaitGroup
	for _, way := range []struct {
		host  *transport.Host
		udp   bool
		tried *Tried
	}{{p.tcp, false, &o.TCP}, {p.udp, true, &o.UDP}} {
		some := slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool { return isUDP(a) != way.udp })
		if len(some) == 0 {
			continue
		}
		over.Go(func() {
			id, err := dial(ctx, way.host, some)
			p.mu.Lock()
			defer p.mu.Unlock()
			way.tried.Asked++
			if err != nil {
				o.Err = short(err)
				return
			}
			way.tried.Reached++
			if serves, err := way.host.Peerstore().SupportsProtocols(id, dhtWAN, dhtLAN); err == nil && len(serves) > 0 {
				o.Servers++
			}
		})
	}
	over.Wait()
}

// resolve replaces names that lead to other addresses of the same peer. It is an error if none
// of them is resolved: one may have no address, such as over IPv6.
func (p *probe) resolve(ctx context.Context, a ma.Multiaddr, depth int) ([]ma.Multiaddr, error) {
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
	default:
		return []ma.Multiaddr{a}, nil
	}
	if depth == 0 {
		return nil, nil
	}
	next, err := p.tcp.DNS.Resolve(ctx, a)
	if err != nil {
		return nil, err
	}
	_, id := peer.SplitAddr(a)
	var all []ma.Multiaddr
	var failed error
	for _, b := range next {
		if _, of := peer.SplitAddr(b); id != "" && of != id {
			continue
		}
		more, err := p.resolve(ctx, b, depth-1)
		if err != nil {
			failed = err
		}
		all = append(all, more...)
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, failed
}

func isUDP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_UDP)
	return err == nil
}

// dial connects to a peer at one of its addresses.
func dial(ctx context.Context, h *transport.Host, addrs []ma.Multiaddr) (peer.ID, error) {
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "to see which way works"), probeDial)
	defer cancel()
	return infos[0].ID, h.Connect(ctx, infos[0])
}

// short is the first line of an error of libp2p, which has one for each address, without
// what it begins with.
func short(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", probeDial)
	}
	lines := strings.Split(err.Error(), "\n")
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[min(1, len(lines)-1)]), "* "))
}

// relaysOf puts the addresses of each relay together: it is well if it is reached at one of
// them, as are those of 'ipns relay', over TCP and UDP, IPv4 and IPv6.
func relaysOf(texts []string) (relays [][]ma.Multiaddr, wrong []Relay) {
	at := map[peer.ID]int{}
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			wrong = append(wrong, Relay{ID: text, Err: err.Error()})
			continue
		}
		_, id := peer.SplitAddr(a)
		if id == "" {
			wrong = append(wrong, Relay{ID: text, Err: "its address does not end with /p2p/ and a peer id"})
			continue
		}
		i, known := at[id]
		if !known {
			i = len(relays)
			at[id], relays = i, append(relays, nil)
		}
		relays[i] = append(relays[i], a)
	}
	return relays, wrong
}

// relay finds out whether a relay of the config, at these addresses, is of use to the node.
func (p *probe) relay(ctx context.Context, addrs []ma.Multiaddr, r Route) Relay {
	_, id := peer.SplitAddr(addrs[0])
	found := Relay{ID: id.String()}
	if _, err := dial(ctx, p.tcp, addrs); err != nil {
		found.Err = fmt.Sprintf("it is not reached at any address of the config: %s", short(err))
		return found
	}
	if serves, err := p.tcp.Peerstore().SupportsProtocols(id, relayHop); err == nil && len(serves) == 0 {
		found.Err = "it is no relay"
		return found
	}
	over := "/p2p/" + id.String() + "/p2p-circuit"
	if r.Addrs != nil && !r.Public && !slices.ContainsFunc(r.Addrs, func(a string) bool { return strings.Contains(a, over) }) {
		found.Err = "it is reached, but this node has no place there: it is for other nodes, or this one has not asked for one yet"
	}
	return found
}
