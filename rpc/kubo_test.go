package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// kubosOptions are the options that the commands of Kubo 0.43 have of their own,
// with their defaults, for the commands that are here too.
var kubosOptions = map[string]string{
	"version":      "number= commit= repo= all=",
	"id":           "format= peerid-base=b58mh",
	"config":       "bool= json= expand-auto=",
	"config/show":  "expand-auto=",
	"shutdown":     "",
	"repo/verify":  "drop= heal= heal-timeout=30s",
	"name/publish": "key=self resolve=true lifetime= ttl= quieter= v1compat=true allow-offline= allow-delegated= sequence= ipns-base=base36",
	"name/resolve": "recursive=true nocache= dht-record-count=16 dht-timeout=1m0s stream=",
	"name/get":     "",
	"name/put":     "force= allow-offline= allow-delegated= quiet=",
	"name/inspect": "verify= dump=true",

	"name/pubsub/state":  "",
	"name/pubsub/subs":   "ipns-base=base36",
	"name/pubsub/cancel": "",

	"routing/get":     "verbose=",
	"routing/put":     "allow-offline= verbose=",
	"routing/provide": "verbose= recursive=",

	"key/gen":    "type=ed25519 size= ipns-base=base36",
	"key/list":   "l= ipns-base=base36",
	"key/ls":     "l= ipns-base=base36",
	"key/import": "format=libp2p-protobuf-cleartext allow-any-key-type=false ipns-base=base36",
	"key/rename": "force= ipns-base=base36",
	"key/rm":     "l= ipns-base=base36",

	"add": "recursive= dereference-args= dereference-symlinks= stdin-name= hidden= ignore= ignore-rules-path= " +
		"empty-dirs=true quiet= quieter= silent= progress= only-hash= wrap-with-directory= pin=true pin-name= to-files= " +
		"cid-version= hash=sha2-256 raw-leaves= chunker=size-262144 trickle= max-file-links=174 max-directory-links=0 " +
		"max-hamt-fanout=256 inline= inline-limit=32 nocopy= fscache= preserve-mode= preserve-mtime= mode= mtime= " +
		"mtime-nsecs= fast-provide-root=true fast-provide-dag= fast-provide-wait=",
	"cat":     "offset= length= progress=",
	"pin/add": "recursive=true name= progress= fast-provide-root=true fast-provide-dag= fast-provide-wait=",
	"pin/rm":  "recursive=true",
	"pin/ls":  "type=all quiet= name= stream= names=",

	"bootstrap":             "",
	"bootstrap/list":        "expand-auto=",
	"bootstrap/add":         "",
	"bootstrap/add/default": "",
	"bootstrap/rm":          "all=",
	"bootstrap/rm/all":      "",

	"swarm/connect":      "",
	"swarm/peers":        "verbose= streams= latency= direction= identify=",
	"swarm/addrs":        "",
	"swarm/addrs/local":  "id=",
	"swarm/addrs/listen": "",
}

// harmless are the options of Kubo's that a command may ignore.
var harmless = []string{
	// They are for the command line, which sends what they select.
	"recursive", "dereference-args", "dereference-symlinks", "stdin-name", "hidden", "ignore", "ignore-rules-path",
	// They are about what a terminal shows, or when something is done that is
	// done in any case.
	"progress", "verbose", "fast-provide-root",
}

// requests are those of all commands, by path.
func requests(t *testing.T) map[string]any {
	byMethod := map[string]string{
		"Version": "version", "ID": "id", "Config": "config", "ConfigShow": "config/show", "Shutdown": "shutdown",
		"Cat": "cat", "Add": "add", "Provide": "routing/provide", "PinList": "pin/ls", "PinRemove": "pin/rm", "KeyRemove": "key/rm", "BootstrapRemove": "bootstrap/rm",
		"PubsubState": "name/pubsub/state", "PubsubSubs": "name/pubsub/subs", "PubsubCancel": "name/pubsub/cancel",
		"SwarmAddrsLocal": "swarm/addrs/local", "SwarmAddrsListen": "swarm/addrs/listen",
	}
	all := map[string]any{}
	for method := range reflect.TypeFor[Node]().Methods() {
		path, ok := byMethod[method.Name]
		if !ok { // NamePublish is name/publish
			i := strings.IndexFunc(method.Name[1:], func(r rune) bool { return r < 'a' }) + 1
			path = strings.ToLower(method.Name[:i] + "/" + method.Name[i:])
		}
		if _, ok := routes[path]; !ok {
			t.Errorf("no command %s for %s", path, method.Name)
		}
		all[path] = reflect.New(method.Type.In(1)).Interface()
	}
	for second, first := range secondNames {
		all[second] = all[first]
	}
	return all
}

// No option of Kubo's is ignored in silence: each is one of ours, or refused, or
// changes nothing.
func TestEveryOptionOfKubosIsKnown(t *testing.T) {
	reqs := requests(t)
	for path, options := range kubosOptions {
		req, ok := reqs[path]
		if !ok {
			t.Errorf("%s is no command", path)
			continue
		}
		delete(reqs, path)
		for item := range strings.FieldsSeq(options) {
			name, def, _ := strings.Cut(item, "=")
			ours := slices.ContainsFunc(Options(req), func(o *Option) bool { return !o.Arg && o.Name == name })
			i := slices.IndexFunc(AbsentOptions(req), func(a Absent) bool { return a.Name == name })
			switch {
			case ours && i >= 0:
				t.Errorf("%s: %s is both there and absent", path, name)
			case ours:
			case i < 0 && !slices.Contains(harmless, name):
				t.Errorf("%s: %s of Kubo's is ignored", path, name)
			case i >= 0 && def != "" && AbsentOptions(req)[i].Check(def) != nil:
				t.Errorf("%s: %s=%s, the default, is refused", path, name, def)
			}
		}
	}
	for path := range reqs {
		if !slices.Contains([]string{"name/log", "name/rollback", "name/status", "republish/status"}, path) {
			t.Errorf("%s: its options in Kubo are not listed", path)
		}
	}
}

func TestAbsentOptionsAreRefusedByName(t *testing.T) {
	for query, option := range map[string]string{
		"hash=blake2b-256": "hash", "trickle=true": "trickle", "t=1": "trickle", "trickle": "trickle", "inline=true": "inline",
		"mode=0644": "mode", "mode=": "mode", "empty-dirs=false": "empty-dirs", "E=0": "empty-dirs", "to-files=/x": "to-files",
		"hash=sha2-256&hash=sha3-512": "hash", "trickle=maybe": "trickle", "cid-base=base32": "cid-base",
	} {
		q, _ := url.ParseQuery(query)
		err := decode(q, new(AddRequest))
		var e *Error
		if !errors.As(err, &e) || !e.Client || !strings.Contains(err.Error(), `"`+option+`"`) {
			t.Errorf("%s: %v, want a refusal of %s", query, err, option)
		}
	}
	// Kubo's defaults, as its clients send them, what Kubo does not know, and what
	// changes nothing.
	q, _ := url.ParseQuery("hash=sha2-256&trickle=false&t=0&inline=false&inline-limit=32&nocopy=false&fscache=false" +
		"&empty-dirs=true&E&fast-provide-root=false&stream-channels=true&progress=true&sparkle=true&recursive=true")
	if err := decode(q, new(AddRequest)); err != nil {
		t.Error(err)
	}
}

func TestSurplusArgumentsAndValuesAreRefused(t *testing.T) {
	for query, req := range map[string]any{
		"arg=a&arg=b":                 new(KeyGenRequest),
		"arg=/ipfs/x&key=a&key=b":     new(PublishRequest),
		"arg=/ipfs/x&ttl=1s&ttl=1h":   new(PublishRequest),
		"arg=a&arg=b&arg=c":           new(ConfigRequest),
		"arg=x":                       new(VersionRequest),
		"arg=/ipfs/x&arg=/ipfs/other": new(CatRequest),
	} {
		q, _ := url.ParseQuery(query)
		if err := decode(q, req); err == nil {
			t.Errorf("%s: no error", query)
		}
	}
}

// A request that is to be kept from the network is, or it is refused; one for a
// node without a network needs nothing of the kind.
func TestOfflineIsHonouredOrRefused(t *testing.T) {
	for _, c := range []struct {
		path   string
		node   bool // has no network
		status int
	}{
		{"name/resolve?arg=x&offline=true", false, http.StatusOK},
		{"name/resolve?arg=x&L", false, http.StatusOK},
		{"cat?arg=x&offline=true", false, http.StatusBadRequest},
		{"cat?arg=x&local", false, http.StatusBadRequest},
		{"cat?arg=x&offline=false", false, http.StatusOK},
		{"cat?arg=x&offline=true", true, http.StatusOK},
	} {
		n := &offlineNode{}
		h := &Handler{Node: n, Offline: c.node}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+Prefix+c.path, nil)
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
		if asks := strings.HasPrefix(c.path, "name/resolve"); asks && !n.offline {
			t.Errorf("%s: the node was not told", c.path)
		}
	}
}

// offlineNode notes whether a request is to be kept from the network.
type offlineNode struct {
	Node
	offline bool
}

func (n *offlineNode) Cat(context.Context, CatRequest) (Stream, error) {
	return Stream{ReadCloser: io.NopCloser(strings.NewReader("x"))}, nil
}

func (n *offlineNode) NameResolve(ctx context.Context, _ ResolveRequest) iter.Seq2[Resolved, error] {
	n.offline = IsOffline(ctx)
	return one(Resolved{Path: "/ipfs/x"}, nil)
}
