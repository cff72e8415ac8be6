package dht_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/internal/simnet"
)

// Announcements of content reach the servers closest to it, though some are dead.
func TestAnnouncementsReachTheClosestServers(t *testing.T) {
	for _, profile := range []simnet.Profile{simnet.Ideal, simnet.Real15} {
		t.Run(profile.Name, func(t *testing.T) {
			simulate(t, 2000, profile, func(s *simulation) {
				sum, told, keys := 0, 0, upTo(50, 10)
				for i := range keys {
					digest := sha256.Sum256(fmt.Append(nil, i))
					key, err := mh.Encode(digest[:], mh.SHA2_256)
					if err != nil {
						t.Fatal(err)
					}
					took, err := s.router.Announce(s.t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					sum, told = sum+s.net.Providing(key, s.host.ID()), told+took
				}
				if mean, said := float64(sum)/float64(keys), float64(told)/float64(keys); mean < 19.8 || said < mean {
					t.Errorf("at %.2f of the closest 20, and %.2f said so", mean, said)
				} else {
					t.Logf("at %.2f of the closest 20, %.2f took it", mean, said)
				}
			})
		})
	}
}

// Closest finds the closest servers that answer, though some are dead.
func TestClosestFindsTheClosestServers(t *testing.T) {
	for _, profile := range []simnet.Profile{simnet.Ideal, simnet.Real15} {
		t.Run(profile.Name, func(t *testing.T) {
			simulate(t, 600, profile, func(s *simulation) {
				right, keys := 0, upTo(100, 20)
				for i := range keys {
					key := fmt.Append(nil, i)
					found, err := s.router.Closest(s.t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					if len(found) > 20 {
						t.Errorf("key %d: %d servers", i, len(found))
					}
					for at, p := range s.net.Closest(key, 20) {
						if at < len(found) && found[at] == p.ID && len(s.host.Peerstore().Addrs(p.ID)) > 0 {
							right++
						}
					}
				}
				if mean := float64(right) / float64(keys); mean < 19.9 {
					t.Errorf("%.2f of the closest 20, in their order", mean)
				}
			})
		})
	}
}
