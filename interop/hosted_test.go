package interop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/interop/js"
)

// A hoster is a daemon of ours with the doors of hosting, and a tenant that may do everything.
type hoster struct {
	*node
	url    string
	token  string
	secret string // file of the passphrase of its keys
}

// newHoster starts a daemon that hosts names by a policy. Its keys are encrypted: only then it
// keeps those of tenants.
func newHoster(t *testing.T, policy string) *hoster {
	t.Helper()
	h := &hoster{node: newNode(t, ours, "hoster")}
	h.run("config", "Addresses.Hosting", "/ip4/127.0.0.1/tcp/0")
	h.run("config", "Hosting.Policy", policy)
	h.secret = filepath.Join(t.TempDir(), "passphrase")
	mustDo(t, os.WriteFile(h.secret, []byte("correct horse battery staple\n"), 0o600))
	h.serve()
	h.token = strings.TrimSpace(h.run("host", "token", "create", "--tenant=ann", "--scope=put", "--scope=publish:*"))
	h.run("host", "tenant", "set", "--pinned-bytes=1MB", "ann")
	return h
}

// serve starts the daemon and finds out where it hosts.
func (h *hoster) serve() {
	h.t.Helper()
	h.start("--passphrase-file=" + h.secret)
	found := hostingAddress.FindStringSubmatch(h.daemon.log.String())
	if found == nil {
		h.t.Fatalf("the daemon does not say where it hosts:\n%s", h.daemon.log)
	}
	addr, err := ma.NewMultiaddr(found[1])
	mustDo(h.t, err)
	net, err := manet.ToNetAddr(addr)
	mustDo(h.t, err)
	h.url = "http://" + net.String() + "/"
}

var hostingAddress = regexp.MustCompile(`Hosting server listening on (\S+)`)

// TestW3NameClient lets the client of the w3name service publish, resolve and watch here: only
// the URL is another.
func TestW3NameClient(t *testing.T) {
	h := newHoster(t, "open") // the client has no token
	c := startClient(t, js.Need(t, "js/hosted"))
	var name string
	c.call(t, &name, "w3Create", nil)
	var sequence uint64
	c.call(t, &sequence, "w3Publish", args{"server": h.url, "name": name, "value": "/ipfs/" + helloCID})
	var got struct {
		Value    string
		Sequence uint64
	}
	c.call(t, &got, "w3Resolve", args{"server": h.url, "name": name})
	if got.Value != "/ipfs/"+helloCID || got.Sequence != 0 {
		t.Errorf("%+v", got)
	}
	var told struct{ Key, Value, Record string }
	c.call(t, &told, "w3Watch", args{"server": h.url, "name": name, "value": "/ipfs/" + otherCID, "after": 0})
	if told.Key != name || told.Value != "/ipfs/"+otherCID || told.Record == "" {
		t.Errorf("%+v", told)
	}
	c.call(t, &got, "w3Resolve", args{"server": h.url, "name": name})
	if got.Value != "/ipfs/"+otherCID || got.Sequence != 1 {
		t.Errorf("%+v", got)
	}
	// What the client says when it is late is what it says of the service.
	err := c.try(t, &sequence, "w3Publish", args{"server": h.url, "name": name, "value": "/ipfs/" + helloCID})
	if err == nil || !strings.Contains(err.Error(), "invalid record: the record is outdated.") {
		t.Errorf("an outdated record: %v", err)
	}
	var none string
	c.call(t, &none, "w3Create", nil)
	if err := c.try(t, &got, "w3Resolve", args{"server": h.url, "name": none}); err == nil || !strings.Contains(err.Error(), "record not found for key: "+none) {
		t.Errorf("a name that nobody has put: %v", err)
	}
	if list := h.run("host", "list"); !strings.Contains(list, name) {
		t.Errorf("host list:\n%s", list)
	}
}

// TestFilebaseClient lets Filebase's client make names and pins. It takes another server only in
// its own tests.
func TestFilebaseClient(t *testing.T) {
	h := newHoster(t, "token")
	join(h.node, startKubos(t, 1)[0]) // whom to ask what was published under a key that is imported
	hello := h.line("add", "--quieter", "--pin=false", "--cid-version=1", writeFile(t, helloText))
	c := startClient(t, js.Need(t, "js/hosted"), "NODE_ENV=test", "TEST_NAME_ENDPOINT="+strings.TrimSuffix(h.url, "/"))
	names := func(into any, method string, a ...any) error {
		return c.try(t, into, "names", args{"key": "ann", "secret": h.token, "method": method, "args": a})
	}
	type object struct {
		Label, NetworkKey, CID string
		Network_key            string
		Sequence               *uint64
		Enabled                bool
	}
	var o object
	mustDo(t, names(&o, "create", "blog", hello))
	if o.Label != "blog" || o.CID != hello || !o.Enabled || *o.Sequence != 0 {
		t.Errorf("%+v", o)
	}
	name := o.Network_key
	var done bool
	mustDo(t, names(&done, "update", "blog", otherCID))
	mustDo(t, names(&o, "get", "blog"))
	if !done || o.CID != otherCID || *o.Sequence != 1 {
		t.Errorf("%+v", o)
	}
	if got := h.line("name", "resolve", "--offline", name); got != "/ipfs/"+otherCID {
		t.Errorf("it resolves to %s", got)
	}
	mustDo(t, names(&done, "toggle", "blog", false))
	mustDo(t, names(&o, "get", "blog"))
	if o.Enabled {
		t.Errorf("%+v", o)
	}
	mustDo(t, names(&done, "toggle", "blog", true))

	var own, key string
	c.call(t, &own, "w3Create", nil)
	c.call(t, &key, "w3Key", args{"name": own})
	mustDo(t, names(&o, "import", "mine", hello, key))
	if o.Network_key != own {
		t.Errorf("%+v", o)
	}
	var list []object
	mustDo(t, names(&list, "list"))
	if len(list) != 2 {
		t.Errorf("%+v", list)
	}
	mustDo(t, names(&done, "delete", "blog"))
	var gone any
	mustDo(t, names(&gone, "get", "blog"))
	if gone != false {
		t.Errorf("after the delete: %v", gone)
	}
	if err := names(&o, "create", "mine", hello); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a label twice: %v", err)
	}
	keys, err := os.ReadDir(filepath.Join(h.repo, "keystore"))
	mustDo(t, err)
	for _, f := range keys {
		b, err := os.ReadFile(filepath.Join(h.repo, "keystore", f.Name()))
		if raw, _ := base64.StdEncoding.DecodeString(key); err != nil || strings.Contains(string(b), string(raw[4:36])) {
			t.Errorf("%s is in clear: %v", f.Name(), err)
		}
	}

	pins := func(into any, method string, a ...any) error {
		return c.try(t, into, "pins", args{"key": "ann", "secret": h.token, "method": method, "args": a})
	}
	var pin struct {
		Requestid, Status string
		Pin               struct{ CID, Name string }
	}
	mustDo(t, pins(&pin, "create", "site", hello, map[string]string{"app": "x"}))
	for pin.Status != "pinned" {
		mustDo(t, pins(&pin, "get", pin.Requestid))
		if pin.Status == "failed" {
			t.Fatalf("%+v", pin)
		}
	}
	mustDo(t, pins(&pin, "replace", pin.Requestid, hello, args{"name": "other"}))
	mustDo(t, pins(&done, "delete", pin.Requestid))
	var all struct{ Count int }
	mustDo(t, pins(&all, "list", args{"limit": 10, "status": "queued,pinning,pinned,failed"}))
	if all.Count != 0 {
		t.Errorf("%d pins are left", all.Count)
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	mustDo(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// TestRemotePins has content of a Kubo daemon, and of ours, pinned at our doors by the command
// pin remote of each. The two are connected by what the service and the client tell each other.
func TestRemotePins(t *testing.T) {
	for _, p := range []*program{kubo, ours} {
		t.Run(p.name, func(t *testing.T) {
			h, n := newHoster(t, "token"), newNode(t, p, "client")
			n.start()
			c := n.line("add", "--quieter", "--cid-version=1", writeFile(t, "only "+p.name+" has this"))
			big := n.line("add", "--quieter", "--cid-version=1", writeFile(t, string(bytesOf(2_000_000))))
			n.run("pin", "remote", "service", "add", "box", h.url, h.token)
			n.run("pin", "remote", "add", "--service=box", "--name=site", c)
			if got := n.run("pin", "remote", "ls", "--service=box", "--name=site"); !strings.Contains(got, c) || !strings.Contains(got, "pinned") {
				t.Errorf("ls: %q", got)
			}
			if got := h.run("pin", "ls", "--type=recursive", "--names"); !strings.Contains(got, c) || !strings.Contains(got, "hosted:ann") {
				t.Errorf("pins of the hoster:\n%s", got)
			}
			h.run("repo", "gc")
			if got := h.run("cat", "--offline", c); got != "only "+p.name+" has this" {
				t.Errorf("the hoster has %q", got)
			}
			// 1 MB are allowed.
			if r := n.try(nil, "pin", "remote", "add", "--service=box", big); r.code == 0 || !strings.Contains(r.stderr, "failed to pin") {
				t.Errorf("too much: %+v", r)
			}
			if got := n.run("pin", "remote", "ls", "--service=box", "--status=failed"); !strings.Contains(got, big) {
				t.Errorf("what failed: %q", got)
			}
			n.run("pin", "remote", "rm", "--service=box", "--name=site", "--force")
			if got := n.run("pin", "remote", "ls", "--service=box"); strings.Contains(got, c) {
				t.Errorf("ls after rm: %q", got)
			}
			// A service without token, and one that does not exist here.
			n.run("pin", "remote", "service", "add", "none", h.url, "wrong")
			if r := n.try(nil, "pin", "remote", "ls", "--service=none"); r.code == 0 || !strings.Contains(r.stdout+r.stderr, "token") {
				t.Errorf("with a wrong token: %+v", r)
			}
		})
	}
}

// pins returns how many pins of the tenant a query selects.
func (h *hoster) pins(query string) int {
	h.t.Helper()
	var list struct{ Count int }
	h.ask("GET", "pins"+query, nil, &list)
	return list.Count
}

// ask sends a request of the tenant.
func (h *hoster) ask(method, path string, body, into any) {
	h.t.Helper()
	b, err := json.Marshal(body)
	mustDo(h.t, err)
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewReader(b))
	mustDo(h.t, err)
	r.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(r)
	mustDo(h.t, err)
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	mustDo(h.t, json.NewDecoder(resp.Body).Decode(into))
}

// TestPinsSurviveAKill has a hoster killed while it looks for content that nobody has yet.
func TestPinsSurviveAKill(t *testing.T) {
	h, n := newHoster(t, "token"), newNode(t, ours, "client")
	c := n.line("add", "--quieter", "--cid-version=1", writeFile(t, "nobody has this yet"))
	var pin struct{ RequestID, Status string }
	h.ask("POST", "pins", map[string]string{"cid": c}, &pin)
	h.kill()
	h.serve()
	h.ask("GET", "pins/"+pin.RequestID, nil, &pin)
	if pin.Status != "queued" && pin.Status != "pinning" {
		t.Errorf("after the kill it is %s", pin.Status)
	}
	n.start()
	join(h.node, n)
	for pin.Status != "pinned" {
		if h.ask("GET", "pins/"+pin.RequestID, nil, &pin); pin.Status == "failed" {
			t.Fatalf("%+v", pin)
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.kill()
	h.serve()
	if got := h.run("cat", "--offline", c); got != "nobody has this yet" || h.pins("") != 1 {
		t.Errorf("after the second kill: %q, %d pins", got, h.pins(""))
	}
}

// TestOmnipin has omnipin pin at our doors. npm does not have it everywhere: $OMNIPIN is its
// dist/index.js, or else it is the omnipin on the PATH.
func TestOmnipin(t *testing.T) {
	program := []string{"omnipin"}
	if path := os.Getenv("OMNIPIN"); path != "" {
		program = []string{js.Need(t, "js/hosted").Node, path}
	} else if _, err := exec.LookPath("omnipin"); err != nil {
		t.Skip("omnipin is not installed: set OMNIPIN to its dist/index.js")
	}
	h := newHoster(t, "token")
	hello := h.line("add", "--quieter", "--pin=false", "--cid-version=1", writeFile(t, helloText))
	omnipin := func(a ...string) (string, error) {
		cmd := exec.Command(program[0], append(program[1:], a...)...)
		cmd.Env = append(os.Environ(), "OMNIPIN_SPEC_URL="+strings.TrimSuffix(h.url, "/"), "OMNIPIN_SPEC_TOKEN="+h.token)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := omnipin("pin", hello, "--strict"); err != nil {
		t.Fatalf("pin: %v\n%s", err, out)
	}
	for h.pins("?cid="+hello) == 0 {
		time.Sleep(100 * time.Millisecond)
	}
	if out, err := omnipin("status", hello); err != nil || !strings.Contains(out, "pinned") {
		t.Errorf("status: %v\n%s", err, out)
	}
	if out, err := omnipin("unpin", hello); err != nil {
		t.Errorf("unpin: %v\n%s", err, out)
	}
}
