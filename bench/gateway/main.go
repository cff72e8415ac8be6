// Command gateway measures the gateway beside that of Kubo and a bare net/http handler that writes the same bytes. Each
// is a process of its own, with one file of a name and one large file. They take turns, so that a busy machine is as bad
// for each; what counts are the ratios. bench/README.md keeps the results.
//
// It needs wrk, since a client in Go would take most of the processors.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type config struct {
	ipns, kubo, wrk string
	conns           int
	rounds          int
	turn            time.Duration
	large           int64
	slow            int
	bare            string
}

func main() {
	var c config
	flag.StringVar(&c.ipns, "ipns", "ipns", "binary of ipns")
	flag.StringVar(&c.kubo, "kubo", "ipfs", "binary of Kubo; empty: none")
	flag.StringVar(&c.wrk, "wrk", "wrk", "binary of wrk")
	flag.IntVar(&c.conns, "conns", 16, "connections")
	flag.IntVar(&c.rounds, "rounds", 9, "rounds, in which each has a turn")
	flag.DurationVar(&c.turn, "turn", 2*time.Second, "length of a turn")
	flag.Int64Var(&c.large, "large", 500<<20, "bytes of the large file; 0: none")
	flag.IntVar(&c.slow, "slow", 200, "slow downloads at once; 0: none")
	flag.StringVar(&c.bare, "bare", "", "be the bare handler for the answer in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if c.bare != "" {
		err = serveBare(ctx, c.bare)
	} else {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp("", "bench-gateway-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, err := startNode(ctx, c, dir, "ipns", c.ipns)
	if err != nil {
		return err
	}
	defer ours.stop()
	all := []*server{ours}
	if c.kubo != "" {
		kubo, err := startNode(ctx, c, dir, "kubo", c.kubo)
		if err != nil {
			return err
		}
		defer kubo.stop()
		all = append(all, kubo)
	}
	bare, err := startBare(ctx, dir, ours)
	if err != nil {
		return err
	}
	defer bare.stop()
	if err := small(ctx, c, append(all, bare)); err != nil {
		return err
	}
	if c.large > 0 {
		if err := throughput(ctx, c, all); err != nil {
			return err
		}
		if c.slow > 0 {
			return slowDownloads(ctx, c, all)
		}
	}
	return nil
}

// small measures a file of 2 kB by its name.
func small(ctx context.Context, c config, all []*server) error {
	rates := map[*server][]float64{}
	for range c.rounds {
		for _, s := range all {
			rate, err := wrk(ctx, c, s.url+s.small)
			if err != nil {
				return err
			}
			rates[s] = append(rates[s], rate)
		}
	}
	fmt.Printf("| file of 2 kB | requests/s | of bare |\n|---|---|---|\n")
	bare := median(rates[all[len(all)-1]])
	for _, s := range all {
		m := median(rates[s])
		fmt.Printf("| %s | %.0f | %.2f |\n", s.name, m, m/bare)
	}
	if len(all) == 3 {
		fmt.Printf("\nours / Kubo: %.2f\n", median(rates[all[0]])/median(rates[all[1]]))
	}
	return nil
}

var (
	rateRE   = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)
	failedRE = regexp.MustCompile(`Non-2xx or 3xx responses: \d+|Socket errors: .*`)
)

func wrk(ctx context.Context, c config, url string) (float64, error) {
	seconds := fmt.Sprintf("%ds", max(1, int(c.turn.Seconds())))
	out, err := exec.CommandContext(ctx, c.wrk, "-t1", "-c"+strconv.Itoa(c.conns), "-d"+seconds, url).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if failed := failedRE.Find(out); failed != nil {
		return 0, fmt.Errorf("wrk of %s: %s", url, failed)
	}
	m := rateRE.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk said: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// rss is how much memory a process uses, in MB: its anonymous pages, which are what it holds itself.
func rss(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d does not say how much memory it uses", pid)
}
