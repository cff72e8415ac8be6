package simnet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Kubo's limits: every trimPeriod, a host with more than highWater connections closes the
// least valuable ones, down to lowWater. Young connections are spared.
const (
	lowWater   = 32
	highWater  = 96
	grace      = 20 * time.Second
	trimPeriod = 10 * time.Second
)

// connManager selects connections as go-libp2p's basic manager does, but breaks ties by
// age and peer id, not at random.
type connManager struct {
	host *simHost
	stop chan struct{}
	done chan struct{}

	mu        sync.Mutex
	tags      map[peer.ID]map[string]int
	protected map[peer.ID]map[string]bool
}

var _ connmgr.ConnManager = (*connManager)(nil)

func newConnManager(h *simHost) *connManager {
	m := &connManager{
		host: h, stop: make(chan struct{}), done: make(chan struct{}),
		tags: map[peer.ID]map[string]int{}, protected: map[peer.ID]map[string]bool{},
	}
	go m.run()
	return m
}

func (m *connManager) run() {
	defer close(m.done)
	for {
		timer := time.NewTimer(time.Until(m.host.net.instant(m.host.slot, 0, time.Now().Add(trimPeriod))))
		select {
		case <-timer.C:
			if len(m.host.connections()) >= highWater {
				m.TrimOpenConns(context.Background())
			}
		case <-m.stop:
			timer.Stop()
			return
		}
	}
}

func (m *connManager) Close() error {
	close(m.stop)
	<-m.done
	return nil
}

// TrimOpenConns closes connections down to lowWater.
func (m *connManager) TrimOpenConns(context.Context) {
	type candidate struct {
		c              *conn
		value, streams int
	}
	all := m.host.connections()
	var candidates []candidate
	for _, c := range all {
		if !m.IsProtected(c.server.id, "") && time.Since(c.opened) >= grace {
			candidates = append(candidates, candidate{c, m.value(c.server.id), c.Stat().NumStreams})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.value, b.value),
			cmp.Compare(a.streams, b.streams),
			a.c.opened.Compare(b.c.opened),
			strings.Compare(string(a.c.server.id), string(b.c.server.id)),
		)
	})
	var surplus []*conn
	for _, c := range candidates[:min(len(candidates), max(0, len(all)-lowWater))] {
		surplus = append(surplus, c.c)
	}
	m.host.disconnect(surplus)
}

func (m *connManager) value(p peer.ID) (sum int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.tags[p] {
		sum += v
	}
	return sum
}

func (m *connManager) TagPeer(p peer.ID, tag string, value int) {
	m.UpsertTag(p, tag, func(int) int { return value })
}

func (m *connManager) UpsertTag(p peer.ID, tag string, change func(int) int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tags[p] == nil {
		m.tags[p] = map[string]int{}
	}
	m.tags[p][tag] = change(m.tags[p][tag])
}

func (m *connManager) UntagPeer(p peer.ID, tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if delete(m.tags[p], tag); len(m.tags[p]) == 0 {
		delete(m.tags, p)
	}
}

func (m *connManager) GetTagInfo(p peer.ID) *connmgr.TagInfo {
	info := &connmgr.TagInfo{Value: m.value(p), Conns: map[string]time.Time{}}
	m.mu.Lock()
	info.Tags = maps.Clone(m.tags[p])
	m.mu.Unlock()
	for _, c := range m.host.swarm.ConnsToPeer(p) {
		info.FirstSeen = c.Stat().Opened
		info.Conns[c.RemoteMultiaddr().String()] = c.Stat().Opened
	}
	return info
}

func (m *connManager) Protect(p peer.ID, tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.protected[p] == nil {
		m.protected[p] = map[string]bool{}
	}
	m.protected[p][tag] = true
}

func (m *connManager) Unprotect(p peer.ID, tag string) (stillProtected bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if delete(m.protected[p], tag); len(m.protected[p]) == 0 {
		delete(m.protected, p)
	}
	return len(m.protected[p]) > 0
}

func (m *connManager) IsProtected(p peer.ID, tag string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return tag == "" && len(m.protected[p]) > 0 || m.protected[p][tag]
}

func (m *connManager) Notifee() network.Notifiee { return network.GlobalNoopNotifiee }

func (m *connManager) CheckLimit(connmgr.GetConnLimiter) error { return nil }
