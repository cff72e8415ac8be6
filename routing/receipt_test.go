package routing_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

var errNo = errors.New("no")

func wan(i int, err error) routing.Ack {
	return routing.Ack{Target: fmt.Sprint("peer", i), Network: "wan", Of: 20, Err: err}
}

// TestReceiptIsTruthful: with 0 to 20 of 20 servers willing, the headline is the number
// of servers that hold the record, for each way of failing. Elsewhere all of these count
// as published, even 0 of 20. V6, F1, F15, R16.
func TestReceiptIsTruthful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := []routingtest.Fault{routingtest.Refusing, routingtest.Stuck, routingtest.Dead}
		for bad := range 21 {
			for _, fault := range faults {
				net := routingtest.New(20)
				key := routingtest.NewKey(t)
				rec := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 3})
				newer := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 4})
				for _, s := range net.Servers[:bad] {
					s.Fault = fault
					if fault == routingtest.Stuck {
						s.Fault = routingtest.Honest // but it has a newer record and says so
						s.Hold(rec.Name(), newer.Raw())
					}
				}
				r, err := routing.Collect(net.Put(t.Context(), rec, routing.Look{}))
				if err != nil {
					t.Fatal(err)
				}
				k, of := r.Announced()
				if held := net.Holders(rec); k != held || k != 20-bad || of != 20 {
					t.Errorf("%d servers with fault %d: announced to %d of %d, %d hold it", bad, fault, k, of, held)
				}
				refused := 0
				for network, target := range r.Refused() {
					refused++
					if network != "wan" || target.Reason == "" {
						t.Errorf("%s: %+v gives no reason", network, target)
					}
					if newerKnown := target.Newer != nil && *target.Newer == 4; newerKnown != (fault == routingtest.Stuck) {
						t.Errorf("%+v: is a newer record known? %v", target, newerKnown)
					}
				}
				if refused != bad {
					t.Errorf("%d targets refused, the receipt has %d", bad, refused)
				}
			}
		}
		t.Logf("%d puts, every figure was the number of servers that hold the record", 21*len(faults))
	})
}

func TestReceiptRetryAndExtra(t *testing.T) {
	var r routing.Receipt
	if got := r.String(); got != "announced to nobody" {
		t.Errorf("zero receipt: %s", got)
	}
	for i := range 20 {
		r.Add(wan(i, errNo))
	}
	for i := range 5 {
		r.Add(wan(i, nil)) // took it at the second attempt
		r.Add(wan(i, errNo))
	}
	for i := range 4 {
		extra := wan(100+i, nil)
		extra.Extra = true
		r.Add(extra)
	}
	if got := r.String(); got != "announced to 5 of 20" {
		t.Error(got)
	}
	if r.Networks[0].Extra != 4 {
		t.Errorf("%d extra copies, want 4", r.Networks[0].Extra)
	}
	// Servers further away replace dead ones: never more than Of count.
	for i := range 30 {
		r.Add(wan(200+i, nil))
	}
	if got := r.String(); got != "announced to 20 of 20" {
		t.Error(got)
	}
	if r.Networks[0].Extra != 4+15 {
		t.Errorf("%d extra copies, want 19", r.Networks[0].Extra)
	}
}

func TestReceiptHeadlineNetwork(t *testing.T) {
	ack := func(network string, of int) routing.Ack {
		return routing.Ack{Target: "t", Network: network, Of: of}
	}
	for _, tc := range []struct {
		acks []routing.Ack
		k    int
		of   int
		err  error
	}{
		{[]routing.Ack{ack("a.example", 1), ack("wan", 20)}, 1, 20, nil},
		{[]routing.Ack{ack("lan", 20), ack("wan", 20), {Target: "u", Network: "lan", Of: 20}}, 1, 20, nil},
		{[]routing.Ack{ack("lan", 3), ack("pubsub", 2)}, 1, 3, nil},
		{[]routing.Ack{{Target: "u", Network: "x"}, {Target: "v", Network: "x", Err: errNo}}, 1, 2, nil},
	} {
		var r routing.Receipt
		for _, a := range tc.acks {
			r.Add(a)
		}
		if k, of := r.Announced(); k != tc.k || of != tc.of {
			t.Errorf("%+v: %d of %d, want %d of %d", tc.acks, k, of, tc.k, tc.of)
		}
	}
}

func TestReceiptSnapshot(t *testing.T) {
	var r routing.Receipt
	var snapshots []routing.Receipt
	for i := range 20 {
		r.Add(wan(i, nil))
		r.Add(routing.Ack{Target: "t", Network: fmt.Sprint("net", 9-i%10)})
		snapshots = append(snapshots, r)
	}
	for i, s := range snapshots {
		if k, _ := s.Announced(); k != i+1 {
			t.Errorf("snapshot %d shows %d", i, k)
		}
		if want := min(i+2, 11); len(s.Networks) != want {
			t.Errorf("snapshot %d shows %d networks, want %d", i, len(s.Networks), want)
		}
	}
}

func TestReceiptBound(t *testing.T) {
	var r routing.Receipt
	for i := range 3 * routing.MaxTargets {
		a := wan(i, nil)
		a.Of = 0
		r.Add(a)
	}
	if k, of := r.Announced(); k != routing.MaxTargets || of != k {
		t.Errorf("%d of %d, want both %d", k, of, routing.MaxTargets)
	}
}

func TestReceiptJSON(t *testing.T) {
	var r routing.Receipt
	r.Add(wan(1, nil))
	r.Add(wan(2, errNo))
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Networks":[{"Network":"wan","Announced":1,"Of":20,"Targets":[` +
		`{"Target":"peer1","RTT":0},{"Target":"peer2","Reason":"no","RTT":0}]}]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var back routing.Receipt
	if err := json.NewDecoder(strings.NewReader(want)).Decode(&back); err != nil || back.String() != r.String() {
		t.Errorf("%v, %v", back, err)
	}
}

func TestCollectKeepsWhatCameBeforeTheError(t *testing.T) {
	acks := iter.Seq2[routing.Ack, error](func(yield func(routing.Ack, error) bool) {
		_ = yield(wan(1, nil), nil) && yield(routing.Ack{}, errNo)
	})
	r, err := routing.Collect(acks)
	if k, of := r.Announced(); k != 1 || of != 20 || !errors.Is(err, errNo) {
		t.Errorf("%d of %d, %v", k, of, err)
	}
}

func TestReceiptFigures(t *testing.T) {
	var r routing.Receipt
	r.Add(routing.Ack{Target: "a", Network: "wan", Of: 20})
	r.Add(routing.Ack{Target: "b", Network: "wan", Of: 20, Err: errors.New("away")})
	short := r.Figures()
	k, of := short.Announced()
	if k != 1 || of != 20 || len(short.Networks[0].Targets) != 0 || len(r.Networks[0].Targets) != 2 {
		t.Errorf("figures %+v of %+v", short, r)
	}
}

// A network that is away is the headline, whatever other networks took: that is where
// others will look.
func TestReceiptOfANetworkThatIsAway(t *testing.T) {
	var r routing.Receipt
	r.Add(routing.Ack{Target: "a", Network: "lan", Of: 1})
	before := r
	r.End(fmt.Errorf("putting: %w", errors.Join(errNo, fmt.Errorf("wan: %w", &routing.AwayError{Network: "wan"}))))
	if k, of := r.Announced(); k != 0 || of != 0 || r.Took("") != 1 || r.Took("wan") != 0 {
		t.Errorf("%d of %d, took %d", k, of, r.Took(""))
	}
	if got := r.String(); got != "announced to 1 on other networks, but wan is away" {
		t.Error(got)
	}
	text, err := json.Marshal(r.Figures())
	want := `{"Networks":[{"Network":"lan","Announced":1,"Of":1,"Targets":null},{"Network":"wan","Announced":0,"Of":0,"Away":true,"Targets":null}]}`
	if string(text) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	if len(before.Networks) != 1 {
		t.Errorf("the snapshot before has changed: %+v", before)
	}
	// The network came back while other targets were still being asked.
	r.Add(wan(1, nil))
	if k, of := r.Announced(); k != 1 || of != 20 {
		t.Errorf("back again: %d of %d", k, of)
	}
	r.End(&routing.AwayError{Network: "wan"})
	if k, _ := r.Announced(); k != 1 {
		t.Errorf("who took it still holds it: %d", k)
	}
}
