package dht

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/goipns/ipns/internal/keyspace"
)

var testTime = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// testID returns a made-up peer id.
func testID(i uint64) peer.ID {
	return peer.ID(binary.BigEndian.AppendUint64([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, i))
}

// testAddrs returns a public address. Up to 51,200 consecutive numbers are in different
// IP groups.
func testAddrs(i int) []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/%d.%d.1.1/udp/4001/quic-v1", 11+i/256%89, i%256))}
}

func filledMap(n int) *Map {
	m := new(Map)
	for i := range n {
		m.noteAddrs(testID(uint64(i)), testAddrs(i), testTime)
	}
	return m
}

func TestMapClosest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, now := new(Map), testTime
		var all []contact
		for _, i := range rapid.SliceOfDistinct(rapid.Uint64Range(0, 5000), rapid.ID[uint64]).Draw(t, "servers") {
			if c, ok := m.noteAddrs(testID(i), testAddrs(int(i)), now); ok {
				all = append(all, c)
			}
			if rapid.IntRange(0, 3).Draw(t, "dead") == 0 {
				m.fail(testID(i), now)
				all = all[:len(all)-1]
			}
		}
		target := keyspace.KeyOf(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "target"))
		n := rapid.IntRange(0, 30).Draw(t, "n")
		slices.SortFunc(all, func(a, b contact) int { return keyspace.Closer(target, a.key, b.key) })
		want := all[:min(n, len(all))]
		got := m.closest(target, n, now)
		if !slices.EqualFunc(got, want, func(a, b contact) bool { return a.id == b.id }) {
			t.Fatalf("the %d closest of %d servers are not those", n, len(all))
		}
		region := keyspace.RegionOf(target, rapid.IntRange(0, 8).Draw(t, "bits"))
		inside := 0
		for _, c := range all {
			if region.Contains(c.key) {
				inside++
			}
		}
		if got := m.within(region, now); len(got) != inside {
			t.Fatalf("%d servers within %v, want %d", len(got), region, inside)
		}
	})
}

func TestMapDeadServersComeBack(t *testing.T) {
	m, id := filledMap(1), testID(0)
	usable := func(at time.Duration) bool {
		return len(m.closest(keyspace.Key{}, 1, testTime.Add(at))) == 1
	}
	m.fail(id, testTime)
	m.fail(id, testTime)
	if usable(2*deadPause - 1) {
		t.Error("a server that failed twice is used during its pause")
	}
	if !usable(2 * deadPause) {
		t.Error("a server that failed is never tried again")
	}
	for range 100 {
		m.fail(id, testTime)
	}
	if usable(deadPauseMax-1) || !usable(deadPauseMax) {
		t.Error("a pause is longer than deadPauseMax")
	}
	m.answer(id, time.Millisecond, testTime)
	if !usable(0) {
		t.Error("a server that answers is still taken for dead")
	}
}

func TestMapConnectedServersComeBack(t *testing.T) {
	m, id := filledMap(1), testID(0)
	usable := func() bool {
		_, ok := m.noteAddrs(id, testAddrs(0), testTime)
		return ok
	}
	m.fail(id, testTime)
	m.connected(id, testTime.Add(-time.Second))
	if usable() {
		t.Error("a connection from before the failure ends the pause")
	}
	m.connected(id, testTime.Add(time.Second))
	if !usable() {
		t.Error("a server that has connected since is still taken for dead")
	}
	m.connected(testID(1), testTime)
}

func TestMapIsBounded(t *testing.T) {
	m := filledMap(MaxServers)
	if c, ok := m.noteAddrs(testID(MaxServers), testAddrs(1), testTime); !ok || m.Len() != MaxServers || c.id != testID(MaxServers) {
		t.Errorf("a full map has %d servers; the new one can be asked: %v", m.Len(), ok)
	}
	for i := range uint64(10) {
		m.fail(testID(i), testTime)
	}
	m.noteAddrs(testID(MaxServers), testAddrs(1), testTime)
	if m.Len() != MaxServers-9 {
		t.Errorf("%d servers, want the dead to have made room", m.Len())
	}
	later := testTime.Add(staleAfter)
	for i := range uint64(MaxServers) {
		m.noteAddrs(testID(MaxServers+i), testAddrs(int(i)), later)
	}
	if m.Len() != MaxServers || m.byID[testID(500)] != nil {
		t.Errorf("%d servers, want the stale to have made room", m.Len())
	}
	if c, ok := m.noteAddrs(peer.ID(bytes.Repeat([]byte("x"), maxIDBytes+1)), testAddrs(1), later); ok {
		t.Errorf("%v is taken as a peer id", c)
	}
	if _, ok := m.noteAddrs(testID(1<<40), nil, later); ok {
		t.Error("a server without an address is taken as a server")
	}
}

// Naming many servers of one IP group does not fill the map, and dead servers of the
// group make room.
func TestMapIsBoundedForEachGroup(t *testing.T) {
	m, crowd := filledMap(100), ma.StringCast("/ip4/8.8.1.1/udp/4001/quic-v1")
	for i := range uint64(2 * maxGroupServers) {
		if _, ok := m.noteAddrs(testID(1000+i), []ma.Multiaddr{crowd}, testTime); !ok {
			t.Fatal("a server without a place in the map cannot be queried")
		}
	}
	if m.Len() != 100+maxGroupServers {
		t.Fatalf("%d servers, want 100 and %d of the crowd", m.Len(), maxGroupServers)
	}
	// A server that moves to a full group keeps its old entry.
	m.noteAddrs(testID(1), []ma.Multiaddr{crowd}, testTime)
	if got := m.addrs(testID(1)); len(got) != 1 || !got[0].Equal(testAddrs(1)[0]) {
		t.Errorf("moved into a full group: %v", got)
	}
	for i := range uint64(10) {
		m.fail(testID(1000+i), testTime)
	}
	m.noteAddrs(testID(1), []ma.Multiaddr{crowd}, testTime)
	m.noteAddrs(testID(1000+maxGroupServers), []ma.Multiaddr{crowd}, testTime)
	if m.Len() != 100+maxGroupServers-10+1 || m.byID[testID(1000)] != nil {
		t.Errorf("%d servers, want the dead to have made room", m.Len())
	}
	if got := m.addrs(testID(1)); len(got) != 1 || !got[0].Equal(crowd) {
		t.Errorf("not moved though there is room: %v", got)
	}
	count := 0
	for _, n := range m.groups {
		count += n
	}
	if count != m.Len() {
		t.Errorf("the groups count %d servers, the map has %d", count, m.Len())
	}
	var saved bytes.Buffer
	saved.Write(m.encode())
	again := new(Map)
	if _, err := again.ReadFrom(&saved); err != nil || again.Len() != m.Len() || again.groups[groupOf([]ma.Multiaddr{crowd})] != m.groups[groupOf([]ma.Multiaddr{crowd})] {
		t.Errorf("read back %d of %d servers, %v", again.Len(), m.Len(), err)
	}
}

// 25,000 made-up servers displace no server that answers or has answered: neither in the
// map as a whole, nor in its IP group, nor after one failure.
func TestWhoAnswersDisplacesWhoWasOnlyNamed(t *testing.T) {
	m := new(Map)
	const there = 2000
	for i := range there {
		m.noteAddrs(testID(uint64(i)), testAddrs(i), testTime)
		m.answer(testID(uint64(i)), time.Millisecond, testTime)
	}
	m.fail(testID(7), testTime)
	for i := range 3 * MaxServers {
		m.noteAddrs(testID(uint64(1000_000+i)), testAddrs(i), testTime)
	}
	if m.Len() != MaxServers {
		t.Fatalf("%d servers, want a full map", m.Len())
	}
	for i := there; i < 2*there; i++ {
		id := testID(uint64(i))
		if c, ok := m.noteAddrs(id, testAddrs(i), testTime); !ok || c.id != id || len(m.addrs(id)) != 1 {
			t.Fatal("a server without a place in the map cannot be queried")
		}
		m.answer(id, time.Millisecond, testTime)
	}
	for i := range 2 * there {
		if m.byID[testID(uint64(i))] == nil {
			t.Fatalf("server %d has answered and is not known", i)
		}
	}
	if m.Len() != MaxServers || len(m.guests) > maxGuests {
		t.Errorf("%d servers and %d guests", m.Len(), len(m.guests))
	}
	crowd := []ma.Multiaddr{ma.StringCast("/ip4/8.8.1.1/udp/4001/quic-v1")}
	m = filledMap(100)
	for i := range uint64(maxGroupServers) {
		m.noteAddrs(testID(1000+i), crowd, testTime)
	}
	m.noteAddrs(testID(5000), crowd, testTime)
	m.answer(testID(5000), time.Millisecond, testTime)
	if m.byID[testID(5000)] == nil || m.Len() != 100+maxGroupServers {
		t.Errorf("in a full group the server that answered is known: %v", m.byID[testID(5000)] != nil)
	}
}

func TestHearsayHasAQuotaForEachNamer(t *testing.T) {
	m, liar := new(Map), testID(1<<50)
	name := func(from, to int) {
		for i := from; i < to; i++ {
			m.noteNamed(testID(uint64(i)), liar, 0, testAddrs(i), testTime)
		}
	}
	name(0, 5*maxUnproven)
	if m.Len() != maxUnproven || m.unproven[liar] != maxUnproven {
		t.Fatalf("%d servers, want the quota of one who names", m.Len())
	}
	for i := range 100 {
		m.answer(testID(uint64(i)), time.Millisecond, testTime) // they exist
	}
	m.fail(testID(200), testTime)
	if m.answer(testID(5*maxUnproven-1), time.Millisecond, testTime); m.byID[testID(5*maxUnproven-1)] == nil {
		t.Error("a server beyond the quota is not known though it answers")
	}
	name(5*maxUnproven, 6*maxUnproven)
	if m.Len() != maxUnproven+101 || m.unproven[liar] != maxUnproven {
		t.Errorf("%d servers, want as many more as have answered", m.Len())
	}
}

// The limit of 32 MiB holds for servers with the maximum number of addresses.
func TestMapMemory(t *testing.T) {
	var addrs []ma.Multiaddr
	for i := range 2 * maxAddrs {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip6/2001:db8::%x/udp/4001/quic-v1/webtransport", i)))
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what the first finds in pools and finalizers
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	m := new(Map)
	for i := range uint64(MaxServers) {
		id := append([]byte(testID(i)), bytes.Repeat([]byte{1}, 24)...)
		m.noteAddrs(peer.ID(id), addrs, testTime)
	}
	used := heap() - before
	t.Logf("a map of %d servers takes %.1f MiB", m.Len(), float64(used)/(1<<20))
	if used > 32<<20 {
		t.Errorf("a full map takes %d bytes", used)
	}
	runtime.KeepAlive(m)
}

func TestMapSavedAndLoaded(t *testing.T) {
	m := filledMap(100)
	m.answer(testID(7), 1234*time.Microsecond, testTime.Add(time.Minute))
	m.fail(testID(8), testTime)
	saved := m.encode()
	loaded := new(Map)
	if n, err := loaded.ReadFrom(bytes.NewReader(saved)); err != nil || n != int64(len(saved)) {
		t.Fatalf("read %d of %d bytes: %v", n, len(saved), err)
	}
	if loaded.Len() != 99 || loaded.byID[testID(8)] != nil {
		t.Errorf("%d servers were loaded, want all but the dead one", loaded.Len())
	}
	want, got := *m.byID[testID(7)], *loaded.byID[testID(7)]
	if got.rtt != want.rtt || !got.answered.Equal(want.answered) || !got.lastNamed.Equal(want.lastNamed) ||
		got.group != want.group || !slices.EqualFunc(got.addrs, want.addrs, bytes.Equal) {
		t.Errorf("saved %+v, loaded %+v", want, got)
	}
	target := keyspace.KeyOf([]byte("target"))
	ids := func(m *Map) (ids []peer.ID) {
		for _, c := range m.closest(target, 20, testTime) {
			ids = append(ids, c.id)
		}
		return ids
	}
	if !slices.Equal(ids(m), ids(loaded)) {
		t.Error("the loaded map has other closest servers")
	}

	for i := range saved {
		for _, damaged := range [][]byte{saved[:i], slices.Concat(saved[:i], []byte{saved[i] ^ 0x41}, saved[i+1:])} {
			empty := new(Map)
			if _, err := empty.ReadFrom(bytes.NewReader(damaged)); err == nil || empty.Len() > 0 {
				t.Fatalf("a file damaged at byte %d gave %d servers, %v", i, empty.Len(), err)
			}
		}
	}
}

func FuzzMapReadFrom(f *testing.F) {
	f.Add(filledMap(3).encode())
	f.Add([]byte(mapMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(Map)
		if _, err := m.ReadFrom(bytes.NewReader(b)); err != nil && m.Len() > 0 {
			t.Errorf("an invalid file added %d servers", m.Len())
		}
		_, err := new(Map).ReadFrom(bytes.NewReader(m.encode()))
		if err != nil {
			t.Errorf("what was read cannot be written and read again: %v", err)
		}
	})
}

func TestGroups(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/8.8.1.2/tcp/1":             "8.8.0.0/16",
		"/ip6/2606:4700:1::1/tcp/1":      "2606:4700::/32",
		"/ip4/127.0.0.1/tcp/1":           "invalid Prefix",
		"/ip4/192.168.1.1/udp/1/quic-v1": "invalid Prefix",
		"/dns4/example.com/tcp/1":        "invalid Prefix",
	} {
		if got := groupOf([]ma.Multiaddr{ma.StringCast(addr)}).String(); got != want {
			t.Errorf("%s is of group %s, want %s", addr, got, want)
		}
	}
}

func BenchmarkMapClosest(b *testing.B) {
	m := filledMap(10_000)
	keys := make([]keyspace.Key, 1000)
	for i := range keys {
		keys[i] = keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, rand.Uint64()))
	}
	for i := 0; b.Loop(); i++ {
		if len(m.closest(keys[i%len(keys)], 20, testTime)) != 20 {
			b.Fatal("not 20")
		}
	}
}
