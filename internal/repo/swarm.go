package repo

import (
	"errors"
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// Swarm configures the libp2p host.
type Swarm struct {
	AddrFilters             []string // /ip4/…/ipcidr/… ranges never dialled nor accepted
	DisableNatPortMap       bool
	DisableBandwidthMetrics bool `json:",omitempty"`
	RelayClient             struct {
		Enabled *bool // nil: true
		// StaticRelays are the relays to use, multiaddrs with /p2p/ at the end. None: those that the DHT knows, which carry
		// no content. A relay of one's own, without limits, does.
		StaticRelays []string
	}
	// RelayService lets others be reached through this node, if others can reach it.
	RelayService       RelayService `json:",omitzero"`
	EnableHolePunching *bool        // nil: true
	ConnMgr            struct {
		Type                *string  `json:",omitempty"` // nil, "basic"; "none": connections are never closed
		LowWater, HighWater int      // 0: 32 and 96, fewer on a small machine
		GracePeriod         Duration // 0: 20 s
	}
	ResourceMgr ResourceMgr `json:",omitzero"`
	Transports  Transports  `json:",omitzero"`
}

// RelayService bounds what a relay does for others; nil: libp2p's defaults.
type RelayService struct {
	Enabled                 *bool     `json:",omitempty"` // nil: false
	ConnectionDurationLimit *Duration `json:",omitempty"`
	ConnectionDataLimit     *int64    `json:",omitempty"`
	ReservationTTL          *Duration `json:",omitempty"`
	MaxReservations         *int      `json:",omitempty"`
	MaxCircuits             *int      `json:",omitempty"`
	BufferSize              *int      `json:",omitempty"`
	MaxReservationsPerIP    *int      `json:",omitempty"`
	MaxReservationsPerASN   *int      `json:",omitempty"`
}

// ResourceMgr limits what connections may use. The file
// libp2p-resource-limit-overrides.json of the repo sets single limits.
type ResourceMgr struct {
	Enabled            *bool `json:",omitempty"` // nil: true
	MaxMemory          any   `json:",omitempty"` // a number of bytes, or a text such as "4GiB"; nil: half of what the process may have
	MaxFileDescriptors *int  `json:",omitempty"` // nil: half of what the process may have
	// Allowlist are multiaddrs that may connect whatever the limits are, with an ipcidr
	// and a peer id if wanted.
	Allowlist []string `json:",omitempty"`
}

// Transports turns the ways to connect on and off. nil: true, but on a private network
// false for those that cannot be private.
type Transports struct {
	Network struct {
		QUIC, TCP, Websocket, Relay, WebTransport, WebRTCDirect *bool `json:",omitempty"`
	}
	// Security has for each kind a priority, or false: not at all. Noise comes first
	// unless TLS has the lower number.
	Security struct {
		TLS, Noise any `json:",omitempty"`
	}
	Multiplexers struct {
		Yamux any `json:",omitempty"`
	}
}

// AutoNAT is what this node does for others that want to know whether they can be
// reached.
type AutoNAT struct {
	// ServiceMode is "enabled", "disabled" or "legacy-v1"; "": "enabled".
	ServiceMode string `json:",omitempty"`
}

// AutoTLS is getting a certificate for a domain with the peer id of this node in it, once
// others can connect to it, so that browsers connect by secure WebSockets.
type AutoTLS struct {
	Enabled *bool `json:",omitempty"` // nil: true, an hour after others can connect
	// AutoWSS listens for WebSockets at each TCP port of Addresses.Swarm, unless one there
	// ends with /ws. nil: true.
	AutoWSS *bool `json:",omitempty"`
	// SkipDNSLookup takes the address of a node from its name, without DNS. nil: true.
	SkipDNSLookup        *bool     `json:",omitempty"`
	DomainSuffix         string    `json:",omitempty"` // "": libp2p.direct
	RegistrationEndpoint string    `json:",omitempty"` // URL of the service; "": https://registration.libp2p.direct
	RegistrationToken    string    `json:",omitempty"` // for a service that wants one; "": $FORGE_ACCESS_TOKEN
	RegistrationDelay    *Duration `json:",omitempty"` // nil: an hour, or none if Enabled is true
	CAEndpoint           string    `json:",omitempty"` // URL of the certificate authority; "": Let's Encrypt
	ShortAddrs           *bool     `json:",omitempty"` // announce /dns4/…, not /ip4/…/tls/sni/…; nil: true
}

// AutoConf says whether "auto" may stand in the config. Its values are part of the
// program, nothing is fetched.
type AutoConf struct {
	Enabled *bool `json:",omitempty"` // nil: true
}

// Peering are the peers to which a connection is kept.
type Peering struct{ Peers []PeeringPeer }

// PeeringPeer is one of them.
type PeeringPeer struct {
	ID    string
	Addrs []string
}

// Bitswap is the exchange of blocks with other nodes.
type Bitswap struct {
	Libp2pEnabled *bool `json:",omitempty"` // false: blocks come over HTTP alone, and are given to nobody; nil: true
	ServerEnabled *bool `json:",omitempty"` // false: blocks are given to nobody; nil: true
}

func (b *Bitswap) check(h *HTTPRetrieval) error {
	switch {
	case On(b.Libp2pEnabled):
		return nil
	case !On(h.Enabled):
		return errors.New("invalid configuration: Bitswap.Libp2pEnabled and HTTPRetrieval.Enabled are both disabled, unable to initialize Bitswap")
	case b.ServerEnabled != nil && *b.ServerEnabled:
		return errors.New("invalid configuration: Bitswap.ServerEnabled requires Bitswap.Libp2pEnabled to be enabled")
	}
	return nil
}

// HTTPRetrieval is fetching blocks from HTTP gateways that the routing names.
type HTTPRetrieval struct {
	Enabled               *bool    `json:",omitempty"` // nil: true
	Allowlist, Denylist   []string `json:",omitempty"` // host names; no Allowlist: all
	NumWorkers            int      `json:",omitempty"` // requests at once; 0: 16
	MaxBlockSize          string   `json:",omitempty"` // "": 2 MiB
	TLSInsecureSkipVerify bool     `json:",omitempty"` // for tests
}

// MaxBlock is MaxBlockSize in bytes; 0: the default. The config was checked.
func (h *HTTPRetrieval) MaxBlock() int64 {
	n, err := Size(h.MaxBlockSize, 0)
	if err != nil {
		panic(err) // see check
	}
	return int64(min(n, math.MaxInt64))
}

func (h *HTTPRetrieval) check() error {
	if _, err := Size(h.MaxBlockSize, 0); err != nil {
		return fmt.Errorf("config setting HTTPRetrieval.MaxBlockSize: %w", err)
	}
	if h.NumWorkers < 0 {
		return fmt.Errorf("config setting HTTPRetrieval.NumWorkers is negative: %d", h.NumWorkers)
	}
	return nil
}

// Internal has what tests of networks need, and what was renamed.
type Internal struct {
	// UnixFSShardingSizeThreshold is Import.UnixFSHAMTDirectorySizeThreshold, where that is not set.
	UnixFSShardingSizeThreshold *Bytes `json:",omitempty"`
	// Libp2pForceReachability is "public" or "private", whatever others find. "": they
	// are asked.
	Libp2pForceReachability string `json:",omitempty"`
}

// Size reads a size as the config may have it: a number of bytes, or a text with a unit.
// Without one it returns otherwise.
func Size(v any, otherwise uint64) (uint64, error) {
	switch v := v.(type) {
	case nil:
		return otherwise, nil
	case float64:
		return uint64(max(v, 0)), nil
	case string:
		if v == "" || v == "default" {
			return otherwise, nil
		}
		return humanize.ParseBytes(v)
	}
	return 0, fmt.Errorf("%v is no size", v)
}
