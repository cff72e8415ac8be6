package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/goipns/ipns/interop/js"
)

// shownTimeout is how long a page may take to show a new value: it asks every second,
// and browsers answer from their cache for the TTL, and then once more.
const shownTimeout = 2 * time.Minute

// TestBrowser opens examples/browser in Chromium, from another origin than our daemon
// has. What it publishes our command line and Kubo resolve, and other pages show.
func TestBrowser(t *testing.T) {
	browser := startBrowser(t)
	site := serveExample(t)
	kubos := startKubos(t, 2)
	us := relaying(t, kubos...)

	writer := browser.open(t, site, us.gateway())
	name := writer.publish("/ipfs/bafkqaaa")
	arrived(t, name, 1, "/ipfs/bafkqaaa", us, kubos[0])

	reader := browser.open(t, site, us.gateway())
	reader.follow(name)
	reader.shows("/ipfs/bafkqaaa")
	if again := writer.publish("/ipfs/bafkqaaa/b"); again != name {
		t.Errorf("the page publishes %s as %s", name, again)
	}
	arrived(t, name, 2, "/ipfs/bafkqaaa/b", us, kubos[0])
	reader.shows("/ipfs/bafkqaaa/b")

	writer.load(site, us.gateway()) // the key and the sequence outlive the page
	if again := writer.publish("/ipfs/bafkqaaa/c"); again != name {
		t.Errorf("the page loaded again publishes %s as %s", name, again)
	}
	arrived(t, name, 3, "/ipfs/bafkqaaa/c", us, kubos[0])
	reader.shows("/ipfs/bafkqaaa/c")

	name = key(us, "followed")
	publish(us, "/ipfs/bafkqaaa", "--resolve=false", "--key", "followed", "--ttl", "1s")
	reader.follow(name)
	reader.shows("/ipfs/bafkqaaa")
	publish(us, "/ipfs/bafkqaaa/b", "--resolve=false", "--key", "followed", "--ttl", "1s")
	reader.shows("/ipfs/bafkqaaa/b")
	asked := reader.unchanged.Load()
	eventually(t, "the browser is told that nothing has changed", func() bool { return reader.unchanged.Load() > asked })

	reader.follow(key(us, "empty"))
	reader.shows("Could not find record for routing key")
}

// serveExample bundles the page and serves it.
func serveExample(t *testing.T) (url string) {
	t.Helper()
	packages := filepath.Join(js.Need(t, "js").Dir, "node_modules")
	dir, err := filepath.Abs("../examples/browser")
	mustDo(t, err)
	bundle := filepath.Join(t.TempDir(), "bundle.js")
	esbuild := exec.Command(filepath.Join(packages, ".bin", "esbuild"), filepath.Join(dir, "page.js"), "--bundle", "--format=esm", "--minify", "--log-level=warning", "--outfile="+bundle)
	esbuild.Env = append(esbuild.Environ(), "NODE_PATH="+packages)
	if out, err := esbuild.CombinedOutput(); err != nil {
		t.Fatalf("esbuild: %v\n%s", err, out)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(dir, "index.html")) })
	mux.HandleFunc("/bundle.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// A browser is a running Chromium.
type browser struct{ ctx context.Context }

func startBrowser(t *testing.T) browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		js.Missing(t, fmt.Errorf("Chromium is not installed (apt-get install chromium): %w", err))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-component-update", true))...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end Chromium: %v", err)
		}
	})
	mustDo(t, chromedp.Do(ctx))
	return browser{ctx}
}

// A page is one tab, of a visitor of its own.
type page struct {
	t         *testing.T
	ctx       context.Context
	unchanged atomic.Int64 // answers with status 304

	mu      sync.Mutex
	console []string
}

// open opens the page and types the address of the node.
func (b browser) open(t *testing.T, site, node string) *page {
	t.Helper()
	p := &page{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p.ctx = ctx
	mustDo(t, chromedp.Listen(ctx, p.hear))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.Failed() {
			t.Logf("console of the page:\n%s", strings.Join(p.console, "\n"))
		}
	})
	p.load(site, node)
	return p
}

// hear takes an event of the tab.
func (p *page) hear(event any) {
	switch e := event.(type) {
	case *network.EventResponseReceivedExtraInfo:
		if e.StatusCode == http.StatusNotModified {
			p.unchanged.Add(1)
		}
	case *runtime.EventExceptionThrown:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.console = append(p.console, fmt.Sprint(e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, shownTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) load(site, node string) {
	p.t.Helper()
	p.do(chromedp.Navigate(site), chromedp.SetValue("#node", node))
}

// publish has the page publish under its own name, which it returns.
func (p *page) publish(value string) (name string) {
	p.t.Helper()
	p.do(chromedp.SetValue("#path", value), chromedp.Click("#publish button"))
	p.wait(`!document.querySelector("#publish button").disabled`)
	said := p.output("published")
	name, ok := strings.CutPrefix(said, "/ipns/")
	if !ok {
		p.t.Fatalf("the page can't publish %s: %s", value, said)
	}
	return name
}

// follow has the page follow a name.
func (p *page) follow(name string) {
	p.t.Helper()
	p.do(chromedp.SetValue("#name", name), chromedp.Click("#resolve button"))
}

// shows waits until the page shows a value.
func (p *page) shows(value string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.getElementById("value").value === %q`, value))
}

func (p *page) wait(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, shownTimeout)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		p.t.Fatalf("not within %v: %s: %v; it shows %q, %q", shownTimeout, expression, err, p.output("value"), p.output("published"))
	}
}

// output returns what an output element says.
func (p *page) output(id string) string {
	p.t.Helper()
	said, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf("document.getElementById(%q).value", id)))
	mustDo(p.t, err)
	return said
}
