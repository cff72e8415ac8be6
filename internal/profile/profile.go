// Package profile measures the running process and writes the results into a zip archive,
// for somebody who looks for what makes a node slow or large.
//
// An archive has stacks, counts and addresses of functions, and the program itself. It has
// nothing of the config, of keys, of records or of content.
package profile

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxTime bounds how long samples are taken: a trace of a minute has some 100 MB.
const MaxTime = 5 * time.Minute

// Options say what is measured.
type Options struct {
	Collectors []string      // names of [Collectors]
	Time       time.Duration // how long samples are taken; 0: those collectors are left out
	Mutexes    int           // one of this many contended locks is noted; 0: none
	Blocks     time.Duration // a goroutine that blocks this long is noted, on the average; 0: none
	Version    any           // what version.json shows
	Program    string        // what the program is called in the archive
}

// A collector writes one file of the archive. If it samples, it does so until ctx ends.
type collector struct {
	name, file string
	samples    bool
	write      func(ctx context.Context, w io.Writer, o *Options) error
}

var collectors = []collector{
	{"goroutines-stack", "goroutines.stacks", false, func(_ context.Context, w io.Writer, _ *Options) error {
		return pprof.Lookup("goroutine").WriteTo(w, 2)
	}},
	{"goroutines-pprof", "goroutines.pprof", false, known("goroutine")},
	{"version", "version.json", false, func(_ context.Context, w io.Writer, o *Options) error {
		return json.NewEncoder(w).Encode(o.Version)
	}},
	{"heap", "heap.pprof", false, known("heap")},
	{"allocs", "allocs.pprof", false, known("allocs")},
	{"bin", "", false, program},
	{"cpu", "cpu.pprof", true, func(ctx context.Context, w io.Writer, _ *Options) error {
		if err := pprof.StartCPUProfile(w); err != nil {
			return err
		}
		<-ctx.Done()
		pprof.StopCPUProfile()
		return nil
	}},
	{"mutex", "mutex.pprof", true, func(ctx context.Context, w io.Writer, o *Options) error {
		before := runtime.SetMutexProfileFraction(o.Mutexes)
		<-ctx.Done()
		defer runtime.SetMutexProfileFraction(before)
		return pprof.Lookup("mutex").WriteTo(w, 0)
	}},
	{"block", "block.pprof", true, func(ctx context.Context, w io.Writer, o *Options) error {
		runtime.SetBlockProfileRate(int(o.Blocks.Nanoseconds()))
		<-ctx.Done()
		defer runtime.SetBlockProfileRate(0)
		return pprof.Lookup("block").WriteTo(w, 0)
	}},
	{"trace", "trace", true, func(ctx context.Context, w io.Writer, _ *Options) error {
		if err := trace.Start(w); err != nil {
			return err
		}
		<-ctx.Done()
		trace.Stop()
		return nil
	}},
}

// Collectors returns the names of all collectors.
func Collectors() (names []string) {
	for _, c := range collectors {
		names = append(names, c.name)
	}
	return names
}

func known(name string) func(context.Context, io.Writer, *Options) error {
	return func(_ context.Context, w io.Writer, _ *Options) error { return pprof.Lookup(name).WriteTo(w, 0) }
}

// program copies the program that runs.
func program(_ context.Context, w io.Writer, _ *Options) error {
	f, err := os.Open("/proc/self/exe") // is there after the file was replaced, too
	if err != nil {
		var path string
		if path, err = os.Executable(); err == nil {
			f, err = os.Open(path)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// busy is held while samples are taken: the runtime takes one set at a time.
var busy sync.Mutex

// ErrBusy means that another call takes samples.
var ErrBusy = errors.New("profiles are being collected already")

// Check returns an error if there is no such collector, or one takes too long.
func (o *Options) Check() error {
	for _, name := range o.Collectors {
		if !slices.Contains(Collectors(), name) {
			return fmt.Errorf("unknown collector %q: there are %s", name, strings.Join(Collectors(), ", "))
		}
	}
	switch {
	case o.Time < 0 || o.Time > MaxTime:
		return fmt.Errorf("a profile over %v: at most %v is possible", o.Time, MaxTime)
	case o.Mutexes < 0 || o.Blocks < 0:
		return errors.New("the rate of a profile is below zero")
	}
	return nil
}

// Write collects what o says and writes the archive to w. What samples runs at the same
// time, into temporary files. If ctx ends, so does Write, with its error.
func Write(ctx context.Context, w io.Writer, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	var sampling []collector
	for _, c := range collectors {
		switch {
		case !slices.Contains(o.Collectors, c.name):
		case !c.samples:
			err := c.into(archive, &o, func(to io.Writer) error { return c.write(ctx, to, &o) })
			if err != nil {
				return err
			}
		case o.Time > 0:
			sampling = append(sampling, c)
		}
	}
	if len(sampling) > 0 {
		if err := sample(ctx, archive, sampling, &o); err != nil {
			return err
		}
	}
	return archive.Close()
}

// into makes the file of a collector in the archive.
func (c collector) into(archive *zip.Writer, o *Options, write func(io.Writer) error) error {
	h := &zip.FileHeader{Name: c.file, Method: zip.Deflate, Modified: time.Now()}
	h.SetMode(0o644)
	if c.name == "bin" {
		h.Name = o.Program
		h.SetMode(0o755)
	}
	to, err := archive.CreateHeader(h)
	if err == nil {
		err = write(to)
	}
	if err != nil {
		return fmt.Errorf("collect the profile %s: %w", c.name, err)
	}
	return nil
}

// sample runs collectors for o.Time, and copies what they wrote.
func sample(ctx context.Context, archive *zip.Writer, list []collector, o *Options) error {
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	files, errs := make([]*os.File, len(list)), make([]error, len(list))
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
				os.Remove(f.Name())
			}
		}
	}()
	for i := range list {
		var err error
		if files[i], err = os.CreateTemp("", "ipns-profile-*"); err != nil {
			return fmt.Errorf("collect the profile %s: %w", list[i].name, err)
		}
	}
	if !busy.TryLock() {
		return ErrBusy
	}
	var running sync.WaitGroup
	for i, c := range list {
		running.Go(func() { errs[i] = c.write(ctx, files[i], o) })
	}
	running.Wait()
	busy.Unlock() // the copies wait for who reads them
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("collect profiles: %w", err)
	}
	for i, c := range list {
		if errs[i] != nil {
			return fmt.Errorf("collect the profile %s: %w", c.name, errs[i])
		}
		err := c.into(archive, o, func(to io.Writer) error {
			_, err := files[i].Seek(0, io.SeekStart)
			if err == nil {
				_, err = io.Copy(to, files[i])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
