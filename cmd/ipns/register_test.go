package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/goipns/ipns/recordstore"
)

// A register is a name as clients should see it, whichever daemon they ask: a value with a
// sequence that grows by one whenever the value changes.
type (
	// registerState is what a name has.
	registerState struct {
		some  bool // there is a record
		seq   uint64
		value string
	}
	// registerOp is what a client asks.
	registerOp struct {
		name  int
		value string  // empty: only read
		cond  *uint64 // publish only if this is the last sequence
	}
	// registerAnswer is what it is told.
	registerAnswer struct {
		refused bool // the condition was not met
		life    any  // of the daemon that answered
		registerState
	}
)

var registerModel = porcupine.Model{
	Partition: func(ops []porcupine.Operation) (parts [][]porcupine.Operation) {
		byName := map[int][]porcupine.Operation{}
		for _, op := range ops {
			n := op.Input.(registerOp).name
			byName[n] = append(byName[n], op)
		}
		for _, part := range byName {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return registerState{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(registerState), input.(registerOp), output.(registerAnswer)
		if in.value == "" {
			return out.registerState == now, now
		}
		allowed := in.cond == nil || now.some && now.seq == *in.cond
		if out.refused {
			return !allowed, now
		}
		next := registerState{true, now.seq + 1, in.value}
		if !now.some {
			next.seq = 0
		}
		return allowed && out.registerState == next, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// registerDoor is how clients reach one daemon.
type registerDoor interface {
	// publish publishes a value. After an error that is not in doubt, nothing has changed.
	publish(ctx context.Context, label, value string, cond *uint64) (registerAnswer, error)
	// last returns the newest record that is stored.
	last(ctx context.Context, label string) (registerAnswer, error)
	// resolve returns the value that readers are shown.
	resolve(ctx context.Context, label string) (registerAnswer, error)
}

// A doubtError means that a publish may have happened, or may yet happen.
type doubtError struct{ error }

func inDoubt(err error) bool {
	var doubt doubtError
	return errors.As(err, &doubt) || errors.Is(err, recordstore.ErrDoubt) || strings.Contains(err.Error(), recordstore.ErrDoubt.Error())
}

const (
	registerClients = 6
	registerNames   = 3
	registerOps     = 400              // of one client, at most
	registerEnough  = 20               // publishes acknowledged in a history: fewer show little
	registerTimeout = 10 * time.Second // of one request
	registerSettle  = 3 * time.Minute  // within which everything works once nothing fails
	registerSearch  = 5 * time.Minute  // for an order of a history's operations
)

// shown is a value that a daemon showed a reader, or acknowledged.
type shown struct {
	life      any
	name      int
	value     string
	call, ret int64
}

// registerHistory is what clients of all daemons asked about some names, and were told.
type registerHistory struct {
	labels []string
	names  []string // of those labels
	begin  time.Time

	mu      sync.Mutex // guards all below
	ops     []porcupine.Operation
	doubts  []porcupine.Operation // without an answer
	refused map[string]error      // values that were not published, and why
	shown   []shown
}

func newRegisterHistory(number int) *registerHistory {
	h := &registerHistory{begin: time.Now(), refused: map[string]error{}}
	for n := range registerNames {
		h.labels = append(h.labels, fmt.Sprintf("history%d-%d", number, n))
	}
	return h
}

func (h *registerHistory) now() int64 { return int64(time.Since(h.begin)) }

// lasting returns a context for run: it ends after some time, or later, when enough publishes
// were acknowledged.
func (h *registerHistory) lasting(ctx context.Context, least time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	begin := time.Now()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer cancel()
		for ctx.Err() == nil {
			lasts := time.Since(begin)
			if lasts >= least && h.acked() >= registerEnough || lasts >= registerSettle {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return ctx, func() { cancel(); waiting.Wait() }
}

// acked counts the publishes that were acknowledged so far.
func (h *registerHistory) acked() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if op.Input.(registerOp).value != "" && !op.Output.(registerAnswer).refused {
			n++
		}
	}
	return n
}

// run has clients ask the daemons until ctx ends, while trouble is made.
func (h *registerHistory) run(ctx context.Context, t *testing.T, seed uint64, doors []registerDoor, trouble func(context.Context, *rand.Rand)) {
	var clients sync.WaitGroup
	for c := range registerClients {
		clients.Go(func() { h.client(ctx, c, seed, doors[c%len(doors)]) })
	}
	for i, d := range doors {
		clients.Go(func() { h.reader(ctx, rand.New(rand.NewPCG(seed, uint64(100+i))), d) })
	}
	trouble(ctx, rand.New(rand.NewPCG(seed, 1000)))
	clients.Wait()
	// In the end every daemon is asked, publishes and is asked again.
	for round := range 2 {
		for i, d := range doors {
			for n := range h.labels {
				h.mustAsk(t, registerClients+i, d, registerOp{name: n})
				if round == 0 {
					h.mustAsk(t, registerClients+i, d, registerOp{name: n, value: fmt.Sprintf("/ipfs/bafkqaaa/%s/end/%d", h.labels[n], i)})
				}
			}
		}
	}
}

// client publishes and asks for the last record.
func (h *registerHistory) client(ctx context.Context, c int, seed uint64, d registerDoor) {
	rng := rand.New(rand.NewPCG(seed, uint64(c)))
	var last [registerNames]*uint64 // as this client knows it
	for i := range registerOps {
		if ctx.Err() != nil {
			return
		}
		in := registerOp{name: rng.IntN(registerNames)}
		if rng.IntN(4) > 0 {
			in.value = fmt.Sprintf("/ipfs/bafkqaaa/%s/%d/%d", h.labels[in.name], c, i)
			if rng.IntN(3) == 0 {
				in.cond = last[in.name]
			}
		}
		if out, err := h.ask(context.WithoutCancel(ctx), c, d, in); err != nil {
			time.Sleep(10 * time.Millisecond) // the daemon may be gone
		} else if out.some {
			last[in.name] = &out.seq
		}
	}
}

// ask asks a daemon, and notes what it says.
func (h *registerHistory) ask(ctx context.Context, c int, d registerDoor, in registerOp) (out registerAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	op := porcupine.Operation{ClientId: c, Input: in, Call: h.now()}
	if in.value == "" {
		out, err = d.last(ctx, h.labels[in.name])
	} else {
		out, err = d.publish(ctx, h.labels[in.name], in.value, in.cond)
	}
	op.Output, op.Return = out, h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.ops = append(h.ops, op)
		if in.value != "" && !out.refused {
			h.shown = append(h.shown, shown{out.life, in.name, in.value, op.Call, op.Return})
		}
	case in.value == "": // a read that failed says nothing
	case inDoubt(err):
		op.Return = math.MaxInt64
		h.doubts = append(h.doubts, op)
	default:
		h.refused[in.value] = err
	}
	return out, err
}

// mustAsk asks until the daemon answers, which it does once nothing fails any more.
func (h *registerHistory) mustAsk(t *testing.T, c int, d registerDoor, in registerOp) {
	t.Helper()
	first := in.value
	for begin, try := time.Now(), 1; ; try++ {
		_, err := h.ask(t.Context(), c, d, in)
		if err == nil {
			return
		}
		if time.Since(begin) > registerSettle {
			t.Fatalf("%s: nothing fails any more, but: %v", h.labels[in.name], err)
		}
		if first != "" {
			in.value = fmt.Sprintf("%s/%d", first, try) // the one before may yet be stored
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// reader asks what readers are shown.
func (h *registerHistory) reader(ctx context.Context, rng *rand.Rand, d registerDoor) {
	for range registerOps {
		if ctx.Err() != nil {
			return
		}
		n, call := rng.IntN(registerNames), h.now()
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), registerTimeout)
		out, err := d.resolve(within, h.labels[n])
		cancel()
		if err == nil {
			h.mu.Lock()
			h.shown = append(h.shown, shown{out.life, n, out.value, call, h.now()})
			h.mu.Unlock()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// registerFigures are what histories had.
type registerFigures struct{ ops, acked, refused, failed, doubts, came, shown int }

// check compares what clients were told with what is stored in the end, of each name: all
// that was ever stored, by sequence.
func (h *registerHistory) check(t *testing.T, stored []map[uint64]string) (f registerFigures) {
	t.Helper()
	sequence := map[string]uint64{}
	for _, values := range stored {
		for seq, value := range values {
			if other, ok := sequence[value]; ok {
				t.Errorf("%s is stored with sequences %d and %d, and was asked for once", value, other, seq)
			}
			sequence[value] = seq
		}
	}
	ops := slices.Clone(h.ops)
	for _, op := range h.doubts {
		// What was in doubt was made if it is stored: at any time after it was asked.
		value := op.Input.(registerOp).value
		if seq, ok := sequence[value]; ok {
			op.Output = registerAnswer{registerState: registerState{true, seq, value}}
			ops = append(ops, op)
			f.came++
		}
	}
	for value, err := range h.refused {
		if seq, ok := sequence[value]; ok {
			t.Errorf("%s is stored with sequence %d, though its publish failed: %v", value, seq, err)
		}
	}
	for _, op := range h.ops {
		if op.Output.(registerAnswer).refused {
			f.refused++
		}
	}
	f.acked = h.acked()
	f.ops, f.failed, f.doubts, f.shown = len(h.ops), len(h.refused), len(h.doubts), len(h.shown)
	if result := porcupine.CheckOperationsTimeout(registerModel, ops, registerSearch); result != porcupine.Ok {
		t.Errorf("the history of %s is that of no register: %v", h.labels, result)
		h.explain(t, ops)
	}
	h.checkShown(t, sequence)
	return f
}

// explain shows the operations of a name with no linearization.
func (h *registerHistory) explain(t *testing.T, ops []porcupine.Operation) {
	t.Helper()
	for n := range h.labels {
		var part []porcupine.Operation
		for _, op := range ops {
			if op.Input.(registerOp).name == n {
				part = append(part, op)
			}
		}
		if porcupine.CheckOperations(registerModel, part) {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		for _, op := range part {
			t.Logf("%10v to %10v, client %d: %s", time.Duration(op.Call).Round(time.Microsecond), time.Duration(op.Return).Round(time.Microsecond),
				op.ClientId, registerModel.DescribeOperation(op.Input, op.Output))
		}
		return
	}
}

// checkShown looks whether a daemon has shown a reader an older value than one that it had
// shown or acknowledged before.
func (h *registerHistory) checkShown(t *testing.T, sequence map[string]uint64) {
	t.Helper()
	type where struct {
		life any
		name int
	}
	byWhere := map[where][]shown{}
	for _, s := range h.shown {
		if _, ok := sequence[s.value]; !ok {
			t.Errorf("%s was shown or acknowledged, and is not stored", s.value)
		}
		byWhere[where{s.life, s.name}] = append(byWhere[where{s.life, s.name}], s)
	}
	for _, list := range byWhere {
		for _, late := range list {
			for _, early := range list {
				if early.ret < late.call && sequence[early.value] > sequence[late.value] {
					t.Errorf("a daemon showed %s, sequence %d, after it had shown or acknowledged %s with %d", late.value, sequence[late.value], early.value, sequence[early.value])
					return
				}
			}
		}
	}
}
