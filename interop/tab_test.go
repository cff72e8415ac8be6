package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A tab is a tab of a browser with the page of a node, of a visitor of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	console  []string // what went wrong in it
	expected []string // what may
}

// tab opens a URL. Its console must stay empty but for messages with one of expected.
func (b browser) tab(t *testing.T, url string, expected ...string) *tab {
	t.Helper()
	p := &tab{t: t, expected: expected}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p.ctx = ctx
	mustDo(t, chromedp.Listen(ctx, p.hear))
	mustDo(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, at *chromedp.Target) error {
		_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
		return err
	})))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, said := range p.console {
			t.Errorf("the console of the page: %s", said)
		}
	})
	p.do(chromedp.Navigate(url))
	return p
}

// hear takes an event of the tab: errors of scripts and of the Content-Security-Policy.
func (p *tab) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.Exception.Description)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			said = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if said == "" {
		return
	}
	for _, part := range p.expected {
		if strings.Contains(said, part) {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.console = append(p.console, said)
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, shownTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%v; the page shows:\n%s", err, p.text("body"))
	}
}

// until waits until an expression is true.
func (p *tab) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, shownTimeout)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		p.t.Fatalf("not within %v: %s: %v; the page shows:\n%s", shownTimeout, expression, err, p.text("body"))
	}
}

// find is the JavaScript of the last visible element that fits a selector and has a text.
func find(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%s)].filter((e) => e.checkVisibility() && e.textContent.includes(%s)).at(-1)`, quote(selector), quote(text))
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // it is a text
	}
	return string(b)
}

// sees waits until an element that fits a selector shows a text.
func (p *tab) sees(selector, text string) {
	p.t.Helper()
	p.until("!!(" + find(selector, text) + ")")
}

// press presses the button with a text, in what fits a selector, by the keyboard.
func (p *tab) press(within, text string) {
	p.t.Helper()
	button := find(within+" button", text)
	p.until("!!(" + button + ") && !" + button + ".disabled")
	p.eval(button + ".focus()")
	p.do(chromedp.KeyEvent("\r"))
}

// fill types into the field with a label.
func (p *tab) fill(label, text string) {
	p.t.Helper()
	field := fmt.Sprintf(`document.getElementById((%s).htmlFor)`, find("label", label))
	p.until("!!(" + find("label", label) + ")")
	p.eval(field + ".focus(); " + field + ".select()")
	p.do(chromedp.KeyEvent(text))
}

// choose chooses an option of the dialog, by its value.
func (p *tab) choose(option string) {
	p.t.Helper()
	p.until(`!!document.querySelector("dialog select")`)
	p.eval(`const to = document.querySelector("dialog select"); to.value = ` + quote(option) + `; to.dispatchEvent(new Event("change"))`)
}

// eval runs JavaScript.
func (p *tab) eval(js string) { p.t.Helper(); evaluate[any](p, "{"+js+"; null}") }

// evaluate returns the value of JavaScript, or of the promise that it is.
func evaluate[T any](p *tab, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, shownTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// text is what an element shows.
func (p *tab) text(selector string) string {
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quote(selector))))
	if err != nil {
		return err.Error()
	}
	return v
}

// looks sets the size of the window in CSS pixels, and whether it is dark.
func (p *tab) looks(width, height int64, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	}))
}

// drop drops a folder of this machine on the page.
func (p *tab) drop(path string) {
	p.t.Helper()
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: []string{path}, DragOperationsMask: 1}
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
			if _, err := chromedp.Call(ctx, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: 300, Y: 300, Data: data}); err != nil {
				return err
			}
		}
		return nil
	}))
}
