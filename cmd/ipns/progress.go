package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/goipns/ipns/api"
)

// progress shows the progress of a task on a terminal, and does nothing elsewhere.
type progress struct {
	bar  *progressbar.ProgressBar // nil: nothing is shown
	name string                   // the file reported last
	done int64                    // bytes of the files before it
	at   int64                    // bytes of this file
}

// redraw is the shortest time between two updates of the display.
const redraw = 100 * time.Millisecond

// adding starts to show the number of bytes added.
func (c *cli) adding() *progress {
	return c.progress("adding", progressbar.OptionShowBytes(true), progressbar.OptionShowCount())
}

// progress starts to show the progress of a task.
func (c *cli) progress(what string, options ...progressbar.Option) *progress {
	if !isTerminal(c.terminal) {
		return &progress{}
	}
	options = append(options,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(c.terminal),
		progressbar.OptionThrottle(redraw),
		progressbar.OptionClearOnFinish())
	return &progress{bar: progressbar.NewOptions64(-1, options...)}
}

func (p *progress) visible() bool { return p.bar != nil }

// file reports how many bytes of a file have been read.
func (p *progress) file(name string, bytes int64) {
	if p.bar == nil {
		return
	}
	if name != p.name {
		p.name, p.done = name, p.done+p.at
	}
	p.at = bytes
	_ = p.bar.Set64(p.done + p.at) // it only draws
}

// servers reports how many servers have a record.
func (p *progress) servers(took, of int) {
	if p.bar == nil || of == 0 {
		return
	}
	p.bar.Describe(fmt.Sprintf("announced to %d of %d servers", took, of))
}

// step says what is being done.
func (p *progress) step(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// clear makes room for a line of output.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end removes the display.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// regions reports the progress of a turn of republishing.
func (p *progress) regions(s api.Republishing) {
	if p.bar == nil {
		return
	}
	p.bar.ChangeMax(s.Regions)
	p.bar.Describe(fmt.Sprintf("%d of %d regions, %d names due, %.1f names/s", s.RegionsDone, s.Regions, s.Due, s.NamesPerSecond))
	_ = p.bar.Set(s.RegionsDone) // it only draws
}

// part reports how many of some things are done.
func (p *progress) part(done, of int) {
	if p.bar == nil {
		return
	}
	p.bar.ChangeMax(of)
	_ = p.bar.Set(done) // it only draws
}
