package republisher

import (
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// If more names are urgent than fit into a plan, it has those with the earliest EOL,
// wherever they are in the key space.
func TestTheMostUrgentNamesComeFirst(t *testing.T) {
	var v sectorScan
	const all = 3 * maxUrgent
	k := recordstoretest.KeyFromSeed(t, 1)
	for i := range all {
		// The order in which they are found is unrelated to their urgency.
		left := time.Duration((i*7919)%all+1) * time.Second
		rec, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: recordstoretest.Epoch.Add(left)}, ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		v.waits(recordstore.Entry{Name: k.Name, Record: rec}, laneUrgent, recordstoretest.Epoch)
		if len(v.urgent) >= 2*maxUrgent {
			t.Fatalf("a scan holds %d names", len(v.urgent))
		}
	}
	v.waits(recordstore.Entry{Name: k.Name}, laneNew, recordstoretest.Epoch)
	got := mostUrgent(v.urgent)
	if len(got) != maxUrgent || got[0].lane != laneNew {
		t.Fatalf("%d names, the first of lane %d", len(got), got[0].lane)
	}
	last := recordstoretest.Epoch.Add(maxUrgent * time.Second)
	if slices.ContainsFunc(got[1:], func(u urgent) bool { return u.before.After(last) }) {
		t.Error("a name with a later EOL displaced one with an earlier EOL")
	}
}

// However many new names of others wait, new own names are in the plan, and first.
func TestNamesOfOthersDoNotCrowdOutOwnOnes(t *testing.T) {
	var v sectorScan
	k := recordstoretest.KeyFromSeed(t, 1)
	for i := range 3 * maxUrgent {
		if i == 2*maxUrgent {
			v.waits(recordstore.Entry{Name: k.Name, Origin: recordstore.Own}, laneNew, recordstoretest.Epoch.Add(time.Hour))
		}
		v.waits(recordstore.Entry{Name: k.Name, Origin: recordstore.Hosted}, laneNew, recordstoretest.Epoch)
	}
	if got := mostUrgent(v.urgent); !got[0].own {
		t.Error("an own name is not the first of the plan")
	}
}

// Names that do not fit into a plan as urgent ones are put with their sectors in the same
// plan: a hundred thousand new ones do not wait for 25 plans.
func TestUrgentNamesThatDoNotFitGoWithTheirSectors(t *testing.T) {
	var r Republisher
	const each = 200 // of each sector
	for i := range sectors {
		var name ipns.Name
		for seed := uint64(1); ; seed++ {
			if name = recordstoretest.KeyFromSeed(t, seed).Name; sectorOf(name) == i {
				break
			}
		}
		for range each {
			r.scans[i].waits(recordstore.Entry{Name: name, Origin: recordstore.Hosted}, laneNew, recordstoretest.Epoch)
		}
	}
	p := r.makePlan()
	rest := 0
	for _, n := range p.sectors {
		rest += n
	}
	if len(p.urgent) != maxUrgent || rest != sectors*each-maxUrgent {
		t.Errorf("%d urgent names and %d with their sectors, of %d", len(p.urgent), rest, sectors*each)
	}
}
