package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// warm is the share of a life of the daemon after which its samples count: until then it
// loads, connects and fills caches.
const warm = 0.5

// sampleEvery is how often the daemon is looked at.
const sampleEvery = 2 * time.Second

// point is what the daemon has at a moment.
type point struct {
	at                              time.Time
	memory, descriptors, goroutines float64
}

// growth is what the daemon had, in each of its lives.
type growth struct {
	mu    sync.Mutex // guards lives
	lives [][]point
}

// restarted begins a new life.
func (g *growth) restarted() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lives = append(g.lives, nil)
}

func (g *growth) add(p point) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lives) == 0 {
		g.lives = append(g.lives, nil)
	}
	last := len(g.lives) - 1
	g.lives[last] = append(g.lives[last], p)
}

// sample looks at the daemon until ctx ends.
func (s *soak) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			pid := s.daemon.pid()
			if p, err := s.daemon.look(ctx, pid); err == nil && pid == s.daemon.pid() {
				s.growth.add(p)
			}
		}
	}
}

// look returns what the daemon has now.
func (d *daemon) look(ctx context.Context, pid int) (p point, err error) {
	p.at = time.Now()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %f kB", &p.memory) // of the lines one is this
	}
	p.memory /= 1024
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return p, err
	}
	p.descriptors = float64(len(files))
	api, _ := d.urls()
	text, err := fetch(ctx, http.MethodGet, api+"/debug/pprof/goroutine?debug=1")
	if err != nil {
		return p, err
	}
	_, err = fmt.Sscanf(string(text), "goroutine profile: total %f", &p.goroutines)
	return p, err
}

// print prints the figures: of each the mean and how it grows, within a life and from one life
// to the next.
func (g *growth) print() {
	g.mu.Lock()
	defer g.mu.Unlock()
	fmt.Printf("%-12s %8s %8s %22s %22s\n", "", "mean", "most", "growth within a life", "from life to life")
	for _, f := range []struct {
		name string
		of   func(point) float64
	}{
		{"memory, MB", func(p point) float64 { return p.memory }},
		{"descriptors", func(p point) float64 { return p.descriptors }},
		{"goroutines", func(p point) float64 { return p.goroutines }},
	} {
		var within, weight, sum, most, count float64
		var means []sample
		for i, life := range g.lives {
			list := samples(life, f.of)
			for _, p := range life {
				most = max(most, f.of(p))
			}
			if len(list) < 3 {
				continue
			}
			m := mean(list)
			sum, count = sum+m*float64(len(list)), count+float64(len(list))
			within, weight = within+slope(list)*float64(len(list)), weight+float64(len(list))
			// The last life may have been shorter than the others.
			if i < len(g.lives)-1 || i == 0 {
				means = append(means, sample{list[len(list)/2].x, m})
			}
		}
		if count == 0 {
			fmt.Printf("%-12s no samples\n", f.name)
			continue
		}
		between := "-"
		if len(means) > 1 {
			between = fmt.Sprintf("%+.1f an hour", slope(means))
		}
		fmt.Printf("%-12s %8.0f %8.0f %22s %22s\n", f.name, sum/count, most, fmt.Sprintf("%+.1f an hour", within/weight), between)
	}
}

// sample is a figure at a time, in hours.
type sample struct{ x, y float64 }

// samples are those of a life that count.
func samples(life []point, of func(point) float64) (list []sample) {
	for _, p := range life[int(float64(len(life))*warm):] {
		list = append(list, sample{p.at.Sub(start).Hours(), of(p)})
	}
	return list
}

var start = time.Now()

func mean(list []sample) (y float64) {
	for _, s := range list {
		y += s.y
	}
	return y / float64(len(list))
}

// slope is that of the line which is nearest to the samples.
func slope(list []sample) float64 {
	var x, y float64
	for _, s := range list {
		x, y = x+s.x, y+s.y
	}
	x, y = x/float64(len(list)), y/float64(len(list))
	var above, below float64
	for _, s := range list {
		above, below = above+(s.x-x)*(s.y-y), below+(s.x-x)*(s.x-x)
	}
	if below == 0 {
		return 0
	}
	return above / below
}
