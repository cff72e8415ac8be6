package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

// Config is what the daemon reads from the file config. Names and meanings are Kubo's;
// a zero value means the default in the comment. Other keys of Kubo's stay in the file
// with a warning, unless ignoring them would change what happens: see foreignKeys.
// Unknown keys are an error.
type Config struct {
	// Identity is the node's own key, which is also the key "self".
	Identity Identity
	// Addresses are where the node listens and what it tells others about it.
	Addresses Addresses
	// Bootstrap lists the peers, as multiaddrs with a peer id, through which
	// the node enters the network. "auto" stands for the public bootstrap peers.
	Bootstrap []string
	// Discovery exists only because profiles name it: this node has no MDNS.
	Discovery struct{ MDNS struct{ Enabled bool } }
	Routing   Routing
	Ipns      Ipns
	DNS       DNS
	Gateway   Gateway
	API       API
	HTTP      HTTP    `json:",omitzero"`
	Hosting   Hosting `json:",omitzero"`
	Swarm     Swarm
	Datastore Datastore `json:",omitzero"`
	Pinning   Pinning   `json:",omitzero"`
	AutoNAT   AutoNAT   `json:",omitzero"`
	AutoConf  AutoConf  `json:",omitzero"`
	AutoTLS   AutoTLS   `json:",omitzero"`
	Peering   Peering   `json:",omitzero"`
	Provide   Provide   `json:",omitzero"`
	Import    Import

	HTTPRetrieval HTTPRetrieval `json:",omitzero"`
	Bitswap       Bitswap       `json:",omitzero"`
	Internal      Internal      `json:",omitzero"`
	Version       struct {
		AgentSuffix string `json:",omitempty"` // follows the agent version that others see
	} `json:",omitzero"`

	// rest is what the config was made from by ParseConfig, with keys of Kubo's only.
	rest map[string]any
	// read is the file that it was read from; nil: none.
	read map[string]any
}

// Identity is the key of a node.
type Identity struct {
	PeerID  string // base58
	PrivKey string `json:",omitempty"` // base64 (standard, padded) of the serialized PrivateKey; "": it is in the keystore
}

// Addresses are multiaddrs; API, Gateway, Metrics and Hosting are one each.
type Addresses struct {
	Swarm          []string // none: the node listens to no peers
	Announce       []string // instead of the addresses found
	AppendAnnounce []string // in addition to them
	NoAnnounce     []string // never: addresses, or /ip4/…/ipcidr/… ranges
	API            string   // "": no API
	Gateway        string   // "": no gateway
	Metrics        string   `json:",omitempty"` // "": none; not a key of Kubo's
	Hosting        string   `json:",omitempty"` // "": none; not a key of Kubo's
}

// UnmarshalJSON reads addresses; one address may also be a list of one, as in Kubo's config.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	type plain Addresses
	both := struct {
		*plain
		API, Gateway, Metrics, Hosting oneAddress
	}{(*plain)(a), oneAddress(a.API), oneAddress(a.Gateway), oneAddress(a.Metrics), oneAddress(a.Hosting)}
	err := json.Unmarshal(b, &both)
	a.API, a.Gateway, a.Metrics, a.Hosting = string(both.API), string(both.Gateway), string(both.Metrics), string(both.Hosting)
	return err
}

type oneAddress string

func (a *oneAddress) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return json.Unmarshal(b, (*string)(a))
	}
	if len(list) > 1 {
		return fmt.Errorf("%d addresses, where one can be", len(list))
	}
	*a = ""
	if len(list) == 1 {
		*a = oneAddress(list[0])
	}
	return nil
}

// Ipns configures how names are kept alive and cached.
type Ipns struct {
	RepublishPeriod  Duration // 0: 4 h; 1 min to 24 h, unless DEBUG=true
	RecordLifetime   Duration // 0: 48 h; not below RepublishPeriod
	ResolveCacheSize int      // names; 0: 128
	// SweepVisits is how many servers are visited at once while many names are
	// republished; 0: 64. Not a key of Kubo's.
	SweepVisits int `json:",omitempty"`
	// SSHAgent is the socket of the ssh-agent whose keys can sign, as agent:COMMENT; "":
	// $SSH_AUTH_SOCK.
	SSHAgent string `json:",omitempty"`
	// Signers are servers whose keys can sign, as signer:URL#LABEL: at most MaxSigners. Not a
	// key of Kubo's.
	Signers []Signer `json:",omitempty"`
	// KeepValues is how many values of a name stay pinned that 'ipns up' and 'ipns publish' have put there; 0: 3. Not a
	// key of Kubo's.
	KeepValues int `json:",omitempty"`
	// Store is the URL of the PostgreSQL database, postgres://…, that has the names and that
	// other daemons may share; "": they are in the repo. It may have a password, which is
	// never shown; libpq's variables and files, such as PGPASSFILE, are used too. Not a key
	// of Kubo's.
	Store string `json:",omitempty"`
	// DelegatedPublishers are the URLs of HTTP routers to which names are put. "auto", as
	// which an absent list counts, is as in Routing.DelegatedRouters.
	DelegatedPublishers []string `json:",omitempty"`
	// UsePubsub publishes and resolves names by pubsub, too. nil: false.
	UsePubsub *bool `json:",omitempty"`
	// MaxCacheTTL limits how long an answer is reused, whatever its TTL. nil: no limit;
	// 0: answers are not cached.
	MaxCacheTTL *Duration
}

// Signer is a server that signs: see docs/signer.md.
type Signer struct {
	URL string // unix:/PATH of a socket, or https://HOST
	// TokenFile has the secret that the server wants, CertFile and KeyFile the certificate of
	// this client, CAFile those that sign the server's; "": none, and those of the system.
	TokenFile, CertFile, KeyFile, CAFile string `json:",omitempty"`
}

// UnmarshalJSON refuses unknown keys: without its secret, a server might still sign.
func (s *Signer) UnmarshalJSON(b []byte) error {
	type plain Signer
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(s)); err != nil {
		return fmt.Errorf("config setting Ipns.Signers: %w", err)
	}
	return nil
}

// DNS configures where DNSLinks are looked up.
type DNS struct {
	// Resolvers maps domains to the URLs of DNS-over-HTTPS servers for all names below
	// them; "." is for everything. "auto" and domains not listed: the DNS of the
	// system, and for eth. a public service that reads ENS.
	Resolvers map[string]string
}

// Gateway configures the HTTP gateway.
type Gateway struct {
	NoDNSLink   bool
	NoFetch     bool // serve only local blocks
	HTTPHeaders map[string][]string
	// RootRedirect is where requests for / are sent, such as /ipns/example.com. "": they
	// get 404.
	RootRedirect string `json:",omitempty"`
	// DeserializedResponses serves files and folders; false: only what a client can
	// verify. nil: true.
	DeserializedResponses *bool
	// ExposeRoutingAPI serves records and the places of content and peers to others
	// under /routing/v1. nil: true.
	ExposeRoutingAPI *bool `json:",omitempty"`
	// RoutingPuts says what becomes of the records that others PUT there. "off": they are
	// refused; "relay": they are put on the DHT, and not kept. "": "relay" if
	// ExposeRoutingAPI is set to true, for that is what it means with Kubo; else "off".
	// Not a key of Kubo's.
	RoutingPuts string `json:",omitempty"`
	// PublicGateways are the host names of the gateway, in addition to localhost; null
	// removes one.
	PublicGateways       map[string]*GatewayHost
	DisableHTMLErrors    bool `json:",omitempty"` // errors are text, for browsers too
	AllowCodecConversion bool `json:",omitempty"` // data is served in other codecs than its own
	// MaxRangeRequestFileSize is the size of files, such as "5GiB", above which no ranges are
	// served. nil, 0: any.
	MaxRangeRequestFileSize any     `json:",omitempty"`
	DiagnosticServiceURL    *string `json:",omitempty"` // linked on pages of errors
	// RetrievalTimeout bounds the time to the first byte, and between two writes.
	// nil: 30 s; 0: no bound.
	RetrievalTimeout *Duration `json:",omitempty"`
	// MaxRequestDuration bounds one request. nil or 0: 1 h.
	MaxRequestDuration *Duration `json:",omitempty"`
	// MaxConcurrentRequests limits the requests served at once; more get 429. nil:
	// 1024; 0: no limit.
	MaxConcurrentRequests *int `json:",omitempty"`
}

// GatewayHost is one host name of the gateway.
type GatewayHost struct {
	Paths                 []string // served prefixes, such as /ipns
	UseSubdomains         bool     // each name gets its own subdomain, and so its own cookies
	InlineDNSLink         bool     // dots of domains become dashes in subdomains
	NoDNSLink             bool
	DeserializedResponses *bool // nil: as Gateway says
}

// Duration is a [time.Duration] that JSON writes as Go does: "4h", or "" for 0.
type Duration time.Duration

// Time returns a duration that may be nil.
func (d *Duration) Time() *time.Duration { return (*time.Duration)(d) }

// UnmarshalJSON reads a duration text; "" and null are zero.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*d = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == "" || s == "default" {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) {
	if d == 0 {
		return []byte(`""`), nil
	}
	return json.Marshal(time.Duration(d).String())
}

// Config reads the file config as the daemon sees it.
func (r Repo) Config() (Config, error) {
	b, err := r.readConfig()
	if err != nil {
		return Config{}, err
	}
	c, err := r.parse(b)
	if err != nil {
		return c, err
	}
	if c.read, err = decodeTree(b); err != nil {
		return c, err
	}
	_, err = r.Unused()
	return c, err
}

func (r Repo) parse(b []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("the config %s cannot be read: %w; correct the file, its keys are untouched", r.path(configFile), err)
	}
	if i := c.Internal.UnixFSShardingSizeThreshold; i != nil && c.Import.UnixFSHAMTDirectorySizeThreshold == nil {
		c.Import.UnixFSHAMTDirectorySizeThreshold = i
	}
	return c, c.check()
}

// ParseConfig reads a config that is not in a repo yet. The keys of Kubo's in it stay.
func ParseConfig(b []byte) (Config, error) {
	var c Config
	rest, err := decodeTree(b)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("the config cannot be read: %w", err)
	}
	if _, err := checkTree(rest); err != nil {
		return c, err
	}
	c.rest = rest
	return c, c.check()
}

// Unused returns warnings about the keys of the config that change nothing.
func (r Repo) Unused() ([]string, error) {
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	warnings, err := checkTree(tree)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, r.path(configFile))
	}
	return warnings, nil
}

// check returns an error if the daemon could not start with the config.
func (c *Config) check() error {
	period, life := time.Duration(c.Ipns.RepublishPeriod), time.Duration(c.Ipns.RecordLifetime)
	// For tests of whole networks, as with Kubo: they don't wait for minutes.
	anyPeriod := os.Getenv("DEBUG") == "true" && period > 0
	if period != 0 && !anyPeriod && (period < time.Minute || period > 24*time.Hour) {
		return fmt.Errorf("config setting IPNS.RepublishPeriod is not between 1min and 1day: %s", period)
	}
	if period == 0 {
		period = DefaultRepublishPeriod
	}
	if life != 0 && life < period {
		return fmt.Errorf("config setting IPNS.RecordLifetime (%s) must be >= IPNS.RepublishPeriod (%s), otherwise records expire before they are republished", life, period)
	}
	if _, err := c.HTTP.Proxies(); err != nil {
		return err
	}
	for name, a := range c.API.Authorizations {
		if a == nil || a.AuthSecret == "" {
			return fmt.Errorf("config setting API.Authorizations.%s has no AuthSecret", name)
		}
	}
	if err := c.Datastore.check(); err != nil {
		return err
	}
	if err := CheckStore(c.Ipns.Store); err != nil {
		return fmt.Errorf("config setting Ipns.Store: %w", err)
	}
	if c.Ipns.ResolveCacheSize < 0 {
		return errors.New("cannot specify negative resolve cache size")
	}
	if err := c.Routing.check(); err != nil {
		return err
	}
	if n := c.Ipns.KeepValues; n < 0 || n > MaxKeepValues {
		return fmt.Errorf("config setting Ipns.KeepValues is not between 0 and %d: %d", MaxKeepValues, n)
	}
	if n := len(c.Ipns.Signers); n > MaxSigners {
		return fmt.Errorf("config setting Ipns.Signers has %d servers: at most %d are possible", n, MaxSigners)
	}
	if n := c.Ipns.SweepVisits; n < 0 || n > MaxSweepVisits {
		return fmt.Errorf("config setting Ipns.SweepVisits is not between 0 and %d: %d", MaxSweepVisits, n)
	}
	if err := errors.Join(c.Provide.check(), c.HTTPRetrieval.check(), c.Hosting.check(), c.Bitswap.check(&c.HTTPRetrieval), c.Import.check()); err != nil {
		return err
	}
	return c.Gateway.check()
}

// RelayPuts is the value of Gateway.RoutingPuts for those that are put on the DHT.
const RelayPuts = "relay"

// Relays reports whether records that others PUT are put on the DHT.
func (g *Gateway) Relays() bool {
	return g.RoutingPuts == RelayPuts || g.RoutingPuts == "" && g.ExposeRoutingAPI != nil && *g.ExposeRoutingAPI
}

// RangeLimit is MaxRangeRequestFileSize in bytes; 0: none.
func (g *Gateway) RangeLimit() (int64, error) {
	n, err := Size(g.MaxRangeRequestFileSize, 0)
	if err != nil {
		err = fmt.Errorf("config setting Gateway.MaxRangeRequestFileSize: %w", err)
	}
	return int64(min(n, math.MaxInt64)), err
}

func (g *Gateway) check() error {
	if _, err := g.RangeLimit(); err != nil {
		return err
	}
	if p := g.RoutingPuts; p != "" && p != "off" && p != RelayPuts {
		return fmt.Errorf("config setting Gateway.RoutingPuts is %q: use off or relay", p)
	}
	if n := g.MaxConcurrentRequests; n != nil && *n < 0 {
		return fmt.Errorf("config setting Gateway.MaxConcurrentRequests is negative: %d", *n)
	}
	for name, d := range map[string]*Duration{"RetrievalTimeout": g.RetrievalTimeout, "MaxRequestDuration": g.MaxRequestDuration} {
		if d != nil && *d < 0 {
			return fmt.Errorf("config setting Gateway.%s is negative: %s", name, time.Duration(*d))
		}
	}
	return nil
}

// Defaults and limits of Ipns.
const (
	DefaultRepublishPeriod  = 4 * time.Hour
	DefaultResolveCacheSize = 128
	MaxSweepVisits          = 1024
	MaxKeepValues           = 1000
	MaxSigners              = 16 // in Ipns.Signers
)

// On returns the value of a switch that is on by default.
func On(b *bool) bool { return b == nil || *b }
