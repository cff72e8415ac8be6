package interop

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

// httpRecord is a record as it travels by HTTP, with its name.
type httpRecord struct {
	Name string
	Raw  []byte
}

// httpAnswer is what fetch says.
type httpAnswer struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

// keyTypes are those of both sides. Helia itself brings no secp256k1, which the ipns
// package has.
var keyTypes = []struct {
	ours, theirs string
	helia        bool
}{
	{"ed25519", "Ed25519", true},
	{"rsa", "RSA", true},
	{"secp256k1", "secp256k1", false},
}

var forms = []struct {
	name string
	v1   bool
}{{"V1+V2", true}, {"V2", false}}

// relaying starts an ipns daemon that puts what others send it on the DHT, where the
// given Kubo daemons are.
func relaying(t *testing.T, kubos ...*node) *node {
	t.Helper()
	n := newNode(t, ours, "ipns")
	n.run("config", "Gateway.RoutingPuts", "relay")
	n.start()
	join(n, kubos...)
	return n
}

// TestHelia lets the JavaScript clients read and write through our HTTP API. Only by
// us do they reach the DHT, and Kubo.
func TestHelia(t *testing.T) {
	js := startJS(t)
	kubos := startKubos(t, 2)
	us := relaying(t, kubos...)
	server := us.gateway()

	t.Run("reads ours", func(t *testing.T) { heliaReadsOurs(t, js, us, server) })
	t.Run("writes through us", func(t *testing.T) { heliaWrites(t, js, us, kubos[0], server) })
	t.Run("has ECDSA names of its own", func(t *testing.T) { heliasECDSA(t, js, server) })
	t.Run("is refused", func(t *testing.T) { heliaIsRefused(t, js, us, server) })
	t.Run("asks again", func(t *testing.T) { asksAgain(t, js, us, server) })
	t.Run("finds peers", func(t *testing.T) { heliaFindsPeers(t, js, us, kubos[0], server) })
	t.Run("fetches sites", func(t *testing.T) { heliaFetches(t, js, us, kubos[0], server) })
}

func heliaReadsOurs(t *testing.T, js *jsClient, us *node, server string) {
	for _, kt := range keyTypes {
		for _, form := range forms {
			label := kt.ours + " " + form.name
			t.Run(label, func(t *testing.T) {
				name := us.line("key", "gen", "--type", kt.ours, label)
				v1 := "--v1compat=false"
				if form.v1 {
					v1 = "--v1compat"
				}
				publish(us, "/ipfs/bafkqaaa", "--resolve=false", "--key", label)
				publish(us, "/ipfs/bafkqaaa/b", "--resolve=false", "--key", label, v1)
				raw := us.run("name", "get", name)
				var got []byte
				js.call(t, &got, "get", args{"server": server, "name": name})
				if string(got) != raw {
					t.Errorf("it gets other bytes than ipns signed")
				}
				var read struct {
					Value    string
					Sequence int
					V1       bool
				}
				js.call(t, &read, "validate", args{"name": name, "raw": got})
				if read.Value != "/ipfs/bafkqaaa/b" || read.Sequence != 1 || read.V1 != form.v1 {
					t.Errorf("js-ipns reads %+v", read)
				}
				var values []string
				err := js.try(t, &values, "resolve", args{"server": server, "name": name})
				switch {
				case !kt.helia:
					if err == nil {
						t.Errorf("Helia resolves %s by now: take it from the exceptions", kt.ours)
					}
				case err != nil || !slices.Equal(values, []string{"/ipfs/bafkqaaa/b"}):
					t.Errorf("Helia resolves it to %q, %v", values, err)
				}
			})
		}
	}
}

func heliaWrites(t *testing.T, js *jsClient, us, kubo *node, server string) {
	for _, kt := range keyTypes {
		for _, form := range forms {
			t.Run(kt.theirs+" "+form.name, func(t *testing.T) {
				var rec httpRecord
				js.call(t, &rec, "sign", args{"type": kt.theirs, "value": "/ipfs/bafkqaaa", "sequence": 3, "v1Compatible": form.v1})
				js.call(t, nil, "put", args{"server": server, "name": rec.Name, "raw": rec.Raw})
				arrived(t, rec.Name, 3, "/ipfs/bafkqaaa", us, kubo)
				if kubo.run("name", "get", rec.Name) != string(rec.Raw) {
					t.Errorf("Kubo gets other bytes")
				}
			})
		}
	}
	for _, kind := range []string{"Ed25519", "RSA"} {
		for _, form := range forms {
			label := kind + " " + form.name
			t.Run("Helia "+label, func(t *testing.T) {
				var name, again string
				publish := args{"server": server, "label": label, "type": kind, "value": "/ipfs/bafkqaaa", "v1Compatible": form.v1}
				js.call(t, &name, "publish", publish)
				arrived(t, name, 1, "/ipfs/bafkqaaa", us, kubo)
				publish["type"], publish["value"] = nil, "/ipfs/bafkqaaa/b"
				js.call(t, &again, "publish", publish)
				arrived(t, again, 2, "/ipfs/bafkqaaa/b", us, kubo)
				if again != name {
					t.Errorf("%s becomes %s", name, again)
				}
			})
		}
	}
}

// Helia names an ECDSA key by the whole of it, which it also encodes in its own way.
// Names of keys beyond 42 bytes are hashes, and Kubo refuses it as we do.
func heliasECDSA(t *testing.T, js *jsClient, server string) {
	err := js.try(t, nil, "publish", args{"server": server, "label": "ecdsa", "type": "ECDSA", "value": "/ipfs/bafkqaaa", "v1Compatible": true})
	if err == nil || err.Error() != putRefused {
		t.Errorf("publish: %v, want %s", err, putRefused)
	}
}

// putRefused is what its client says of all statuses but 200.
const putRefused = "BadResponseError: PUT ipns response had status other than 200"

// arrived fails the test unless Kubo has the record itself, and both resolve the name.
func arrived(t *testing.T, name string, sequence uint64, value string, us, kubo *node) {
	t.Helper()
	if got, ok := holds(kubo, name); !ok || got != sequence {
		t.Errorf("Kubo holds sequence %d, %v; want %d", got, ok, sequence)
	}
	resolves(us, name, value)
	resolves(kubo, name, value)
}

func heliaIsRefused(t *testing.T, js *jsClient, us *node, server string) {
	put := func(what string, rec httpRecord, want string) {
		t.Helper()
		got := ""
		if err := js.try(t, nil, "put", args{"server": server, "name": rec.Name, "raw": rec.Raw}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	var rec, other httpRecord
	js.call(t, &rec, "sign", args{"type": "Ed25519", "value": "/ipfs/bafkqaaa", "sequence": 1, "v1Compatible": true})
	js.call(t, &other, "sign", args{"type": "Ed25519", "value": "/ipfs/bafkqaaa", "sequence": 1, "v1Compatible": true})
	none := args{"server": server, "name": rec.Name}
	for _, function := range []string{"get", "resolve"} {
		if err := js.try(t, nil, function, none); err == nil || !strings.Contains(err.Error(), "NotFoundError") {
			t.Errorf("%s of a name without a record: %v", function, err)
		}
	}
	put("the record of another name", httpRecord{rec.Name, other.Raw}, putRefused)
	put("a torn record", httpRecord{rec.Name, rec.Raw[:len(rec.Raw)-1]}, putRefused)
	put("a record that is too long", httpRecord{rec.Name, append(slices.Clip(rec.Raw), make([]byte, 11_000)...)}, putRefused)
	put("a record", rec, "")
	put("the same again", rec, "")

	name := us.line("key", "gen", "refuses")
	sign := func(value string) httpRecord {
		publish(us, value, "--resolve=false", "--key", "refuses")
		return httpRecord{name, []byte(us.run("name", "get", name))}
	}
	older, newer := sign("/ipfs/bafkqaaa"), sign("/ipfs/bafkqaaa/b")
	put("an older record", older, putRefused)
	var got []byte
	js.call(t, &got, "get", args{"server": server, "name": name})
	if !bytes.Equal(got, newer.Raw) {
		t.Errorf("an older record is served after a PUT of it")
	}
}

func asksAgain(t *testing.T, js *jsClient, us *node, server string) {
	name := us.line("key", "gen", "asked again")
	url := server + "/routing/v1/ipns/" + name
	fetch := func(method string, headers map[string]string) httpAnswer {
		t.Helper()
		var a httpAnswer
		js.call(t, &a, "fetch", args{"url": url, "method": method, "headers": headers})
		return a
	}
	publish(us, "/ipfs/bafkqaaa", "--resolve=false", "--key", "asked again", "--ttl", "30s")
	first := fetch("GET", map[string]string{"Accept": "application/vnd.ipfs.ipns-record"})
	etag := first.Headers["etag"]
	if first.Status != 200 || len(first.Body) == 0 || !strings.HasPrefix(etag, `"`) || !strings.HasPrefix(first.Headers["cache-control"], "public, max-age=30,") {
		t.Errorf("GET: %d, %d bytes, %q", first.Status, len(first.Body), first.Headers)
	}
	same := fetch("GET", map[string]string{"If-None-Match": etag})
	if same.Status != 304 || len(same.Body) != 0 || same.Headers["etag"] != etag {
		t.Errorf("GET of what did not change: %d, %d bytes, %q", same.Status, len(same.Body), same.Headers)
	}
	if head := fetch("HEAD", nil); head.Status != 200 || len(head.Body) != 0 || head.Headers["etag"] != etag {
		t.Errorf("HEAD: %d, %q", head.Status, head.Headers)
	}
	publish(us, "/ipfs/bafkqaaa/b", "--resolve=false", "--key", "asked again")
	if changed := fetch("GET", map[string]string{"If-None-Match": etag}); changed.Status != 200 || changed.Headers["etag"] == etag || bytes.Equal(changed.Body, first.Body) {
		t.Errorf("GET of what did change: %d, %q", changed.Status, changed.Headers)
	}
	pre := fetch("OPTIONS", map[string]string{"Origin": "https://example.com", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"})
	methods := strings.Split(pre.Headers["access-control-allow-methods"], ", ")
	if pre.Status != 204 || pre.Headers["access-control-allow-origin"] != "*" || !slices.Contains(methods, "PUT") || !strings.Contains(strings.ToLower(pre.Headers["access-control-allow-headers"]), "content-type") {
		t.Errorf("preflight: %d %q", pre.Status, pre.Headers)
	}
}

// foundPeer is a peer as the client reads it.
type foundPeer struct {
	ID    string
	Addrs []string
}

func heliaFindsPeers(t *testing.T, js *jsClient, us, kubo *node, server string) {
	root := add(kubo, site(t, "where is it"))
	kubo.run("routing", "provide", root)
	id := kubo.line("key", "list", "-l") // its name is its peer id, in base36
	id, _, _ = strings.Cut(id, " ")
	for _, ask := range []struct {
		function string
		args     args
	}{
		{"providers", args{"server": server, "cid": root}},
		{"peer", args{"server": server, "name": id}},
		{"closest", args{"server": server, "cid": root}},
	} {
		var found []foundPeer
		js.call(t, &found, ask.function, ask.args)
		i := slices.IndexFunc(found, func(p foundPeer) bool { return p.ID == id })
		if i < 0 || len(found[i].Addrs) == 0 {
			t.Errorf("%s finds %+v, want %s with its addresses", ask.function, found, id)
			continue
		}
		for _, a := range found[i].Addrs {
			if _, err := multiaddr.NewMultiaddr(a); err != nil {
				t.Errorf("%s: %v", ask.function, err)
			}
		}
	}
}

func heliaFetches(t *testing.T, js *jsClient, us, kubo *node, server string) {
	for _, owner := range []*node{us, kubo} {
		t.Run("of "+owner.name, func(t *testing.T) {
			name := key(owner, "fetched")
			for _, front := range []string{"first", "second"} {
				dir := site(t, front+" of "+owner.name)
				publish(owner, add(owner, dir), "--key", "fetched", "--ttl", "0s")
				var got httpAnswer
				js.call(t, &got, "verifiedFetch", args{"server": server, "resource": "ipns://" + name + "/index.html"})
				if got.Status != 200 || string(got.Body) != frontPage(t, dir) {
					t.Errorf("ipns://%s/index.html: %d %q", name, got.Status, got.Body)
				}
				js.call(t, &got, "verifiedFetch", args{"server": server, "resource": "ipns://" + name, "accept": "application/vnd.ipfs.ipns-record"})
				if got.Status != 200 || string(got.Body) != owner.run("name", "get", name) {
					t.Errorf("the record of ipns://%s: %d, %d bytes", name, got.Status, len(got.Body))
				}
			}
		})
	}
}
