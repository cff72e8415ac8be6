package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/routing/routingtest"
	"github.com/goipns/ipns/rpc"
)

// run runs a plan, and checks its outcome and what was done.
func (f *fake) run(p Plan, want Outcome, done ...string) Report {
	f.t.Helper()
	r, err := Run(f.t.Context(), p)
	if r.Outcome != want || r.Code != want.Code() || (err == nil) != (want == Published) || err != nil && r.Error != err.Error() {
		f.t.Fatalf("%+v, %v; want %s", r, err, want)
	}
	if !slices.Equal(f.done, done) {
		f.t.Fatalf("done: %q, want %q", f.done, done)
	}
	return r
}

func TestStepsAreInOrder(t *testing.T) {
	f := newFake(t)
	p := f.plan()
	p.Service, p.Acks = "files", 12
	r := f.run(p, Published, "add", "provide", "hand on to files", "reach", "publish 12", "look")
	if r.Name != f.name.String() || r.CID != root.String() || *r.Sequence != 7 || r.Announced != 20 || r.Seen != 1 || r.Providers != 1 {
		t.Errorf("%+v", r)
	}
}

// Each failure has its outcome. What comes before the record is stored is undone, and what
// comes later is not.
func TestEachFailureHasItsOutcome(t *testing.T) {
	bad := errors.New("it fails")
	for _, tt := range []struct {
		step string
		err  error
		want Outcome
		done []string
	}{
		{"keys", bad, NoNode, nil},
		{"add", bad, NotAdded, []string{"add"}},
		{"hand on to files", bad, NotHandedOn, []string{"add", "provide", "hand on to files", "take back bafyb from files", "unpin"}},
		{"publish ", rpc.Because(api.ReasonConflict, bad), Refused, []string{"add", "provide", "hand on to files", "reach", "publish ", "take back bafyb from files", "unpin"}},
		{"publish ", rpc.Because(api.ReasonRival, bad), Refused, []string{"add", "provide", "hand on to files", "reach", "publish ", "take back bafyb from files", "unpin"}},
		{"publish ", rpc.Because(api.ReasonNoKey, bad), NoKey, []string{"add", "provide", "hand on to files", "reach", "publish ", "take back bafyb from files", "unpin"}},
		{"publish ", rpc.Because(api.ReasonUnannounced, bad), FewAcks, []string{"add", "provide", "hand on to files", "reach", "publish "}},
	} {
		f := newFake(t)
		f.fail[tt.step] = tt.err
		p := f.plan()
		p.Service = "files"
		f.run(p, tt.want, tt.done...)
	}
	f := newFake(t)
	p := f.plan()
	p.Key = "other"
	f.run(p, NoKey)
	p = f.plan()
	p.Routers = []string{"http://127.0.0.1", "ftp://127.0.0.1"}
	f.run(p, BadInput)
}

// What may take others a while to see is tried again, a bounded number of times.
func TestTriesAreBounded(t *testing.T) {
	for step, want := range map[string]Outcome{"provide": NotReachable, "reach": NotReachable, "look": NotSeen} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.fail[step] = errors.New("not yet")
			start := time.Now()
			r, err := Run(t.Context(), f.plan())
			if n := count(f.done, step); n != tries || r.Outcome != want || !strings.Contains(err.Error(), "not yet") {
				t.Errorf("%s: %d tries, %+v, %v", step, n, r, err)
			}
			if unpinned := count(f.done, "unpin") == 1; unpinned != (want == NotReachable) {
				t.Errorf("%s: done %q", step, f.done)
			}
			if took := time.Since(start); took >= time.Minute {
				t.Errorf("%s: took %v", step, took)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.fail[step] = errors.New("not yet")
			f.after = func(s string) {
				if count(f.done, step) == 3 {
					delete(f.fail, step)
				}
			}
			if r, err := Run(t.Context(), f.plan()); err != nil || count(f.done, step) != 3 {
				t.Errorf("%s: %+v, %v", step, r, err)
			}
		})
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// An interrupt ends each step, and undoes what the record does not need.
func TestInterruptIsClean(t *testing.T) {
	for _, tt := range []struct {
		at      string
		unpins  bool
		mention string
	}{{"add", true, ""}, {"provide", true, ""}, {"reach", true, ""}, {"publish ", false, "the record is stored"}, {"look", false, "the record is stored"}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			ctx, cancel := context.WithCancel(t.Context())
			f.after = func(step string) {
				if step == tt.at {
					cancel()
				}
			}
			f.fail["provide"], f.fail["reach"], f.fail["look"] = nil, nil, nil
			f.fail[tt.at] = nil
			if tt.at != "add" && tt.at != "publish " {
				f.fail[tt.at] = context.Canceled
			}
			r, err := Run(ctx, f.plan())
			if tt.at == "publish " && err == nil {
				return // all of it was done before the interrupt was seen
			}
			if r.Outcome != Interrupted || r.Code != 130 || (count(f.done, "unpin") == 1) != tt.unpins || !strings.Contains(err.Error(), tt.mention) {
				t.Errorf("at %s: %+v, %v, done %q", tt.at, r, err, f.done)
			}
		})
	}
}

// What the name leads to stays pinned, though the answer of the node was not waited for.
func TestRecordThatIsStoredUnheardKeepsItsContent(t *testing.T) {
	for _, interrupt := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.hidden, f.lost = true, true
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.after = func(step string) {
				if step == "put " && interrupt {
					cancel()
				}
			}
			p := f.plan()
			p.Key, p.Signer = "", ipns.NewSigner(f.key)
			want := FewAcks
			if interrupt {
				want = Interrupted
			}
			r, err := Run(ctx, p)
			if r.Outcome != want || err == nil || r.Sequence == nil || count(f.done, "unpin") != 0 {
				t.Errorf("%+v, %v, done %q", r, err, f.done)
			}
		})
	}
}

// Where nothing was stored within the time of a step, nothing is said to be.
func TestTimeIsOverBeforeTheRecordIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.hidden, f.fail["resolve"] = true, context.DeadlineExceeded
		p := f.plan()
		p.Key, p.Signer = "", ipns.NewSigner(f.key)
		f.slow = 2 * p.Step
		if r, err := Run(t.Context(), p); r.Outcome != Refused || err == nil || count(f.done, "unpin") != 1 {
			t.Errorf("%+v, %v, done %q", r, err, f.done)
		}
	})
}

func TestWhatWasPinnedBeforeStaysPinned(t *testing.T) {
	f := newFake(t)
	f.pins = []string{root.String()}
	f.fail["publish "] = rpc.Because(api.ReasonConflict, errors.New("newer"))
	f.run(f.plan(), Refused, "add", "provide", "reach", "publish ")

	// So it does at a service.
	for _, listed := range []error{nil, errors.New("it lists nothing")} {
		f := newFake(t)
		f.remote, f.fail["list"] = listed == nil, listed
		f.fail["publish "] = rpc.Because(api.ReasonConflict, errors.New("newer"))
		p := f.plan()
		p.Service = "files"
		f.run(p, Refused, "add", "provide", "hand on to files", "reach", "publish ", "unpin")
	}
}

func TestFewerAcksThanAnybodyWantsAreFew(t *testing.T) {
	f := newFake(t)
	f.acks = 3
	f.run(f.plan(), FewAcks, "add", "provide", "reach", "publish ")
}

func TestAnotherRecordIsNotTakenForThisOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.seen = routingtest.Sign(t, f.key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 8})
		if r, err := Run(t.Context(), f.plan()); r.Outcome != NotSeen || !strings.Contains(err.Error(), "sequence 8") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Where nobody is outside, the record is stored, and nobody is asked.
func TestAloneItIsOnlyStored(t *testing.T) {
	f := newFake(t)
	f.acks = 0
	p := f.plan()
	p.Peers, p.Acks = nil, 5
	if r := f.run(p, Published, "add", "publish "); !r.Alone {
		t.Errorf("%+v", r)
	}
}

// A record that was signed elsewhere is compared with the content before anything is stored,
// and with what the name has before it is announced.
func TestRecordFromElsewhere(t *testing.T) {
	record := func(f *fake, value string, sequence uint64) Plan {
		p := f.plan()
		p.Key, p.Record = "", routingtest.Sign(t, f.key, ipns.Fields{Value: value, Sequence: sequence})
		return p
	}
	f := newFake(t)
	f.run(record(f, "/ipfs/"+root.String(), 3), Published, "hash", "add", "provide", "reach", "put ", "look")
	for _, value := range []string{"/ipfs/bafkqaaa", "/ipfs/" + root.String() + "/a", "/ipns/" + root.String(), "/ipld/" + root.String()} {
		f := newFake(t)
		f.run(record(f, value, 3), BadInput, "hash")
	}
	eol := time.Now().Add(time.Hour)
	for last, want := range map[uint64]Outcome{2: Published, 3: Published, 4: Refused} {
		f := newFake(t)
		f.last = &api.ResolvedHop{Sequence: &last, EOL: &eol, Value: "/ipfs/bafkqaaa"}
		p := record(f, "/ipfs/"+root.String(), 3)
		if r, err := Run(t.Context(), p); r.Outcome != want || (f.put != nil) != (want == Published) {
			t.Errorf("after %d: %+v, %v", last, r, err)
		}
	}
}

// A key that the node does not have signs here: the record follows the last one, or is not
// made.
func TestKeyFromElsewhereSignsHere(t *testing.T) {
	two, soon, late := uint64(2), time.Now().Add(time.Hour), time.Now().Add(10*LongLifetime)
	value := "/ipfs/" + root.String()
	for _, tt := range []struct {
		what     string
		last     *api.ResolvedHop
		err      error
		change   func(*Plan)
		outcome  Outcome
		sequence uint64
	}{
		{"the first", nil, nil, nil, Published, 0},
		{"another value", &api.ResolvedHop{Sequence: &two, EOL: &soon, Value: "/ipfs/bafkqaaa"}, nil, nil, Published, 3},
		{"the same again", &api.ResolvedHop{Sequence: &two, EOL: &soon, Value: value}, nil, nil, Published, 2},
		{"the same for a shorter time", &api.ResolvedHop{Sequence: &two, EOL: &late, Value: value}, nil, nil, Published, 3},
		{"after one that has expired", nil, rpc.Because(api.ReasonExpired, errors.New("expired")), nil, Published, 42},
		{"unknown", nil, errors.New("nobody answers"), nil, Refused, 0},
		{"stale", &api.ResolvedHop{Sequence: &two, EOL: &soon, Stale: true}, nil, nil, Refused, 0},
		{"unknown, but said", nil, errors.New("nobody answers"), func(p *Plan) { p.Sequence = new(uint64(9)) }, Published, 9},
		{"said too low", &api.ResolvedHop{Sequence: &two, EOL: &soon}, nil, func(p *Plan) { p.Sequence = &two }, Refused, 0},
		{"after another than expected", &api.ResolvedHop{Sequence: &two, EOL: &soon}, nil, func(p *Plan) { p.IfSequence = new(uint64(1)) }, Refused, 0},
		{"after the expected one", &api.ResolvedHop{Sequence: &two, EOL: &soon}, nil, func(p *Plan) { p.IfSequence = &two }, Published, 3},
		{"TTL above the lifetime", nil, nil, func(p *Plan) { p.TTL = new(LongLifetime + 1) }, BadInput, 0},
	} {
		f := newFake(t)
		f.last, f.fail["resolve"] = tt.last, tt.err
		p := f.plan()
		p.Key, p.Signer = "", ipns.NewSigner(f.key)
		f.hidden = true
		if tt.change != nil {
			tt.change(&p)
		}
		r, err := Run(t.Context(), p)
		if r.Outcome != tt.outcome || tt.outcome == Published && (f.put.Sequence() != tt.sequence || f.put.Value() != value) || tt.outcome != Published && f.put != nil {
			t.Errorf("%s: %+v, %v", tt.what, r, err)
		}
	}
}

// If the node has the key after all, it signs: it knows more of the name.
func TestKeyThatTheNodeHasSignsThere(t *testing.T) {
	f := newFake(t)
	p := f.plan()
	p.Key, p.Signer = "", ipns.NewSigner(f.key)
	f.run(p, Published, "add", "provide", "reach", "publish ", "look")
}

func TestOutcomesHaveCodesOfTheirOwn(t *testing.T) {
	seen := map[int]bool{}
	for o, code := range codes {
		if seen[code] || OutcomeOf(code) != o || o.Code() != code {
			t.Errorf("%s has the code %d", o, code)
		}
		seen[code] = true
	}
	if OutcomeOf(99) != Failed || Outcome("?").Code() != 1 {
		t.Error("what is unknown has not failed")
	}
}
