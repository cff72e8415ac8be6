package interop

import (
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/goipns/ipns/interop/js"
)

// shots has the tests write the screenshots of docs/page.md again.
var shots = flag.Bool("shots", false, "write the screenshots of docs/page.md")

const shotsDir = "../docs/page"

// maxShot is how large a screenshot may be, in bytes.
const maxShot = 150 << 10

// shoot writes a screenshot, if they are asked for.
func (p *tab) shoot(name string) {
	p.t.Helper()
	if !*shots {
		return
	}
	image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	mustDo(p.t, err)
	mustDo(p.t, os.WriteFile(filepath.Join(shotsDir, name+".png"), image, 0o644))
}

// TestScreenshotsAreSmall keeps the pictures of the page few and light.
func TestScreenshotsAreSmall(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shotsDir, "*.png"))
	if err != nil || len(files) == 0 || len(files) > 6 {
		t.Fatalf("%d screenshots, %v", len(files), err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		mustDo(t, err)
		defer f.Close()
		info, err := f.Stat()
		mustDo(t, err)
		if _, err := png.DecodeConfig(f); err != nil || info.Size() > maxShot {
			t.Errorf("%s: %d bytes, %v; want a PNG of at most %d", name, info.Size(), err, maxShot)
		}
	}
}

// webui is the URL of the page of a node.
func (n *node) webui() string {
	n.t.Helper()
	parts := strings.Split(n.rpcAddr(), "/") // /ip4/127.0.0.1/tcp/5001
	return fmt.Sprintf("http://%s:%s/webui", parts[2], parts[4])
}

// onTestnet makes a node and starts its daemon on a private network.
func onTestnet(t *testing.T, config ...string) *node {
	t.Helper()
	_, addr := startTestnet(t, 25)
	us := newNode(t, ours, "ipns")
	for i := 0; i+1 < len(config); i += 2 {
		us.run("config", "--json", config[i], config[i+1])
	}
	us.start("--bootstrap", addr)
	return us
}

// The sizes in which the page is looked at.
const (
	wide, tall           = 1120, 800
	phoneWide, phoneTall = 360, 740
)

// isSound checks that nothing that axe-core knows is wrong with what the page shows, light and dark,
// wide and on a phone, and that it never scrolls sideways.
func (p *tab) isSound(state string) {
	p.t.Helper()
	axe, err := os.ReadFile(filepath.Join(js.Need(p.t, "js").Dir, "node_modules", "axe-core", "axe.min.js"))
	mustDo(p.t, err)
	for _, look := range []struct {
		width, height int64
		dark          bool
	}{{wide, tall, false}, {wide, tall, true}, {phoneWide, phoneTall, false}, {phoneWide, phoneTall, true}} {
		p.looks(look.width, look.height, look.dark)
		p.eval("if (!window.axe) {" + string(axe) + "}")
		for _, found := range evaluate[[]string](p, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; ")))`) {
			p.t.Errorf("%s, %d pixels wide, dark %v: %s", state, look.width, look.dark, found)
		}
		if wider := evaluate[int](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wider > 0 {
			p.t.Errorf("%s: the page is %d pixels wider than a window of %d", state, wider, look.width)
		}
	}
	p.looks(wide, tall, false)
}

// card is the selector of the card of a name.
func card(name string) string { return "#names li:has(#name-" + name + ")" }

// widely is the JavaScript of whether all that fits a selector says that most of 20 servers
// have a record.
func widely(selector string) string {
	return fmt.Sprintf(`((all) => all.length > 0 && all.every((e) => parseInt(e.textContent) >= 15 && e.textContent.includes("of 20 servers")))([...document.querySelectorAll(%s)])`, quote(selector))
}

// TestPage has a visitor do with the page what it is for.
func TestPage(t *testing.T) {
	browser := startBrowser(t)
	us := onTestnet(t)
	p := browser.tab(t, us.webui())
	p.looks(wide, tall, false)
	p.sees("#link-text", "Live")
	p.sees("#empty", "No name has a value yet")
	p.sees("#figures", "25")
	p.isSound("no names")
	p.shoot("empty")

	// What the command line does shows by itself.
	blog := us.line("key", "gen", "blog")
	p.sees("#keys", "blog")
	first, second, third := add(us, site(t, "first")), add(us, site(t, "second")), add(us, site(t, "third"))
	publish(us, "/ipfs/"+first, "--key=blog")
	p.sees(card(blog)+" h3", "blog")
	p.until(fmt.Sprintf(`document.querySelector(%s)?.title === "/ipfs/%s"`, quote(card(blog)+" .target code"), first))
	p.until(widely(card(blog) + " .took"))
	p.until(`document.getElementById("empty").hidden`)
	if said := evaluate[string](p, fmt.Sprintf(`document.querySelector(%s).getAttribute("aria-label")`, quote(card(blog)+" .ring svg"))); !strings.HasPrefix(said, "Valid for 47 hours") && !strings.HasPrefix(said, "Valid for 48 hours") {
		t.Errorf("the ring says %q", said)
	}

	// Publishing by the page.
	p.press(card(blog), "Publish…")
	p.sees("dialog h2", "Publish blog")
	p.isSound("the dialog of a publish")
	p.fill("Leads to", "/ipfs/"+second)
	p.press("dialog", "Publish")
	p.sees("dialog", "Announced to")
	p.press("dialog", "Done")
	p.sees(card(blog)+" .sequence", "sequence 1")
	p.until(fmt.Sprintf(`document.activeElement === %s`, find(card(blog)+" button", "Publish…"))) // the focus is where it was
	if got := us.line("name", "resolve", blog); got != "/ipfs/"+second {
		t.Errorf("it leads to %s", got)
	}
	publish(us, "/ipfs/"+third, "--key=blog")
	p.sees(card(blog)+" .sequence", "sequence 2")

	// The history, what of it is here, and the way back.
	p.press(card(blog), "Check now")
	p.sees(card(blog)+" .facts", "Seen at ")
	p.press(card(blog), "History")
	p.sees(card(blog)+" .past li:nth-child(3) .badge", "all of it is here")
	p.press(card(blog)+" .past li:nth-child(3)", "Roll back")
	p.sees("dialog", "All of its content is on this node")
	p.isSound("the dialog of a rollback")
	p.press("dialog", "Cancel")
	p.until(`!document.querySelector("dialog")`)
	if got := us.line("name", "resolve", blog); got != "/ipfs/"+third {
		t.Errorf("without a confirmation it leads to %s", got)
	}
	p.press(card(blog)+" .past li:nth-child(3)", "Roll back")
	p.press("dialog", "Roll back")
	p.sees("dialog", "as sequence 3")
	p.press("dialog", "Done")
	p.sees(card(blog)+" .past", "current")
	p.until(fmt.Sprintf(`document.querySelector(%s)?.title === "/ipfs/%s"`, quote(card(blog)+" .target code"), first))
	if got := us.line("name", "resolve", blog); got != "/ipfs/"+first {
		t.Errorf("rolled back, it leads to %s", got)
	}

	// The site, as the gateway shows it.
	link := evaluate[string](p, find(card(blog)+" a", "Open site")+".href")
	if want := "http://" + blog + ".ipns.localhost:" + us.gateway()[strings.LastIndex(us.gateway(), ":")+1:] + "/"; link != want {
		t.Errorf("the site is at %s, want %s", link, want)
	}
	seen := browser.tab(t, link, "favicon.ico")
	seen.sees("p", "first")

	publish(us, "/ipfs/"+second, "--lifetime=30h")
	us.run("key", "gen", "shop")
	p.sees("h3", "self")
	p.sees("#keys", "shop")
	p.until(widely(".took"))
	p.eval("scrollTo(0, 0); document.activeElement.blur()")
	p.isSound("names and a history")
	p.shoot("light")
	p.looks(wide, tall, true)
	p.shoot("dark")
	p.looks(phoneWide, phoneTall, false)
	p.shoot("phone")
}

// TestPageKeepsKeys makes, renames and removes keys.
func TestPageKeepsKeys(t *testing.T) {
	browser := startBrowser(t)
	us := newNode(t, ours, "ipns")
	us.start()
	p := browser.tab(t, us.webui(), "status of 500")
	p.sees(".notice", "connected to nobody")
	p.press("main", "New key")
	p.fill("Label", "blog")
	p.isSound("the dialog of a new key")
	p.press("dialog", "Make key")
	p.sees("#keys .label", "blog")

	p.press("main", "New key")
	p.fill("Label", "blog")
	p.press("dialog", "Make key")
	p.sees("dialog .error", "already exists")
	p.do(chromedp.KeyEvent("\x1b")) // Escape
	p.until(`!document.querySelector("dialog")`)

	p.press("#keys li:nth-child(2)", "Rename…")
	p.fill("Label", "journal")
	p.press("dialog", "Rename")
	p.sees("#keys .label", "journal")
	p.until(`document.activeElement.id === "new-key"`) // the button that had the focus is gone

	p.press("#keys li:nth-child(2)", "Remove…")
	p.sees("dialog", "nobody can ever publish under this name again")
	p.isSound("the dialog that removes a key")
	if !evaluate[bool](p, find("dialog button", "Remove")+".disabled") {
		t.Error("the key can be removed before its label was typed")
	}
	p.fill("Type the label", "journa")
	if !evaluate[bool](p, find("dialog button", "Remove")+".disabled") {
		t.Error("the key can be removed by another label")
	}
	p.fill("Type the label", "journal")
	p.press("dialog", "Remove")
	p.until(`document.querySelectorAll("#keys li").length === 1`)
	if keys := us.run("key", "ls"); strings.Contains(keys, "journal") {
		t.Errorf("the key is still there: %s", keys)
	}
}

// TestPageAddsFolders adds a folder by choosing it and by dropping it, and publishes both.
func TestPageAddsFolders(t *testing.T) {
	browser := startBrowser(t)
	us := onTestnet(t)
	p := browser.tab(t, us.webui())
	p.sees("#link-text", "Live")

	dir := site(t, "chosen")
	mustDo(t, os.WriteFile(filepath.Join(dir, ".secret"), []byte("hidden"), 0o600))
	mustDo(t, os.WriteFile(filepath.Join(dir, "100% +a&b.txt"), []byte("odd"), 0o600))
	p.do(chromedp.SetUploadFiles("#folder", []string{dir}))
	p.sees("dialog", "5 files")
	p.sees("dialog", "1 hidden file")
	p.isSound("the dialog of an added folder")
	p.choose("new")
	p.fill("Label of the new key", "chosen")
	p.press("dialog", "Add and publish")
	p.sees("dialog", "Announced to")
	p.sees("dialog", "Added 4 files")
	p.press("dialog", "Done")
	p.sees("h3", "chosen")
	want := us.line("add", "-Q", "--only-hash", "--cid-version=1", dir)
	var status struct{ Value string }
	us.query(&status, "name", "status", "--local", "chosen")
	if status.Value != "/ipfs/"+want {
		t.Errorf("the page added %s, the command line makes %s", status.Value, want)
	}

	dropped := site(t, "dropped")
	mustDo(t, os.Mkdir(filepath.Join(dropped, "empty"), 0o700))
	p.drop(dropped)
	p.sees("dialog h2", "Add the folder "+filepath.Base(dropped))
	p.choose("key:self")
	p.press("dialog", "Add and publish")
	p.sees("dialog", "Announced to")
	p.press("dialog", "Done")
	want = us.line("add", "-Q", "--only-hash", "--cid-version=1", dropped)
	p.until(fmt.Sprintf(`[...document.querySelectorAll(".target code")].some((e) => e.title === "/ipfs/%s")`, want))

	// What a name leads to is named before it is replaced.
	p.drop(dir)
	p.choose("key:self")
	p.sees("dialog .note", "It replaces /ipfs/")
	p.press("dialog", "Cancel")

	// Files alone get a folder, and no name if none is wanted.
	before := us.line("name", "resolve")
	p.do(chromedp.SetUploadFiles("#files", []string{filepath.Join(dropped, "index.html")}))
	p.sees("dialog h2", "Add 1 file")
	p.choose("")
	p.press("dialog", "Add")
	p.sees("dialog", "Added 1 file")
	cid := evaluate[string](p, `document.querySelector("dialog code").title`)
	if got := us.run("cat", "/ipfs/"+cid+"/index.html"); !strings.Contains(got, "dropped") || us.line("name", "resolve") != before {
		t.Errorf("a file alone is %q", got)
	}
}
