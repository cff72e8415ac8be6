package profile_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/profile"
)

// files returns what is in an archive.
func files(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if all[f.Name], err = io.ReadAll(in); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		in.Close()
	}
	return all
}

func TestAnArchiveHasWhatWasAskedFor(t *testing.T) {
	gzipped := func(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }
	want := map[string]func([]byte) bool{
		"goroutines.stacks": func(b []byte) bool { return bytes.HasPrefix(b, []byte("goroutine ")) },
		"goroutines.pprof":  gzipped,
		"version.json":      func(b []byte) bool { return string(b) == "{\"Version\":\"1\"}\n" },
		"heap.pprof":        gzipped,
		"allocs.pprof":      gzipped,
		"prog":              func(b []byte) bool { return len(b) > 1<<20 },
		"cpu.pprof":         gzipped,
		"mutex.pprof":       gzipped,
		"block.pprof":       gzipped,
		"trace":             func(b []byte) bool { return bytes.HasPrefix(b, []byte("go 1.")) },
	}
	o := profile.Options{
		Collectors: profile.Collectors(), Time: 50 * time.Millisecond, Mutexes: 4, Blocks: time.Millisecond,
		Version: map[string]string{"Version": "1"}, Program: "prog",
	}
	var out bytes.Buffer
	if err := profile.Write(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	got := files(t, out.Bytes())
	for name, right := range want {
		if b, ok := got[name]; !ok || !right(b) {
			t.Errorf("%s: there is %v, begins with %.20q", name, ok, b)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	o.Time, o.Collectors = 0, []string{"version", "goroutines-stack", "cpu"}
	out.Reset()
	if err := profile.Write(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range files(t, out.Bytes()) {
		names = append(names, name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"goroutines.stacks", "version.json"}) {
		t.Errorf("without time: %q", names)
	}
}

func TestOneCallTakesSamples(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error, 1)
	const fraction = 7
	go func() {
		first <- profile.Write(ctx, io.Discard, profile.Options{Collectors: []string{"mutex"}, Time: profile.MaxTime, Mutexes: fraction})
	}()
	for runtime.SetMutexProfileFraction(-1) != fraction { // it has begun
		time.Sleep(time.Millisecond)
	}
	err := profile.Write(t.Context(), io.Discard, profile.Options{Collectors: []string{"mutex"}, Time: time.Millisecond})
	if !errors.Is(err, profile.ErrBusy) {
		t.Errorf("beside another call: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("ended by its context: %v", err)
	}
	if err := profile.Write(t.Context(), io.Discard, profile.Options{Collectors: []string{"cpu"}, Time: time.Millisecond}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for text, o := range map[string]profile.Options{
		`unknown collector "keys"`: {Collectors: []string{"keys"}},
		"at most 5m0s":             {Time: time.Hour},
		"below zero":               {Mutexes: -1},
	} {
		if err := profile.Write(t.Context(), io.Discard, o); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
