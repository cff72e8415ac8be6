package simnet

import (
	"bytes"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/goipns/ipns"
	record "github.com/libp2p/go-libp2p-record"
)

// maxRecordAge is how long a server keeps a record that is not put again.
const maxRecordAge = 48 * time.Hour

// maxOpened bounds the cache of verified records.
const maxOpened = 1 << 16

// value is what a server stores under a routing key.
type value struct {
	raw []byte
	rec *ipns.Record // nil for a public key
	at  time.Time    // when it was last put
}

// serves reports whether the server still returns the value.
func (v *value) serves(now time.Time) bool { return v != nil && now.Sub(v.at) < maxRecordAge }

// yields reports whether the value may be replaced by another.
func (v *value) yields(to *value, now time.Time) bool {
	if !v.serves(now) || bytes.Equal(v.raw, to.raw) {
		return true
	}
	if v.rec == nil || to.rec == nil {
		return false
	}
	return !now.Before(v.rec.EOL()) || ipns.Compare(to.rec, v.rec) > 0
}

// held returns the bytes under the key, or nil.
func (s *server) held(key string) []byte {
	raw, _ := s.heldSince(key)
	return raw
}

// heldSince also returns when they were last put; zero: unknown.
func (s *server) heldSince(key string) ([]byte, time.Time) {
	if raw, ok := s.net.counted.get(s, key); ok {
		return raw, time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.values[key]; v.serves(time.Now()) {
		return v.raw, v.at
	}
	return nil, time.Time{}
}

// store reports whether the server accepted the bytes: they are valid, and it has none
// better.
func (s *server) store(key string, raw []byte) bool {
	if s.net.counted.only {
		return s.net.counted.put(s, key, raw, nil)
	}
	now := time.Now()
	v, err := s.net.opener.open(key, raw, now)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.values[key].yields(v, now) {
		return false
	}
	s.values[key] = v
	if v.rec != nil {
		s.net.counted.put(s, key, raw, v.rec)
	}
	return true
}

// opener verifies what servers are given. Twenty servers get the same bytes, which are
// verified once.
type opener struct {
	mu     sync.Mutex
	opened map[[32]byte]value
}

func (o *opener) open(key string, raw []byte, now time.Time) (*value, error) {
	id := sha256.Sum256(append([]byte(key), raw...))
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.opened[id]
	if !ok {
		v.raw = bytes.Clone(raw)
		if name, err := ipns.NameFromRoutingKey([]byte(key)); err == nil {
			if v.rec, err = ipns.Reopen(name, raw); err != nil {
				return nil, err
			}
		} else if err := (record.PublicKeyValidator{}).Validate(key, raw); err != nil {
			return nil, err
		}
		if o.opened == nil || len(o.opened) >= maxOpened {
			o.opened = map[[32]byte]value{}
		}
		o.opened[id] = v
	}
	if v.rec != nil && !now.Before(v.rec.EOL()) {
		return nil, ipns.ErrExpired
	}
	v.at = now
	return &v, nil
}
