package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func create(t *testing.T) Repo {
	t.Helper()
	r := Repo(filepath.Join(t.TempDir(), "repo"))
	if err := r.Create(NewConfig(Identity{PeerID: "12D3", PrivKey: "c2VjcmV0"})); err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, r Repo, name string) string {
	t.Helper()
	b, err := os.ReadFile(r.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCreate(t *testing.T) {
	r := create(t)
	before := read(t, r, configFile)
	if err := r.Create(NewConfig(Identity{PeerID: "other"})); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second time: %v", err)
	}
	if read(t, r, configFile) != before {
		t.Error("the config was replaced")
	}
	c, err := r.Config()
	if err != nil || c.Identity.PeerID != "12D3" || c.Addresses.API != "/ip4/127.0.0.1/tcp/5001" {
		t.Errorf("%+v, %v", c, err)
	}
	if err := Repo(t.TempDir()).Check(); !errors.Is(err, ErrNoRepo) {
		t.Errorf("no repo: %v", err)
	}
	if err := os.WriteFile(r.path(versionFile), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a repo of the future: %v", err)
	}
}

func TestLock(t *testing.T) {
	r := create(t)
	l, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if err := r.WriteAddresses("/ip4/127.0.0.1/tcp/1", "http://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	if lock, api, err := r.LockOrAPI(t.Context()); lock != nil || api != "/ip4/127.0.0.1/tcp/1" || err != nil {
		t.Errorf("a daemon runs: %v, %q, %v", lock, api, err)
	}
	if gw, err := r.Gateway(); gw != "http://127.0.0.1:2" || err != nil {
		t.Errorf("gateway: %q, %v", gw, err)
	}
	// The daemon dies without removing its addresses.
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	lock, api, err := r.LockOrAPI(t.Context())
	if lock == nil || api != "" || err != nil {
		t.Fatalf("stale files: %v, %q, %v", lock, api, err)
	}
	defer lock.Unlock()
	if _, err := r.API(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale address is still there: %v", err)
	}
}

// A command waits for another one that is about to finish.
func TestLockWaits(t *testing.T) {
	r := create(t)
	l, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(100*time.Millisecond, func() { l.Unlock() })
	defer timer.Stop()
	lock, api, err := r.LockOrAPI(t.Context())
	if err != nil || api != "" {
		t.Fatalf("%q, %v", api, err)
	}
	lock.Unlock()
}

// Keys that only Kubo knows stay in the config unchanged.
func TestSetKeepsTheRest(t *testing.T) {
	r := create(t)
	var tree map[string]any
	if err := json.Unmarshal([]byte(read(t, r, configFile)), &tree); err != nil {
		t.Fatal(err)
	}
	tree["Datastore"] = map[string]any{"BloomFilterSize": json.Number("12345678901234567890"), "Path": "<&>"}
	b, err := marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path(configFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Set("swarm.connmgr.HighWater", 7); err != nil { // in any case
		t.Fatal(err)
	}
	after := read(t, r, configFile)
	for _, want := range []string{"12345678901234567890", `"<&>"`, `"HighWater": 7`, `"PrivKey": "c2VjcmV0"`} {
		if !strings.Contains(after, want) {
			t.Errorf("no %s in\n%s", want, after)
		}
	}
	c, err := r.Config()
	if err != nil || c.Swarm.ConnMgr.HighWater != 7 {
		t.Errorf("%+v, %v", c.Swarm, err)
	}
}

// P-40, P-41
func TestSetRefuses(t *testing.T) {
	r := create(t)
	before := read(t, r, configFile)
	for _, c := range []struct {
		key   string
		value any
		err   string
	}{
		{"Ipns.RepublishPeriod", "30s", "config setting IPNS.RepublishPeriod is not between 1min and 1day: 30s"},
		{"Ipns.RepublishPeriod", "25h", "not between 1min and 1day"},
		{"Ipns.RepublishPeriod", "soon", "invalid duration"},
		{"Ipns.RecordLifetime", "1h", "config setting IPNS.RecordLifetime (1h0m0s) must be >= IPNS.RepublishPeriod (4h0m0s), otherwise records expire before they are republished"},
		{"Ipns.ResolveCacheSize", -1, "cannot specify negative resolve cache size"},
		{"Ipns.SweepVisits", 1025, "config setting Ipns.SweepVisits is not between 0 and 1024: 1025"},
		{"Routing.MaxValueBytes", -1, "cannot be negative"},
		{"Addresses", "x", "cannot unmarshal"},
		{"API.Authorizations", map[string]any{"Bob": map[string]any{}}, "API.Authorizations.Bob has no AuthSecret"},
		{"HTTP.TrustedProxies", []string{"proxy.example"}, "neither an IP address nor a range"},
		{"Addresses.API.Port", "x", `unknown config key "Addresses.API.Port"; did you mean "Addresses.API"?`},
		{"Routing.Type", "carrier pigeons", `Routing.Type is "carrier pigeons": use auto, autoclient, dht`},
		{"Gateway.MaxConcurrentRequests", -1, "negative"},
		{"Gateway.RetrievalTimeout", "-1s", "negative"},
		{"Gateway.RoutingPuts", "keep", `Gateway.RoutingPuts is "keep": use off or relay`},
		// Misspelled, at the top level, below, and inside a value.
		{"Adresses.API", "x", `unknown config key "Adresses.API"; did you mean "Addresses.API"?`},
		{"replace", "x", `unknown config key "replace"`},
		{"Ipns.RepublishPeriode", "4h", `did you mean "Ipns.RepublishPeriod"?`},
		{"Gateway", map[string]any{"NoFetc": true}, `unknown config key "Gateway.NoFetc"; did you mean "Gateway.NoFetch"?`},
		{"Gateway.PublicGateways", map[string]any{"example.com": map[string]any{"Pathes": nil}}, `"Gateway.PublicGateways.example.com.Pathes"`},
		{"Gateway", map[string]any{"NoFetch": true, "nofetch": false}, `"Gateway.NoFetch" occurs twice`},
		// Kubo's keys that would change what happens.
		{"DNS.MaxCacheTTL", "1h", `config key DNS.MaxCacheTTL cannot be "1h"`},
		{"Bitswap", map[string]any{"Libp2pEnabled": false, "ServerEnabled": true}, "Bitswap.ServerEnabled requires Bitswap.Libp2pEnabled"},
		{"Provide.Strategy", "pinned+roots+entities", "incompatible with roots"},
		{"Provide.Strategy", "everything", `unknown provide strategy token: "everything"`},
		{"Provide.DHT.Interval", "72h", "validity"},
		{"Provide.DHT.MaxWorkers", 0, "must be positive"},
		{"Routing.Routers", map[string]any{"a": map[string]any{"Typ": "x"}}, `"Routing.Routers.a.Typ"`},
		{"Identity.PrivKey", "x", "cannot show or change private key through API"},
		{"identity.peerid", "x", "does not match the node's private key"},
		{"", "x", "not a config key"},
		{"Addresses.", "x", "not a config key"},
		{".API", "x", "not a config key"},
	} {
		if _, err := r.Set(c.key, c.value); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s = %v: %v, want %s", c.key, c.value, err, c.err)
		}
	}
	if read(t, r, configFile) != before {
		t.Error("the config has changed")
	}
}

func TestSecretsOfTheAPIAreNotShown(t *testing.T) {
	r := create(t)
	if _, err := r.Set("API.Authorizations.ann", map[string]any{"authSecret": "bearer:s3cret", "AllowedPaths": []string{"/api/v0"}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"API", "api.authorizations", "API.Authorizations.ann", "API.Authorizations.ann.AuthSecret", "api.authorizations.ann.authsecret"} {
		if v, err := r.Get(key); strings.Contains(fmt.Sprint(v, err), "s3cret") {
			t.Errorf("%s shows %v, %v", key, v, err)
		}
	}
	tree, err := r.Show()
	if err != nil || strings.Contains(fmt.Sprint(tree), "s3cret") || !strings.Contains(fmt.Sprint(tree), "/api/v0") {
		t.Errorf("the whole config shows %v, %v", tree, err)
	}
	if c, err := r.Config(); err != nil || c.API.Authorizations["ann"].AuthSecret != "bearer:s3cret" {
		t.Errorf("the secret is lost: %v, %v", c.API, err)
	}
}

// The service for certificates gives them to whoever has the token.
func TestTheTokenForCertificatesIsNotShown(t *testing.T) {
	r := create(t)
	if _, err := r.Set("AutoTLS.RegistrationToken", "s3cret"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"AutoTLS", "autotls.registrationtoken", "AutoTLS.RegistrationToken"} {
		if v, err := r.Get(key); strings.Contains(fmt.Sprint(v, err), "s3cret") {
			t.Errorf("%s shows %v, %v", key, v, err)
		}
	}
	shown, err := r.Show()
	if err != nil || strings.Contains(fmt.Sprint(shown), "s3cret") {
		t.Errorf("the whole config shows %v, %v", shown, err)
	}
	b, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Replace(b); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Config(); err != nil || c.AutoTLS.RegistrationToken != "s3cret" {
		t.Errorf("the token is lost: %+v, %v", c.AutoTLS, err)
	}
}

func TestTrustedProxiesAreAddressesAndRanges(t *testing.T) {
	got, err := HTTP{TrustedProxies: []string{"10.1.2.3/8", "192.168.1.1", "fd00::/8", "::ffff:1.2.3.4"}}.Proxies()
	if err != nil || fmt.Sprint(got) != "[10.0.0.0/8 192.168.1.1/32 fd00::/8 1.2.3.4/32]" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestGetHidesTheKey(t *testing.T) {
	r := create(t)
	for _, key := range []string{"Identity", "identity.privkey", "Identity.PrivKey"} {
		if v, err := r.Get(key); err == nil {
			t.Errorf("%s: %v", key, v)
		}
	}
	tree, err := r.Show()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(tree)
	if strings.Contains(string(b), "c2VjcmV0") || !strings.Contains(string(b), "12D3") {
		t.Errorf("Show: %s", b)
	}
	if v, err := r.Get("Identity.PeerID"); v != "12D3" || err != nil {
		t.Errorf("PeerID: %v, %v", v, err)
	}
}

// After a crash there is the old file or the new one; here, a write fails.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d"), []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSites(t *testing.T) {
	r := create(t)
	if s, err := r.Sites(); len(s) != 0 || err != nil {
		t.Errorf("at first: %v, %v", s, err)
	}
	free := func(before string) bool { return before == "" }
	// Of concurrent calls none is lost, and of two folders for one key one wins.
	var wg sync.WaitGroup
	var won atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			if _, ok, err := r.SetSite(fmt.Sprint("key-", i), "/srv/site", free); !ok || err != nil {
				t.Errorf("key %d: %v, %v", i, ok, err)
			}
			before, ok, err := r.SetSite("self", fmt.Sprint("/srv/", i), free)
			if ok {
				won.Add(1)
			}
			if err != nil || ok != (before == "") {
				t.Errorf("self was %q: %v, %v", before, ok, err)
			}
		})
	}
	wg.Wait()
	s, err := r.Sites()
	if len(s) != 21 || err != nil || won.Load() != 1 {
		t.Errorf("then: %v, %v; %d won", s, err, won.Load())
	}
	// The folder recorded so far decides whether it may be replaced.
	first := s["self"]
	for _, may := range []bool{false, true} {
		before, ok, err := r.SetSite("self", "/srv/new", func(before string) bool { return may && before == first })
		if s, _ := r.Sites(); before != first || ok != may || err != nil || (s["self"] == "/srv/new") != may {
			t.Errorf("may be replaced %v: %s before, %v, %v, %v", may, before, ok, err, s["self"])
		}
	}
}

// C-32
func TestProfiles(t *testing.T) {
	c := NewConfig(Identity{})
	for range 2 { // applying twice changes nothing
		if err := c.Apply("server"); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.Swarm.AddrFilters) != 19 || !slices.Equal(c.Swarm.AddrFilters, c.Addresses.NoAnnounce) || !c.Swarm.DisableNatPortMap {
		t.Errorf("server: %+v", c)
	}
	if err := c.Apply("test"); err != nil {
		t.Fatal(err)
	}
	if len(c.Bootstrap) != 0 || c.Addresses.API != "/ip4/127.0.0.1/tcp/0" || !c.Routing.LoopbackAddressesOnLanDHT {
		t.Errorf("test: %+v", c)
	}
	if err := c.Apply("nope"); err == nil {
		t.Error("there is no such profile")
	}
}

func TestAvoidTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := "/ip4/127.0.0.1/tcp/" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")
	c := NewConfig(Identity{})
	c.Addresses = Addresses{API: taken, Gateway: "/ip4/127.0.0.1/tcp/0", Swarm: []string{taken, "/dns4/x/tcp/1", "/ip4/127.0.0.1/udp/0/quic-v1"}}
	want := c.Addresses
	moved, err := c.AvoidTakenPorts()
	if err != nil || len(moved) != 2 || moved[0].What != "API" || moved[0].From != taken || moved[1].What != "Swarm" {
		t.Fatalf("%+v, %v", moved, err)
	}
	if c.Addresses.API == taken || c.Addresses.API != moved[0].To || c.Addresses.Gateway != want.Gateway || c.Addresses.Swarm[1] != want.Swarm[1] {
		t.Errorf("%+v", c.Addresses)
	}
}

func TestAPortIsTakenInTheWordsOfWindowsToo(t *testing.T) {
	for number, taken := range map[syscall.Errno]bool{10048: true, 10013: true, syscall.EADDRINUSE: true, syscall.EACCES: false, syscall.EADDRNOTAVAIL: false} {
		err := fmt.Errorf("listen: %w", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", number)})
		if Taken(err) != taken {
			t.Errorf("%d: %v", uintptr(number), !taken)
		}
	}
}

// Listeners that share a port still do: it is one that a router forwards.
func TestListenersOfATakenPortMoveTogether(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := "/ip4/127.0.0.1/udp/" + strings.TrimPrefix(l.LocalAddr().String(), "127.0.0.1:")
	c := NewConfig(Identity{})
	c.Addresses = Addresses{API: "/ip4/127.0.0.1/tcp/0", Gateway: "/ip4/127.0.0.1/tcp/0", Swarm: []string{taken + "/webrtc-direct", taken + "/quic-v1", taken + "/quic-v1/webtransport"}}
	if _, err := c.AvoidTakenPorts(); err != nil {
		t.Fatal(err)
	}
	first := strings.TrimSuffix(c.Addresses.Swarm[0], "/webrtc-direct")
	if first == taken || c.Addresses.Swarm[1] != first+"/quic-v1" || c.Addresses.Swarm[2] != first+"/quic-v1/webtransport" {
		t.Errorf("%s became %v", taken, c.Addresses.Swarm)
	}
}

// Kubo's keys that change nothing here are kept with a warning; values that ask for what
// happens anyway are accepted silently.
func TestSetWarnsOfWhatChangesNothing(t *testing.T) {
	r := create(t)
	for _, c := range []struct {
		key   string
		value any
		warns bool
	}{
		{"Datastore.StorageMax", "10GB", false},
		{"datastore.storagemax", "20GB", false}, // each time it is set
		{"Peering.Peers", []any{map[string]any{"ID": "x"}}, false},
		{"Discovery.MDNS.Enabled", true, true},
		{"Discovery.MDNS.Enabled", false, false},
		{"Experimental", map[string]any{"FilestoreEnabled": true}, true},
		{"Datastore.Spec", map[string]any{"mounts": []any{}}, true},
		{"Import.CidVersion", 0, false},
		{"Import.HashFunction", "sha2-256", false},
		{"Ipns.DelegatedPublishers", []any{"auto"}, false},
		{"Ipns.DelegatedPublishers", []any{}, false},
		{"Ipns.DelegatedPublishers", []any{"https://example.com"}, false},
		{"Routing.DelegatedRouters", []any{"auto", "https://example.com"}, false},
		{"Routing.Type", "custom", false},
		{"Routing.Routers", map[string]any{"a": map[string]any{"Type": "dht", "Parameters": map[string]any{"Mode": "auto", "PublicIPNetwork": true, "AcceleratedDHTClient": false}}}, false},
		{"Routing.Methods", map[string]any{"get-ipns": map[string]any{"RouterName": "a"}}, false},
		{"Routing.Type", "none", false},
		{"Mounts.IPFS", "", false},
		{"Addresses.API", "/ip4/127.0.0.1/tcp/5002", false},
		{"API.HTTPHeaders", map[string]any{"Access-Control-Allow-Methods": []any{"PUT"}}, false},
		{"Gateway.PublicGateways", map[string]any{"example.com": map[string]any{"DeserializedResponses": true}}, false},
		{"DNS.Resolvers", map[string]any{"eth.": "https://example.com/dns-query"}, false},
	} {
		warnings, err := r.Set(c.key, c.value)
		if err != nil || (len(warnings) > 0) != c.warns {
			t.Errorf("%s = %v: warnings %q, %v", c.key, c.value, warnings, err)
		}
	}
	unused, err := r.Unused()
	if err != nil || len(unused) != 2 || !strings.Contains(unused[0], "Datastore.Spec is kept, but changes nothing") {
		t.Errorf("at the start: %q, %v", unused, err)
	}
	if text := read(t, r, configFile); strings.Contains(text, "storagemax") || !strings.Contains(text, "20GB") {
		t.Errorf("the key is not spelled as Kubo spells it:\n%s", text)
	}
}

// Values edited in the file follow the same rules.
func TestConfigRefusesUnknownKeysInTheFile(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"Adresses", `{"API": "x"}`, `unknown config key "Adresses"; did you mean "Addresses"? (in `},
		{"Peering", `{"Nope": 1}`, `"Peering.Nope"`},
	} {
		r := create(t)
		text := strings.Replace(read(t, r, configFile), "{", "{\n"+strconv.Quote(c.key)+": "+c.value+",", 1)
		if err := os.WriteFile(r.path(configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Config(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.key, err, c.want)
		}
	}
}

// As with Kubo, tests of whole networks need not wait for minutes.
func TestDebugLiftsTheFloorOfThePeriod(t *testing.T) {
	c := NewConfig(Identity{})
	c.Ipns.RepublishPeriod = Duration(40 * time.Second)
	if c.check() == nil {
		t.Error("40 s is taken")
	}
	t.Setenv("DEBUG", "true")
	if err := c.check(); err != nil {
		t.Error(err)
	}
	if c.Ipns.RepublishPeriod = Duration(-time.Second); c.check() == nil {
		t.Error("-1 s is taken")
	}
}
