package relay

import (
	"net/netip"
	"testing"
	"time"
)

// T-54: a client that sends much waits, and nobody else; those that are forgotten are those
// that need not wait.
func TestEachClientHasItsPace(t *testing.T) {
	var p pace
	now := time.Now()
	one, other := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("8.8.4.4")
	for i := range burst {
		if wait := p.enter(one, now); wait != 0 {
			t.Fatalf("record %d waits for %s", i, wait)
		}
	}
	if wait := p.enter(one, now); wait != every {
		t.Errorf("one more waits for %s", wait)
	}
	if wait := p.enter(other, now); wait != 0 {
		t.Errorf("another client waits for %s", wait)
	}
	if wait := p.enter(one, now.Add(every)); wait != 0 {
		t.Errorf("after the pause: %s", wait)
	}
	for range 2 * burst {
		if wait := p.enter(netip.Addr{}, now); wait != 0 {
			t.Fatalf("this machine waits for %s", wait)
		}
	}
	late := now.Add(time.Hour)
	for i := range 2 * maxSenders {
		a := netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)})
		if wait := p.enter(a, late); wait != 0 || len(p.free) > maxSenders {
			t.Fatalf("client %d waits for %s, %d are known", i, wait, len(p.free))
		}
	}
}
