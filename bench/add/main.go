//go:build linux

// Command add compares `ipns add` with Kubo's `ipfs add` on the same data and disk, in turns, and prints medians and
// their ratios: without a daemon and with one, of a large file and of a folder of small ones, for the first time and
// again.
//
//	go run ./bench/add -ipfs PATH -ipns PATH
//
// It needs Linux. What a daemon takes is added to what its client does.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
)

var (
	ipfs   = flag.String("ipfs", "ipfs", "Kubo's program")
	ipns   = flag.String("ipns", "ipns", "ours")
	rounds = flag.Int("rounds", 5, "turns of each")
	size   = flag.Int64("bytes", 500_000_000, "of the large file")
	files  = flag.Int("files", 20_000, "in the folder")
	dir    = flag.String("dir", "", "where data and repos are made, on the disk that is measured; default: the temporary folder")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/add:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	at, err := os.MkdirTemp(*dir, "bench-add-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(at)
	large, small := filepath.Join(at, "large"), filepath.Join(at, "small")
	if err := makeFile(large, *size, 1); err != nil {
		return err
	}
	total, err := makeFolder(small)
	if err != nil {
		return err
	}
	for _, online := range []bool{false, true} {
		for _, data := range []struct {
			name, path string
			size       int64
		}{{"large file", large, *size}, {"folder", small, total}} {
			var results [2][]measured
			for i := range *rounds {
				for j := range 2 {
					which := (i + j) % 2 // who is first alternates
					m, err := contenders[which].measure(ctx, filepath.Join(at, "repo"), data.path, online)
					if err != nil {
						return fmt.Errorf("%s: %w", contenders[which].name, err)
					}
					results[which] = append(results[which], m)
				}
				if a, b := results[0][i].root, results[1][i].root; a != b {
					return fmt.Errorf("the CIDs differ: %s and %s", a, b)
				}
			}
			print(data.name, data.size, online, results)
		}
	}
	return nil
}

func print(name string, size int64, online bool, results [2][]measured) {
	daemon := "no daemon"
	if online {
		daemon = "through a daemon"
	}
	fmt.Printf("\n%s, %.0f MB, %s\n\n| | Kubo | ours | ours / Kubo |\n|---|---|---|---|\n", name, float64(size)/1e6, daemon)
	median := func(which int, of func(measured) float64) float64 {
		var all []float64
		for _, m := range results[which] {
			all = append(all, of(m))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	wall := func(m measured) float64 { return m.first.wall }
	cpu := func(m measured) float64 { return m.first.cpu }
	row := func(name, format string, of func(measured) float64) {
		k, o := median(0, of), median(1, of)
		fmt.Printf("| %s | "+format+" | "+format+" | %.2f |\n", name, k, o, o/k)
	}
	row("wall", "%.2f s", wall)
	row("CPU", "%.2f s", cpu)
	row("written / data", "%.2f", func(m measured) float64 { return m.first.written / float64(size) })
	row("peak memory", "%.0f MB", func(m measured) float64 { return m.first.memory / 1e6 })
	row("disk after / data", "%.3f", func(m measured) float64 { return m.disk / float64(size) })
	kw, kc := median(0, wall), median(0, cpu)
	again := func(name string, of func(measured) float64, first float64) {
		k, o := median(0, of), median(1, of)
		fmt.Printf("| %s | %.2f s | %.2f s | %.2f of Kubo's first |\n", name, k, o, o/first)
	}
	again("again: wall", func(m measured) float64 { return m.again.wall }, kw)
	again("again: CPU", func(m measured) float64 { return m.again.cpu }, kc)
}

// makeFile makes a file of random bytes.
func makeFile(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, 1<<20)
	for size > 0 && err == nil {
		part := b[:min(size, int64(len(b)))]
		_, _ = rng.Read(part) // never fails
		_, err = f.Write(part)
		size -= int64(len(part))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeFolder makes a folder of files of 200 B to 16 kB, and returns how large they are together.
func makeFolder(path string) (total int64, err error) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range *files {
		in := filepath.Join(path, fmt.Sprint(i/100))
		if err := os.MkdirAll(in, 0o755); err != nil {
			return 0, err
		}
		size := 200 + rng.Int64N(15_800)
		total += size
		if err := makeFile(filepath.Join(in, fmt.Sprintf("%d.html", i)), size, uint64(i)); err != nil {
			return 0, err
		}
	}
	return total, nil
}
