package republisher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// Every server refuses 300 names, of which it has newer records. Since all servers
// answer, the other names are put without delay.
func TestRefusalsDelayNoOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const refused, fine = 300, 2 // so that more than 64 come in a row
		s := newSite(t, 20)
		for i := range refused {
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(12 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
			newer, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa/2", Sequence: 9, EOL: s.Now().Add(12 * time.Hour)}, ipns.V2Only)
			if err != nil {
				t.Fatal(err)
			}
			for _, server := range s.net.Servers {
				server.Hold(k.Name, newer.Raw())
			}
		}
		var others []*ipns.Record
		for i := range fine {
			k := recordstoretest.KeyFromSeed(t, uint64(refused+i))
			others = append(others, s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Hosted))
		}
		defer s.run(t)()
		paused := false
		for range 10 * 60 {
			time.Sleep(time.Second)
			paused = paused || !s.Status().PausedUntil.IsZero()
		}
		if paused {
			t.Error("everything waited, though every server answered")
		}
		for _, rec := range others {
			if n := s.net.Holders(rec); n != 20 {
				t.Errorf("%d of 20 hold %s", n, rec.Name())
			}
		}
	})
}
