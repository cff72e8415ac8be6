package main

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/internal/site"
)

// upView shows what goes on while a folder is up: on a terminal one line that is drawn again and again below all
// others, elsewhere a line for each change, or an object of JSON for each event.
type upView struct {
	c     *cli
	news  chan struct{} // has an element if something was published
	costs func(func(time.Duration))
	took  func(time.Duration) // how long a look at the folder took

	mu     sync.Mutex
	tty    *os.File // nil: nothing is drawn
	drew   time.Time
	line   bool   // the line is there
	work   string // what goes on; "": nothing
	dir    string // what is watched; "": nothing yet
	polls  string
	state  *api.Status
	seen   *check.Report
	seenAt time.Time
	err    string // the last one; "": it is over
	ended  bool
}

func (c *cli) newView() *upView {
	v := &upView{c: c, news: make(chan struct{}, 1)}
	var watch atomic.Pointer[func(time.Duration)]
	v.costs = func(f func(time.Duration)) { watch.Store(&f) }
	v.took = func(d time.Duration) {
		if f := watch.Load(); f != nil {
			(*f)(d)
		}
	}
	if f, ok := c.terminal.(*os.File); ok && isTerminal(f) && !c.asJSON() {
		v.tty = f
	}
	return v
}

func (v *upView) drawn() bool { return v.tty != nil }

// draw draws the line; the caller holds mu.
func (v *upView) draw(now bool) {
	if v.tty == nil || v.ended || !now && time.Since(v.drew) < redraw {
		return
	}
	text := v.text()
	if text == "" {
		return
	}
	v.drew, v.line = time.Now(), true
	if runes := []rune(text); len(runes) >= v.width() {
		text = string(runes[:v.width()-2]) + "…"
	}
	display.Fprintf(clearing{v.tty}, "%s", text)
}

// clearing empties the line of a terminal before each write.
type clearing struct{ f *os.File }

func (c clearing) Write(p []byte) (int, error) {
	if _, err := c.f.WriteString("\r\x1b[K"); err != nil {
		return 0, err
	}
	return c.f.Write(p)
}

// width is how many characters fit into a line.
func (v *upView) width() int {
	if columns, _, err := term.GetSize(int(v.tty.Fd())); err == nil && columns > 10 {
		return columns
	}
	return helpWidth
}

// text is the line.
func (v *upView) text() string {
	switch {
	case v.work != "":
		return v.work
	case v.dir == "":
		return ""
	}
	text := "watching " + v.dir
	if s := v.state; s != nil {
		text = display.Sprintf("sequence %d", s.Sequence)
		if s.Of > 0 {
			text += display.Sprintf(" · announced %d of %d", s.Announced, s.Of)
		}
		if r := v.seen; r != nil {
			text += " · " + seenText(*r, s.Sequence) + " " + v.seenAt.Format("15:04")
		}
		if s.Expired {
			text += " · EXPIRED"
		} else {
			text += " · EOL in " + time.Until(s.EOL).Round(time.Minute).String()
		}
	}
	if v.polls != "" {
		text += " · polling"
	}
	if v.err != "" {
		text += " · last error: " + v.err
	}
	return text
}

// seenText says what was seen from outside.
func seenText(r check.Report, sequence uint64) string {
	have, asked := 0, 0
	for _, s := range r.Sources {
		asked++
		if s.Record != nil && s.Record.Sequence >= sequence {
			have++
		}
	}
	if have == 0 {
		return "not seen from outside"
	}
	return display.Sprintf("seen from outside (%d of %d)", have, asked)
}

// print runs f, which prints lines above the one that is drawn.
func (v *upView) print(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
	f()
	v.draw(true)
}

// wipe removes the line; the caller holds mu.
func (v *upView) wipe() {
	if v.line {
		_, _ = clearing{v.tty}.Write(nil) // it only draws
		v.line = false
	}
}

// clear makes room for lines of output.
func (v *upView) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.work = ""
	v.wipe()
}

// end removes the line for good.
func (v *upView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
	v.ended = true
}

// note prints a line for people.
func (v *upView) note(format string, args ...any) {
	v.print(func() { display.Fprintf(v.c.errOut, format+"\n", args...) })
}

// working shows what goes on.
func (v *upView) working(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.work = display.Sprintf(format, args...)
	v.draw(false)
}

func (v *upView) announced(p api.Published) {
	if p.Of > 0 {
		v.working("announced to %d of %d servers", p.Announced, p.Of)
	}
}

// tally counts what is added.
type tally struct {
	view        *upView
	mu          sync.Mutex // files are read in another goroutine than answers
	files       int
	name        string // the file reported last
	bytes, done int64  // of it, and of those before it
}

func (n *tally) file(e folder.Entry) {
	if e.Known || e.Content == nil {
		return
	}
	n.mu.Lock()
	n.files++
	n.mu.Unlock()
	n.show()
}

func (n *tally) bytesOf(name string, bytes int64) {
	n.mu.Lock()
	if name != n.name {
		n.name, n.done = name, n.done+n.bytes
	}
	n.bytes = bytes
	n.mu.Unlock()
	n.show()
}

func (n *tally) show() {
	if !n.view.drawn() {
		return
	}
	n.mu.Lock()
	files, bytes := n.files, n.done+n.bytes
	n.mu.Unlock()
	n.view.working("adding: %d files, %s", files, humanize.Bytes(uint64(bytes)))
}

// watching says what is watched, and why it is polled; "": it is not.
func (v *upView) watching(dir, polls string) {
	v.mu.Lock()
	same := v.dir == dir && v.polls == polls
	v.dir, v.polls, v.work = dir, polls, ""
	v.mu.Unlock()
	switch {
	case same:
	case v.c.asJSON():
		v.json(watchingEvent{Event: "watching", Time: time.Now().UTC(), Folder: dir, Polls: polls})
	case polls != "":
		v.note("Looking every few seconds for changes: %s.", polls)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw(true)
}

// status shows what the node knows of the name.
func (v *upView) status(s api.Status) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state = &s
	v.draw(true)
}

// outside shows what others have.
func (v *upView) outside(r check.Report) {
	v.mu.Lock()
	v.seen, v.seenAt = &r, time.Now()
	v.draw(true)
	v.mu.Unlock()
	if v.c.asJSON() {
		e := outsideEvent{Event: "outside", Time: time.Now().UTC(), Name: r.Name, OK: r.OK, Verdict: r.Verdict}
		if r.Newest != nil {
			e.Sequence, e.Value = r.Newest.Sequence, r.Newest.Value
		}
		for _, s := range r.Sources {
			e.Asked++
			if s.Record != nil && r.Newest != nil && s.Record.Sequence == r.Newest.Sequence {
				e.Have++
			}
		}
		v.json(e)
	}
}

// failed tells of an error once, for as long as it stays the same; nil: it is over.
func (v *upView) failed(err error) {
	text := ""
	if err != nil {
		text = display.Error(err)
	}
	v.mu.Lock()
	same := v.err == text
	v.err, v.work = text, ""
	v.mu.Unlock()
	switch {
	case same, err == nil:
	case v.c.asJSON():
		v.json(errorEvent{Event: "error", Time: time.Now().UTC(), Error: err.Error()})
	default:
		v.note("not published: %s", text)
	}
}

// publishedAgain tells of a change that was published.
func (v *upView) publishedAgain(p api.Published, c site.Changes) {
	v.mu.Lock()
	v.work = ""
	v.mu.Unlock()
	if v.c.asJSON() {
		e := publishedEvent(p, 0)
		e.Added, e.Changed, e.Removed = len(c.Added), len(c.Changed), len(c.Removed)
		v.json(e)
	} else {
		v.print(func() {
			for _, w := range p.Warnings {
				display.Fprintf(v.c.errOut, "warning: %s\n", w)
			}
			display.Fprintf(v.c.out, "%s %s: %d added, %d changed, %d removed; %s\n", time.Now().UTC().Format(time.RFC3339),
				contentOf(p), len(c.Added), len(c.Changed), len(c.Removed), p.Receipt())
		})
	}
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// json prints an event.
func (v *upView) json(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = json.NewEncoder(v.c.out).Encode(event) // there is nowhere else to say it
}
