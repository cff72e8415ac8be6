package simnet

import (
	"crypto/rand"
	"encoding/binary"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Main is the body of a command: it calls f in a synctest bubble, then ends the process.
// f prints to out and must end all goroutines that it started. A test calls synctest.Test
// instead.
//
// Main makes f repeatable as far as a program can: crypto/rand returns numbers derived
// from the seed, and Go code runs on one processor, so that goroutines that become
// runnable at the same virtual instant run in that order.
func Main(seed uint64, f func(out *os.File) error) {
	out := os.Stdout
	os.Stdout = os.Stderr // where package testing prints its result
	os.Args = os.Args[:1] // and where it looks for flags
	flag.CommandLine = flag.NewFlagSet(os.Args[0], flag.ContinueOnError)
	runtime.GOMAXPROCS(1)
	rand.Reader = newRepeatable(seed)
	all := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "simulation", F: func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if err := f(out); err != nil {
				t.Error(err)
			}
		})
		if !t.Failed() {
			os.Exit(0) // without a message
		}
	}}}, nil, nil)
}

// repeatable is a predictable source of random bytes.
type repeatable struct {
	mu     sync.Mutex
	source *mathrand.ChaCha8
}

func newRepeatable(seed uint64) *repeatable {
	var start [32]byte
	binary.BigEndian.PutUint64(start[:], seed)
	return &repeatable{source: mathrand.NewChaCha8(start)}
}

func (r *repeatable) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source.Read(p)
}
