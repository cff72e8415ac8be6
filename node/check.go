package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

const (
	checkClosest  = 20               // servers of a DHT that should hold a record
	checkWanted   = 15               // of them, how many make a name safe
	checkJoin     = 10 * time.Second // to reach the first server
	checkTimeout  = time.Minute      // for everything
	checkPeers    = 64               // that are dialled to join by
	checkParallel = 16               // at once
)

// CheckRequest says whose record is looked for, and where.
type CheckRequest struct {
	Name ipns.Name
	// Peers are multiaddrs, with peer ids, by which the DHTs are joined; "auto" is
	// the public bootstrap peers.
	Peers []string
	// Routers and Gateways are the URLs of delegated routers and HTTP gateways.
	Routers, Gateways []string
}

// CheckReport is what the world has of a name.
type CheckReport struct {
	Name string
	// OK says that the newest record is held by enough of the closest servers of
	// a DHT, and by all the HTTP sources that were asked.
	OK      bool
	Verdict string
	// Newest is what the newest record found says; nil: none was found.
	Newest  *CheckedRecord `json:",omitempty"`
	Sources []CheckedSource
}

// CheckedRecord is what a record says.
type CheckedRecord struct {
	Sequence uint64
	EOL      time.Time
	Value    string
}

// CheckedSource is what one source has.
type CheckedSource struct {
	Network string         // "wan", "lan", "router", "gateway"
	Source  string         // peer id or URL
	Record  *CheckedRecord `json:",omitempty"` // nil: none
	Error   string         `json:",omitempty"` // why it is not known what it has
	Took    time.Duration  // nanoseconds from the start of the search to the answer

	rec *ipns.Record
}

// Check asks others what they have of a name, with a host of its own that shares
// nothing with the node: what they say is what anybody would be told.
func Check(ctx context.Context, req CheckRequest) (CheckReport, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	peers, err := ParseBootstrap(req.Peers)
	if err != nil {
		return CheckReport{}, err
	}
	asks := []func() []CheckedSource{}
	if len(peers) > 0 {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.UserAgent(Agent))
		if err != nil {
			return CheckReport{}, fmt.Errorf("host for the check: %w", err)
		}
		defer h.Close()
		d, err := dht.New(h, dht.Config{Mode: kaddht.ModeClient, LoopbackOnLAN: true})
		if err != nil {
			return CheckReport{}, err
		}
		defer d.Close()
		if err := joinForCheck(ctx, d, peers); err != nil {
			return CheckReport{}, err
		}
		asks = append(asks,
			func() []CheckedSource { return askDHT(ctx, d.WAN, "wan", req.Name) },
			func() []CheckedSource { return askDHT(ctx, d.LAN, "lan", req.Name) })
	}
	for _, u := range req.Routers {
		asks = append(asks, func() []CheckedSource {
			return []CheckedSource{askHTTP(ctx, "router", u, strings.TrimSuffix(strings.TrimSuffix(u, "/"), "/routing/v1/ipns")+"/routing/v1/ipns/"+req.Name.String(), req.Name)}
		})
	}
	for _, u := range req.Gateways {
		asks = append(asks, func() []CheckedSource {
			return []CheckedSource{askHTTP(ctx, "gateway", u, strings.TrimSuffix(u, "/")+req.Name.Path()+"?format=ipns-record", req.Name)}
		})
	}
	if len(asks) == 0 {
		return CheckReport{}, errors.New("there is nobody to ask: name servers to join by with --bootstrap, or routers or gateways")
	}
	found := make([][]CheckedSource, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() { found[i] = ask() })
	}
	wg.Wait()
	return judge(req.Name, slices.Concat(found...)), nil
}

// joinForCheck connects to the peers until the routing tables are filled from them.
func joinForCheck(ctx context.Context, d *dht.DHT, peers []peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, checkJoin)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards below
	var reached int
	var failure error
	slots := make(chan struct{}, checkParallel)
	for _, p := range peers[:min(len(peers), checkPeers)] {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := d.Dual.WAN.Host().Connect(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				reached++
			} else {
				failure = err
			}
		})
	}
	wg.Wait()
	if reached == 0 {
		return fmt.Errorf("none of %d servers was reached: %w", len(peers), failure)
	}
	for d.Dual.WAN.RoutingTable().Size()+d.Dual.LAN.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return errors.New("those that were reached are no DHT servers")
		case <-time.After(10 * time.Millisecond):
		}
	}
	// Known servers tell of others until the search has the closest ones: an empty
	// network answers this with an error, which the search tells better.
	for _, refresh := range []<-chan error{d.Dual.WAN.RefreshRoutingTable(), d.Dual.LAN.RefreshRoutingTable()} {
		select {
		case <-refresh:
		case <-ctx.Done():
		}
	}
	return nil
}

// askDHT returns what the servers closest to the name have. A network without
// servers has nothing to say.
func askDHT(ctx context.Context, r routing.Router, network string, name ipns.Name) []CheckedSource {
	var all []CheckedSource
	start := time.Now()
	for a, err := range r.Search(ctx, name) {
		var incomplete *routing.IncompleteError
		switch {
		case errors.Is(err, routing.ErrNoTargets):
			return nil
		case errors.As(err, &incomplete):
			all = append(all, CheckedSource{Network: network, Source: "the others", Error: err.Error()})
		case err != nil:
			return []CheckedSource{{Network: network, Source: network, Error: err.Error()}}
		case a.Own:
		default:
			all = append(all, CheckedSource{Network: network, Source: a.Source, Took: a.At.Sub(start), rec: a.Record})
		}
	}
	target := keyspace.Key(name.Kad())
	slices.SortStableFunc(all, func(a, b CheckedSource) int {
		return keyspace.Closer(target, sourceKey(a), sourceKey(b))
	})
	return all[:min(len(all), checkClosest)]
}

func sourceKey(s CheckedSource) keyspace.Key {
	id, err := peer.Decode(s.Source)
	if err != nil {
		return keyspace.Key{} // no peer: anywhere
	}
	return keyspace.KeyOf([]byte(id))
}

// askHTTP gets a record by HTTP. Any other answer than a record is none.
func askHTTP(ctx context.Context, network, source, url string, name ipns.Name) CheckedSource {
	s := CheckedSource{Network: network, Source: source}
	start := time.Now()
	raw, err := getRecord(ctx, url)
	s.Took = time.Since(start)
	if err == nil && raw != nil {
		s.rec, err = ipns.Open(name, raw, time.Now())
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

func getRecord(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", ipns.RecordMediaType)
	req.Header.Set("Cache-Control", "no-cache")
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // none is not a record
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusOK && kind != ipns.RecordMediaType:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, ipns.MaxRecordSize+1))
	if err != nil {
		return nil, err
	}
	return raw, nil
}

// judge says what the answers amount to.
func judge(name ipns.Name, sources []CheckedSource) CheckReport {
	report := CheckReport{Name: name.String(), Sources: sources}
	var newest *ipns.Record
	for i, s := range sources {
		if s.rec == nil {
			continue
		}
		sources[i].Record = &CheckedRecord{Sequence: s.rec.Sequence(), EOL: s.rec.EOL(), Value: s.rec.Value()}
		if newest == nil || ipns.Compare(s.rec, newest) > 0 {
			newest, report.Newest = s.rec, sources[i].Record
		}
	}
	if newest == nil {
		report.Verdict = "nobody has it"
		if slices.ContainsFunc(sources, func(s CheckedSource) bool { return s.Error != "" }) {
			report.Verdict = "nobody who answered has it"
		}
		return report
	}
	report.OK, report.Verdict = weigh(newest, sources)
	return report
}

// weigh counts who has the newest record.
func weigh(newest *ipns.Record, sources []CheckedSource) (ok bool, verdict string) {
	type count struct{ of, have, other, older int }
	dhts, web := map[string]*count{}, count{}
	for _, s := range sources {
		c := &web
		if s.Network == "wan" || s.Network == "lan" {
			if dhts[s.Network] == nil {
				dhts[s.Network] = new(count)
			}
			c = dhts[s.Network]
		}
		c.of++
		if s.rec == nil {
			continue
		}
		switch VersionOf(s.rec, newest) {
		case SameVersion:
			c.have++
		case OtherValue:
			c.other++
		default:
			c.older++
		}
	}
	ok = web.have == web.of
	var parts []string
	for _, network := range []string{"wan", "lan"} {
		c := dhts[network]
		if c == nil {
			continue
		}
		part := fmt.Sprintf("%d of the %d closest servers (%s) hold sequence %d", c.have, c.of, network, newest.Sequence())
		if c.other > 0 {
			part += fmt.Sprintf(", %d another value under it", c.other)
		}
		if c.older > 0 {
			part += fmt.Sprintf(", %d an older record", c.older)
		}
		parts = append(parts, part)
		ok = ok && c.have >= min(checkWanted, c.of)
	}
	if web.of > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d routers and gateways have it", web.have, web.of))
	}
	return ok, strings.Join(parts, "; ")
}

// Text is a line for each source and the verdict.
func (r CheckReport) Text() string {
	var b strings.Builder
	for _, s := range r.Sources {
		what := "none"
		switch {
		case s.Error != "":
			what = s.Error
		case s.Record != nil:
			what = fmt.Sprintf("sequence %d until %s", s.Record.Sequence, s.Record.EOL.Format(time.RFC3339))
		}
		display.Fprintf(&b, "%-7s %-52s %8s  %s\n", s.Network, s.Source, s.Took.Round(time.Millisecond), what)
	}
	display.Fprintf(&b, "%s\n", r.Verdict)
	return b.String()
}

// Version is what a record is to the newest one.
type Version int

const (
	OlderVersion Version = iota // of a lower sequence
	OtherValue                  // of the same, with another value: somebody else signs with the key
	SameVersion                 // it says the same, if not for as long
)

// VersionOf tells what a record is to the newest one.
func VersionOf(rec, newest *ipns.Record) Version {
	switch {
	case rec.Sequence() != newest.Sequence():
		return OlderVersion
	case rec.Value() != newest.Value():
		return OtherValue
	}
	return SameVersion
}
