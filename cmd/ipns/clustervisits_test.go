package main

import (
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
)

// visitKey is what a daemon puts at a server on one stream.
type visitKey struct {
	from, server, stream string
	sector               int
}

// visit is the puts of one sector on one stream.
type visit struct {
	first, last time.Time
	puts        int
}

// visitLog is what came to the servers of the DHT.
type visitLog struct {
	mu     sync.Mutex // guards all below
	begun  map[visitKey]*visit
	copies map[ipns.Name]int
}

func (l *visitLog) hear(a testnet.Asked) {
	key := visitKey{a.From.String(), a.Server.String(), a.Stream, sectorOf(a.Name)}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	v := l.begun[key]
	if v == nil {
		v = &visit{first: now}
		l.begun[key] = v
	}
	v.last = now
	v.puts++
	l.copies[a.Name]++
}

// since counts what a peer put after a moment.
func (l *visitLog) since(peer string, begin time.Time) (puts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, v := range l.begun {
		if key.from == peer && v.last.After(begin) {
			puts += v.puts
		}
	}
	return puts
}

// count counts those of some names that came to servers.
func (l *visitLog) count(list []ipns.Name) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range list {
		if l.copies[name] > 0 {
			n++
		}
	}
	return n
}

// check looks whether a name was put twice as often as it should.
func (l *visitLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	again, most := 0, 0
	for _, n := range l.copies {
		most = max(most, n)
		if n > 2*leaseServers {
			again++
		}
	}
	t.Logf("%d names were put, the one put most often %d times at %d servers", len(l.copies), most, leaseServers)
	if again > 0 || len(l.copies) == 0 {
		t.Errorf("%d names were put more than twice as often as they should", again)
	}
}
