package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/internal/repo"
)

// minInbound is the least number of inbound connections, whatever the memory is: enough
// for a node that many others ask at once.
const minInbound = 800

// Limits at each address range, against one that opens very many connections.
const (
	perSubnet56 = 16
	perSubnet48 = 8 * 16
)

// Limits bound what connections may use: memory, descriptors, connections and streams,
// for the node as a whole and for each peer. The defaults are Kubo's: half of the memory
// and of the descriptors, and an inbound connection for each MiB of that.
type Limits struct {
	network.ResourceManager
	limits rcmgr.PartialLimitConfig
	off    bool
}

// newLimits makes the limits of a config. Overrides is the file that sets single
// limits; it need not exist. highWater is above how many connections the node closes
// some; 0: never. Relays are those of the config, which bring many peers each.
func newLimits(c *repo.ResourceMgr, overrides string, highWater int, relays []peer.AddrInfo) (*Limits, error) {
	if !enabled(c) {
		return &Limits{ResourceManager: &network.NullResourceManager{}, off: true}, nil
	}
	concrete, err := compute(c, highWater)
	if err != nil {
		return nil, err
	}
	own, err := readOverrides(overrides)
	if err != nil {
		return nil, err
	}
	concrete = own.Build(concrete)
	m := &Limits{limits: concrete.ToPartialLimitConfig()}
	options := []rcmgr.Option{rcmgr.WithLimitPerSubnet(nil, []rcmgr.ConnLimitPerSubnet{
		{ConnCount: perSubnet56, PrefixLength: 56}, {ConnCount: perSubnet48, PrefixLength: 48},
	})}
	options = append(options, roomForRelays(relays)...)
	if len(c.Allowlist) > 0 {
		var allowed []ma.Multiaddr
		for _, text := range c.Allowlist {
			a, err := ma.NewMultiaddr(text)
			if err != nil {
				return nil, fmt.Errorf("config Swarm.ResourceMgr.Allowlist: %w", err)
			}
			allowed = append(allowed, a)
		}
		options = append(options, rcmgr.WithAllowlistedMultiaddrs(allowed))
	} else if err := m.fits(highWater); err != nil {
		return nil, err
	}
	m.ResourceManager, err = rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete), options...)
	return m, err
}

// enabled reports whether there are limits; the environment is stronger than the config.
func enabled(c *repo.ResourceMgr) bool {
	switch os.Getenv("LIBP2P_RCMGR") {
	case "0", "false":
		return false
	case "1", "true":
		return true
	}
	return repo.On(c.Enabled)
}

// compute returns the limits that follow from config and machine.
func compute(c *repo.ResourceMgr, highWater int) (rcmgr.ConcreteLimitConfig, error) {
	room := machine.Here()
	maxMemory, err := repo.Size(c.MaxMemory, room.ConnectionMemory())
	if err != nil {
		return rcmgr.ConcreteLimitConfig{}, fmt.Errorf("config Swarm.ResourceMgr.MaxMemory: %w", err)
	}
	maxFD := room.ConnectionDescriptors()
	if c.MaxFileDescriptors != nil {
		maxFD = *c.MaxFileDescriptors
	}
	inbound := int(maxMemory >> 20)
	none := rcmgr.InfiniteLimits.ToPartialLimitConfig().System
	partial := rcmgr.PartialLimitConfig{
		System:    scope(maxMemory, maxFD, inbound),
		Transient: scope(maxMemory/4, maxFD/4, inbound/4),

		AllowlistedSystem: none, AllowlistedTransient: none,
		ServiceDefault: none, ServicePeerDefault: none, ProtocolDefault: none, ProtocolPeerDefault: none,
		Conn: none, Stream: none,
		// What a peer opens to us is limited, against one that goes wrong.
		PeerDefault: rcmgr.ResourceLimits{
			Memory: rcmgr.Unlimited64, FD: rcmgr.Unlimited,
			Conns: rcmgr.Unlimited, ConnsOutbound: rcmgr.Unlimited, Streams: rcmgr.Unlimited, StreamsOutbound: rcmgr.Unlimited,
		},
	}
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	partial = partial.Build(scaling.Scale(int64(min(maxMemory, math.MaxInt64)), maxFD)).ToPartialLimitConfig()
	if partial.System.ConnsInbound > rcmgr.DefaultLimit && highWater > 0 {
		partial.System.ConnsInbound = rcmgr.LimitVal(max(int(partial.System.ConnsInbound), 2*highWater, minInbound))
	}
	return partial.Build(rcmgr.ConcreteLimitConfig{}), nil
}

func scope(memory uint64, fd, inbound int) rcmgr.ResourceLimits {
	return rcmgr.ResourceLimits{
		Memory: rcmgr.LimitVal64(min(memory, math.MaxInt64)), FD: rcmgr.LimitVal(fd),
		Conns: rcmgr.Unlimited, ConnsInbound: rcmgr.LimitVal(inbound), ConnsOutbound: rcmgr.Unlimited,
		Streams: rcmgr.Unlimited, StreamsInbound: rcmgr.Unlimited, StreamsOutbound: rcmgr.Unlimited,
	}
}

func readOverrides(file string) (rcmgr.PartialLimitConfig, error) {
	var own rcmgr.PartialLimitConfig
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &own)
	}
	if err != nil {
		err = fmt.Errorf("read the limits in %s: %w", file, err)
	}
	return own, err
}

// fits returns an error if the node could not have as many connections as it keeps.
func (m *Limits) fits(highWater int) error {
	s := m.limits.System
	for _, l := range []struct {
		name  string
		value rcmgr.LimitVal
	}{{"Conns", s.Conns}, {"ConnsInbound", s.ConnsInbound}, {"Streams", s.Streams}, {"StreamsInbound", s.StreamsInbound}} {
		if (l.value > rcmgr.DefaultLimit || l.value == rcmgr.BlockAllLimit) && int(l.value) <= highWater {
			return fmt.Errorf("conflicting limits: System.%s (%d) of the resource manager must be bigger than ConnMgr.HighWater (%d)", l.name, l.value, highWater)
		}
	}
	return nil
}

// ErrOff means that there are no limits.
var ErrOff = errors.New("missing ResourceMgr: make sure the daemon is running with Swarm.ResourceMgr.Enabled")

// State returns the limits, and what is used of them.
func (m *Limits) State() (rcmgr.PartialLimitConfig, rcmgr.ResourceManagerStat, error) {
	r, ok := m.ResourceManager.(rcmgr.ResourceManagerState)
	if m.off || !ok {
		return rcmgr.PartialLimitConfig{}, rcmgr.ResourceManagerStat{}, ErrOff
	}
	return m.limits, r.Stat(), nil
}

// A DescriptorsError means that the process may not have as many descriptors as the node
// needs.
type DescriptorsError struct{ Have, Needs int }

func (e *DescriptorsError) Error() string {
	return fmt.Sprintf("this process may have %d files and connections open, and the node needs %d", e.Have, e.Needs)
}

// CheckDescriptors returns a DescriptorsError if the node of a config, on the network or
// not, could not work with as many descriptors as there are.
func CheckDescriptors(c *repo.Config, offline bool, room machine.Room) error {
	high := 0
	if !offline {
		var err error
		if _, high, err = connManager(&c.Swarm, room); err != nil {
			return err
		}
	}
	if needs := machine.Needs(high); room.Descriptors < needs {
		return &DescriptorsError{room.Descriptors, needs}
	}
	return nil
}
