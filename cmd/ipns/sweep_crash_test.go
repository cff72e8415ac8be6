package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/rpc"
)

const (
	sweptServers = 22  // a few more than should hold a record
	sweptNames   = 200 // in each of sweptSectors
	sweptCopies  = 20  // of each record
	sweptEnough  = 18  // of them, on the servers closest to its name

	// What was stored before the start of a daemon is due at its first scan.
	sweptLife = 8 * time.Minute
)

// sweptSectors are those of the 64 sectors in which there are names.
var sweptSectors = []int{3, 14, 27, 38, 49, 60}

// TestKilledInMidSweep kills daemons while they sweep, each at another point, and
// starts them again. No name may be lost, and of the sectors that had begun only
// the last may be put once more.
func TestKilledInMidSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: each daemon is started twice, and scans some seconds after a start")
	}
	const all = sweptNames * sweptCopies
	sites := []*sweepSite{
		{what: "half of the third sector is stored", due: func(begun, copies int) bool {
			return begun == 3 && copies >= all/2
		}},
		{what: "all of the second sector is stored and the last server has not said so", due: func(begun, copies int) bool {
			return begun == 2 && copies >= all
		}},
		{what: "the fourth sector begins", due: func(begun, _ int) bool { return begun >= 4 }},
	}
	end := time.Now().Add(sweptLife)
	records := signSectors(t, end)
	for _, s := range sites {
		s.fill(t, records)
	}
	for _, s := range sites {
		s.start(t)
	}
	for _, s := range sites {
		s.awaitKill(t, end)
	}
	for _, s := range sites {
		s.restart(t, records)
	}
	for _, s := range sites {
		s.awaitPuts(t, end)
	}
	time.Sleep(2 * time.Second) // if there is more, it comes now
	for _, s := range sites {
		s.check(t, records)
	}
}

// signSectors signs records of sweptNames names in each of sweptSectors.
func signSectors(t *testing.T, end time.Time) []*ipns.Record {
	t.Helper()
	inSector := map[int]int{}
	var records []*ipns.Record
	for len(records) < sweptNames*len(sweptSectors) {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.NameOf(key.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		sector := sectorOf(name)
		if !slices.Contains(sweptSectors, sector) || inSector[sector] == sweptNames {
			continue
		}
		inSector[sector]++
		rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), ipns.Fields{
			Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", len(records)), Sequence: uint64(len(records)), EOL: end,
		}, ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	return records
}

// sectorOf returns the sector of the republisher that the name lies in.
func sectorOf(name ipns.Name) int { return int(name.Kad()[0] >> 2) }

// sweepSite is a repo with many names, a network of its own, and the daemon that
// keeps the names alive there until it is killed.
type sweepSite struct {
	what string
	due  func(begun, copies int) bool // kill it: so many sectors have begun, so many copies of the last are stored

	repo   string
	net    *testnet.Network
	daemon *daemonProcess
	api    *rpc.Client // of the daemon
	killed chan struct{}
	first  stored // before the kill

	mu     sync.Mutex // guards all below
	stored stored     // since the last start
	armed  bool
}

// stored is what servers have stored.
type stored struct {
	copies map[ipns.Name]int
	sector map[int]int // copies of all names in it
	begun  []int       // the sectors, in the order of their first copies
}

func (s *stored) add(name ipns.Name) {
	if s.copies == nil {
		s.copies, s.sector = map[ipns.Name]int{}, map[int]int{}
	}
	sector := sectorOf(name)
	if s.sector[sector] == 0 {
		s.begun = append(s.begun, sector)
	}
	s.copies[name]++
	s.sector[sector]++
}

// last returns the sector that has begun last, and the copies of it.
func (s *stored) last() (sector, copies int) {
	if len(s.begun) == 0 {
		return -1, 0
	}
	sector = s.begun[len(s.begun)-1]
	return sector, s.sector[sector]
}

// fill stores the records in a new repo, where no network hears of them.
func (s *sweepSite) fill(t *testing.T, records []*ipns.Record) {
	t.Helper()
	s.repo = t.TempDir()
	runIpns(t, s.repo, "init", "--profile", "test")
	d := startDaemon(t, s.repo)
	defer d.kill() // what was acknowledged is there
	c := apiClient(t, d)
	var g errgroup.Group
	g.SetLimit(32)
	for _, rec := range records {
		g.Go(func() error {
			_, err := rpc.Do(t.Context(), c, api.NamePut, api.NamePutRequest{
				Name: rec.Name().String(), Record: bytes.NewReader(rec.Raw()), AllowOffline: true,
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func apiClient(t *testing.T, d *daemonProcess) *rpc.Client {
	t.Helper()
	c, err := rpc.NewClient(d.api)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// start starts the network and the daemon, which is killed when that is due.
func (s *sweepSite) start(t *testing.T) {
	t.Helper()
	nw, err := testnet.Start(t.Context(), sweptServers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nw.Close() })
	s.net, s.killed = nw, make(chan struct{})
	nw.Watch(s.heard)
	s.run(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = true
}

// run starts a daemon that joins the network.
func (s *sweepSite) run(t *testing.T) {
	t.Helper()
	s.daemon = startDaemonWith(t, s.repo, "--bootstrap", s.net.Server(0).Addr())
	t.Cleanup(s.daemon.kill)
	s.api = apiClient(t, s.daemon)
}

// heard counts a copy, and kills the daemon when that is due: the server has not
// said that it has stored it.
func (s *sweepSite) heard(name ipns.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored.add(name)
	_, copies := s.stored.last()
	if s.armed && s.due(len(s.stored.begun), copies) {
		s.armed = false
		_ = s.daemon.cmd.Process.Kill() // awaitKill waits for its end
		close(s.killed)
	}
}

// awaitKill waits until the daemon is killed.
func (s *sweepSite) awaitKill(t *testing.T, end time.Time) {
	t.Helper()
	select {
	case <-s.killed:
		s.daemon.kill()
	case <-time.After(time.Until(end)):
		s.mu.Lock()
		defer s.mu.Unlock()
		t.Fatalf("kill when %s: that did not come, %v of sectors %v is stored\n%s", s.what, s.stored.sector, s.stored.begun, s.daemon.log.String())
	}
}

// restart starts the daemon again. What it has is all there.
func (s *sweepSite) restart(t *testing.T, records []*ipns.Record) {
	t.Helper()
	s.mu.Lock()
	s.first, s.stored = s.stored, stored{}
	s.mu.Unlock()
	s.run(t)
	list := s.statuses(t)
	lost := 0
	for _, rec := range records {
		st, ok := list[rec.Name().String()]
		if !ok || st.Value != rec.Value() || st.Sequence != rec.Sequence() || !st.EOL.Equal(rec.EOL()) {
			lost++
			if lost == 1 {
				t.Errorf("killed when %s: of %s there is %+v", s.what, rec.Name(), st)
			}
		}
	}
	sector, copies := s.first.last()
	t.Logf("killed when %s: %d of %d sectors were done, %d copies of sector %d stored; %d of %d names lost",
		s.what, len(s.first.begun)-1, len(sweptSectors), copies, sector, lost, len(records))
	if n := len(s.first.begun); n < 2 || n >= len(sweptSectors) {
		t.Errorf("killed when %s: %d of %d sectors had begun, that shows nothing", s.what, n, len(sweptSectors))
	}
}

// statuses asks the daemon what it knows of all names.
func (s *sweepSite) statuses(t *testing.T) map[string]api.Status {
	t.Helper()
	list, err := rpc.Do(t.Context(), s.api, api.NameStatus, api.StatusRequest{Local: true})
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]api.Status, len(list.Names))
	for _, st := range list.Names {
		byName[st.Name] = st
	}
	return byName
}

// awaitPuts waits until the daemon has noted the put of every name, or has shown
// that it repeats more than it may.
func (s *sweepSite) awaitPuts(t *testing.T, end time.Time) {
	t.Helper()
	for len(s.again()) <= 1 {
		noted := 0
		for _, st := range s.statuses(t) {
			if st.LastAnnounced != nil {
				noted++
			}
		}
		if noted == sweptNames*len(sweptSectors) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("killed when %s: after the restart, the put of %d names is noted\n%s", s.what, noted, s.daemon.log.String())
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// again lists the sectors that had begun before the kill and were put after it.
func (s *sweepSite) again() (sectors []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sector := range s.first.begun {
		if s.stored.sector[sector] > 0 {
			sectors = append(sectors, sector)
		}
	}
	return sectors
}

// check looks at what was repeated and at what the servers and the repo have.
func (s *sweepSite) check(t *testing.T, records []*ipns.Record) {
	t.Helper()
	again := s.again()
	last, _ := s.first.last()
	if slices.ContainsFunc(again, func(sector int) bool { return sector != last }) {
		t.Errorf("killed when %s: sectors %v had begun, %v of them were put again, the last alone may be", s.what, s.first.begun, again)
	}
	s.mu.Lock()
	names := 0
	for name := range s.stored.copies {
		if s.first.copies[name] > 0 {
			names++
		}
	}
	s.mu.Unlock()
	s.daemon.kill()

	least, few := sweptCopies, 0
	for _, rec := range records {
		held := 0
		for _, server := range s.net.Closest(rec.Name())[:sweptCopies] {
			if bytes.Equal(server.Record(rec.Name()), rec.Raw()) {
				held++
			}
		}
		least = min(least, held)
		if held < sweptEnough {
			few++
		}
	}
	if few > 0 {
		t.Errorf("killed when %s: fewer than %d of the closest %d servers hold %d names", s.what, sweptEnough, sweptCopies, few)
	}
	t.Logf("killed when %s: after the restart, sectors %v of %v and %d names put again; at least %d of %d servers hold a name",
		s.what, again, s.first.begun, names, least, sweptCopies)
	s.checkRepo(t, records)
}

// checkRepo looks for every record in the repo, without a network.
func (s *sweepSite) checkRepo(t *testing.T, records []*ipns.Record) {
	t.Helper()
	d := startDaemon(t, s.repo)
	defer d.kill()
	c := apiClient(t, d)
	lost := 0
	for _, rec := range records {
		stream, err := rpc.Do(t.Context(), c, api.NameGet, api.NameGetRequest{Name: rec.Name().String()})
		var raw []byte
		if err == nil {
			raw, err = io.ReadAll(stream)
			stream.Close()
		}
		if err != nil || !bytes.Equal(raw, rec.Raw()) {
			if lost++; lost == 1 {
				t.Errorf("killed when %s: the repo has %x of %s: %v", s.what, raw, rec.Name(), err)
			}
		}
	}
	if lost > 0 {
		t.Errorf("killed when %s: %d of %d records are lost", s.what, lost, len(records))
	}
}
