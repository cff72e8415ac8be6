package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/goipns/ipns/interop/js"
)

// TestBrowsersDialANode has js-libp2p in Chromium connect to a daemon, in each way that
// browsers have: WebSockets, WebTransport and WebRTC without a server for signals.
func TestBrowsersDialANode(t *testing.T) {
	packages := filepath.Join(js.Need(t, "js").Dir, "node_modules")
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.run("config", "--json", "Addresses.Swarm", `["/ip4/127.0.0.1/tcp/0","/ip4/127.0.0.1/tcp/0/ws","/ip4/127.0.0.1/udp/0/quic-v1/webtransport","/ip4/127.0.0.1/udp/0/webrtc-direct"]`)
	us.start()

	bundle := filepath.Join(t.TempDir(), "bundle.js")
	esbuild := exec.Command(filepath.Join(packages, ".bin", "esbuild"), "js/page/dial.js", "--bundle", "--format=esm", "--log-level=error", "--outfile="+bundle)
	if out, err := esbuild.CombinedOutput(); err != nil {
		t.Fatalf("esbuild: %v\n%s", err, out)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<script type="module" src="/bundle.js"></script>`)
	})
	mux.HandleFunc("/bundle.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)

	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	mustDo(t, chromedp.Do(ctx, chromedp.Navigate(site.URL)))
	eventually(t, "the page is ready", func() bool {
		ready, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`typeof window.dial === 'function'`))
		return err == nil && ready
	})
	addrs := strings.Fields(us.run("id", "--format", "<addrs>"))
	for _, way := range []string{"/ws/", "/webtransport/", "/webrtc-direct/"} {
		t.Run(strings.Trim(way, "/"), func(t *testing.T) {
			for _, a := range addrs {
				if !strings.Contains(a, way) {
					continue
				}
				said, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("window.dial(%q)", a), chromedp.EvalAwaitPromise))
				if err != nil || said != a {
					t.Errorf("dial %s: %q, %v", a, said, err)
				}
				return
			}
			t.Errorf("no address of %s among %v", way, addrs)
		})
	}
}
