package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// largeRounds is how often the large file is fetched of each.
const largeRounds = 5

// throughput measures how fast a large file is read over one connection.
func throughput(ctx context.Context, c config, all []*server) error {
	speeds := map[*server][]float64{}
	for range largeRounds {
		for _, s := range all {
			began := time.Now()
			n, err := read(ctx, s.url+s.large, func(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) })
			if err != nil {
				return err
			}
			if n != c.large {
				return fmt.Errorf("%s sent %d bytes of %d", s.name, n, c.large)
			}
			speeds[s] = append(speeds[s], float64(n)/1e6/time.Since(began).Seconds())
		}
	}
	fmt.Printf("\n| file of %d MB | MB/s |\n|---|---|\n", c.large>>20)
	for _, s := range all {
		fmt.Printf("| %s | %.0f |\n", s.name, median(speeds[s]))
	}
	if len(all) == 2 {
		fmt.Printf("\nours / Kubo: %.2f\n", median(speeds[all[0]])/median(speeds[all[1]]))
	}
	return nil
}

func read(ctx context.Context, url string, with func(io.Reader) (int64, error)) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return with(resp.Body)
}

// How the slow downloads are watched.
const (
	slowTime = 20 * time.Second
	slowStep = 250 * time.Millisecond
	slowRead = 16 << 10 // bytes in a step
)

// slowDownloads measures how much memory each uses while many clients read the large file slowly.
func slowDownloads(ctx context.Context, c config, all []*server) error {
	fmt.Printf("\n| %d slow downloads | MB before | MB at most | MB in the last half |\n|---|---|---|---|\n", c.slow)
	for _, s := range all {
		before, err := rss(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		slow, stop := context.WithCancel(ctx)
		var readers sync.WaitGroup
		for range c.slow {
			readers.Go(func() {
				_, _ = read(slow, s.url+s.large, func(r io.Reader) (n int64, err error) {
					for err == nil && slow.Err() == nil {
						_, err = io.CopyN(io.Discard, r, slowRead)
						time.Sleep(slowStep)
					}
					return 0, err
				})
			})
		}
		var most, late float64
		for end := time.Now().Add(slowTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(slowStep) {
			now, err := rss(s.cmd.Process.Pid)
			if err != nil {
				stop()
				return err
			}
			most = max(most, now)
			if time.Until(end) < slowTime/2 {
				late = max(late, now)
			}
		}
		stop()
		readers.Wait()
		fmt.Printf("| %s | %.0f | %.0f | %.0f |\n", s.name, before, most, late)
	}
	return nil
}
