package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPageAsksForTheSecret opens the page of a node whose API wants one.
func TestPageAsksForTheSecret(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.run("config", "--json", "API.Authorizations", `{
		"all": {"AuthSecret": "bearer:s3cret", "AllowedPaths": ["/api/v0"]},
		"ann": {"AuthSecret": "basic:ann:pässword", "AllowedPaths": ["/api/v0/name", "/api/v0/key/ls"]}}`)
	us.flags = []string{"--api-auth", "bearer:s3cret"}
	us.start()
	const refused = "status of 403"
	p := browser.tab(t, us.webui(), refused)
	p.sees("#login", "asks for a secret")
	p.until(`document.activeElement.id === "secret" && document.getElementById("content").hidden`)
	p.isSound("the form for the secret")

	p.fill("Secret", "bearer:wrong")
	p.press("#login", "Unlock")
	p.sees("#login-error", "does not accept")
	p.isSound("a wrong secret")
	p.fill("Secret", "s3cret")
	p.press("#login", "Unlock")
	p.sees("#link-text", "Live")
	p.sees("#keys", "self")
	if kept := evaluate[int](p, "sessionStorage.length + localStorage.length + document.cookie.length"); kept != 0 {
		t.Errorf("the secret is kept: %d", kept)
	}
	us.run("key", "gen", "blog")
	p.sees("#keys", "blog") // an event came, with the secret

	// It is forgotten with the page, unless it is to be kept in the tab.
	p.do(chromedp.Reload())
	p.sees("#login", "asks for a secret")
	p.eval(`document.getElementById("keep").checked = true`)
	p.fill("Secret", "bearer:s3cret")
	p.press("#login", "Unlock")
	p.sees("#link-text", "Live")
	p.do(chromedp.Reload())
	p.sees("#link-text", "Live")
	if kept := evaluate[int](p, "localStorage.length + document.cookie.length"); kept != 0 {
		t.Errorf("the secret outlives the tab: %d", kept)
	}

	// A secret for less shows less, and says so.
	some := browser.tab(t, us.webui(), refused)
	some.fill("Secret", "basic:ann:pässword")
	some.press("#login", "Unlock")
	some.sees("#link-text", "Live")
	some.sees("#keys", "blog")
	some.sees(".notice", "does not cover republish/status")
	some.press("main", "New key")
	some.fill("Label", "other")
	some.press("dialog", "Make key")
	some.sees("dialog .error", "does not cover key/gen")
	some.isSound("a secret for less")
}

// TestPageSaysThatTheNodeIsAway stops the daemon, publishes meanwhile, and starts it again.
func TestPageSaysThatTheNodeIsAway(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start("--offline")
	us.run("config", "Addresses.API", us.rpcAddr()) // the same port the next time
	publish(us, "/ipfs/bafkqaaa", "--allow-offline", "--resolve=false")
	p := browser.tab(t, us.webui(), "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "status of 500")
	p.sees(".notice", "runs offline")
	p.sees(".sequence", "sequence 0")
	p.isSound("a node that is offline")

	// It publishes to its own store.
	p.press("#names", "Publish…")
	p.fill("Leads to", "/ipfs/bafkqaaa")
	p.press("dialog", "Publish")
	p.sees("dialog", "announced to nobody")
	p.press("dialog", "Done")

	us.stop()
	p.sees(".notice", "The node does not answer")
	p.sees("#link-text", "Not connected")
	p.sees(".notice button", "Try now")
	p.isSound("a node that is away")
	publish(us, "/ipfs/bafkqaaa/b", "--allow-offline", "--resolve=false")
	us.start("--offline")
	p.press(".notice", "Try now")
	p.sees("#link-text", "Live")
	p.sees(".sequence", "sequence 1")
	p.until(`!document.querySelector("#notices").textContent.includes("does not answer")`)

	// A rollback replaces only what its dialog has shown.
	p.press("#names", "History")
	p.press(".past li:nth-child(2)", "Roll back")
	p.sees("dialog", "Would lead to")
	publish(us, "/ipfs/bafkqaaa/c", "--allow-offline", "--resolve=false")
	p.press("dialog", "Roll back")
	p.until(`document.querySelector("dialog .error").textContent !== ""`)
	if got := us.line("name", "resolve"); got != "/ipfs/bafkqaaa/c" {
		t.Errorf("rolled back over what nobody has seen, to %s", got)
	}
}

// TestPageSaysWhatIsAtRisk shows names that end, and names that someone else signs for.
func TestPageSaysWhatIsAtRisk(t *testing.T) {
	browser := startBrowser(t)
	us := onTestnet(t)
	blog := key(us, "blog")
	publish(us, add(us, site(t, "ours")), "--key=blog")
	file := filepath.Join(t.TempDir(), "blog.key")
	us.run("key", "export", "-o", file, "blog")

	other := newNode(t, ours, "other")
	other.start("--bootstrap", us.addr())
	other.run("key", "import", "blog", file)
	p := browser.tab(t, us.webui(), "status of 500")
	p.until(widely(card(blog) + " .took"))
	publish(other, "/ipfs/bafkqaaa", "--resolve=false", "--key=blog")
	p.press(card(blog), "Check now")
	p.sees("#risks", "someone else signs with this key")
	p.sees(card(blog)+" .sequence", "sequence 1") // it has what the other holder published
	p.isSound("a name at risk")
	p.eval("scrollTo(0, 0); document.activeElement.blur()")
	p.shoot("risk")
}

// TestPageShowsExpiredNames shows a record that has ended, and publishes it again.
func TestPageShowsExpiredNames(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start("--offline")
	publish(us, "/ipfs/bafkqaaa", "--allow-offline", "--resolve=false", "--lifetime=1s")
	eventually(t, "the record ends", func() bool { return strings.Contains(us.run("name", "status"), "expired") })
	p := browser.tab(t, us.webui())
	p.sees("#risks", "expired")
	p.sees("#risks", "Publish it again: its value stays")
	p.isSound("an expired name")
	p.press("#risks", "Publish again…")
	p.press("dialog", "Publish")
	p.sees("dialog", "Stored here as sequence")
	p.press("dialog", "Done")
	p.until(`document.getElementById("risk").hidden`)
}

// What values and labels look like stays text.
func TestPageObeysNoValue(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start("--offline")
	const evil = "<img src=x onerror=window.pwned=1>"
	name := us.line("key", "gen", evil)
	us.run("key", "gen", "good\u202egnp.exe")
	publish(us, "/ipfs/bafkqaaa/"+evil+"\u202e\u2066x", "--allow-offline", "--resolve=false", "--key", evil)
	p := browser.tab(t, us.webui(), "status of 500") // its content is not here
	p.sees(card(name)+" h3", evil)
	p.sees("#keys", `good\u202egnp.exe`)
	p.until(fmt.Sprintf(`document.querySelector(%s).title.includes("\\u202e\\u2066")`, quote(card(name)+" .target code")))
	p.press(card(name), "History")
	p.sees(".past", "current")
	p.press(card(name), "Publish…")
	p.sees("dialog h2", "Publish "+evil)
	p.press("dialog", "Cancel")
	p.press("#keys li:nth-child(2)", "Remove…")
	p.sees("dialog", evil)
	if found := evaluate[string](p, `[window.pwned, document.querySelectorAll("img").length, /[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText)].join()`); found != ",0,false" {
		t.Errorf("the page obeys: %s", found)
	}
	p.isSound("values of strangers")
}

// Pages of other origins, those that the gateway shows among them, can neither use the API
// nor the page.
func TestPagesOfOthersCanDoNothing(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start("--offline")
	base := strings.TrimSuffix(us.webui(), "/webui")
	attack := fmt.Sprintf(`<!doctype html><title>attack</title><iframe name="to"></iframe><iframe id="framed" src="%[1]s/webui/"></iframe>
<form method="post" target="to" action="%[1]s/api/v0/key/gen?arg=form"></form>
<script type="module">
const all = [];
const attempt = (what, doing) => doing.then((r) => { if (r && r.type !== "opaque") all.push(what + " " + r.status); }, () => {});
const api = "%[1]s/api/v0/", page = "%[1]s/webui/";
await attempt("cors", fetch(api + "key/gen?arg=cors", {method: "POST"}));
await attempt("no-cors", fetch(api + "key/gen?arg=no-cors", {method: "POST", mode: "no-cors"}));
await attempt("authorized", fetch(api + "key/gen?arg=authorized", {method: "POST", headers: {Authorization: "Bearer x"}}));
await attempt("watch", fetch(api + "name/watch", {method: "POST"}));
await attempt("page", fetch(page));
await attempt("script", import(page + "api.js").then(() => ({status: "ran"})));
document.forms[0].submit();
await new Promise((r) => setTimeout(r, 1000));
const opened = open(page);
await new Promise((r) => setTimeout(r, 1000));
try { if (opened.document.getElementById("main")) all.push("opened"); } catch {}
try { if (document.getElementById("framed").contentDocument.getElementById("main")) all.push("framed"); } catch {}
document.body.dataset.done = JSON.stringify(all);
</script>`, base)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, attack)
	}))
	t.Cleanup(elsewhere.Close)
	dir := t.TempDir()
	mustDo(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte(attack), 0o600))
	root := add(us, dir)
	gateway := strings.Replace(us.gateway(), "127.0.0.1", "localhost", 1)
	for _, url := range []string{elsewhere.URL, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), gateway + "/ipfs/" + root + "/"} {
		p := browser.tab(t, url, "")
		p.until(`document.body.dataset.done !== undefined`)
		var did []string
		mustDo(t, json.Unmarshal([]byte(evaluate[string](p, "document.body.dataset.done")), &did))
		if len(did) > 0 {
			t.Errorf("a page at %s could: %q", url, did)
		}
		if keys := us.line("key", "ls"); keys != "self" {
			t.Fatalf("a page at %s made keys: %q", url, keys)
		}
	}
}

// call runs a command over the API of the daemon.
func (n *node) call(command string, args ...any) {
	n.t.Helper()
	resp, err := http.Post(strings.TrimSuffix(n.webui(), "webui")+"api/v0/"+fmt.Sprintf(command, args...), "", nil)
	mustDo(n.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %s", command, resp.Status)
	}
}

// A page with many names shows some of them, and finds the others.
func TestPageWithManyNames(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start("--offline")
	const many = 120
	for i := range many {
		us.call("key/gen?arg=site-%03d", i)
		us.call("name/publish?arg=/ipfs/bafkqaaa&allow-offline=true&resolve=false&key=site-%03d", i)
	}
	p := browser.tab(t, us.webui())
	p.sees("#count", fmt.Sprint(many))
	p.sees("#more", "50 of 120 are shown")
	p.press("#more", "Show more")
	p.sees("h3", "site-099")
	p.fill("Show names with", "site-119")
	p.until(`document.querySelectorAll("#names > li").length === 1`)
	p.sees("h3", "site-119")
	p.isSound("a filter")
}

// TestPageShowsTenants opens the page of a node that keeps names for others.
func TestPageShowsTenants(t *testing.T) {
	browser := startBrowser(t)
	owner, us := newNode(t, ours, "owner"), newNode(t, ours, "ipns")
	owner.run("name", "publish", "--allow-offline", "--resolve=false", "--lifetime=30m", "/ipfs/bafkqaaa")
	name := strings.TrimSpace(owner.run("key", "ls", "-l"))
	name, _, _ = strings.Cut(name, " ")
	raw := owner.run("name", "get", name)
	line, err := json.Marshal(map[string]any{"Name": name, "Record": []byte(raw)})
	mustDo(t, err)
	file := filepath.Join(t.TempDir(), "records.ndjson")
	mustDo(t, os.WriteFile(file, line, 0o600))
	us.start("--offline")
	p := browser.tab(t, us.webui())
	p.sees("#link-text", "Live")
	p.until(`document.getElementById("hosting").hidden`)
	us.run("host", "token", "create", "--tenant=friends")
	us.run("host", "import", "--tenant=friends", file)
	p.do(chromedp.Reload())
	p.sees("#tenants", "friends")
	p.sees("#tenants", "1 name,")
	p.sees("#tenants", "1 name at risk")
	p.sees("#tenants", "the first ends in")
	p.isSound("names of others")
}
