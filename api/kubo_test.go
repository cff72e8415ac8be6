package api

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/request"
	"github.com/goipns/ipns/rpc"
)

// kubosOptions are the options that the commands of Kubo 0.43 have of their own,
// with their defaults, for the commands that are here too.
var kubosOptions = map[string]string{
	"version":        "number= commit= repo= all=",
	"version/deps":   "",
	"id":             "format= peerid-base=b58mh",
	"config":         "bool= json= expand-auto=",
	"config/show":    "expand-auto=",
	"config/replace": "",
	"commands":       "flags=",
	"shutdown":       "",
	"repo/verify":    "drop= heal= heal-timeout=30s",
	"repo/gc":        "stream-errors= quiet= silent=",
	"repo/stat":      "size-only= human=",
	"stats/repo":     "size-only= human=",
	"repo/version":   "quiet=",
	"repo/ls":        "",
	"name/publish":   "key=self resolve=true lifetime= ttl= quieter= v1compat=true allow-offline= allow-delegated= sequence= ipns-base=base36",
	"name/resolve":   "recursive=true nocache= dht-record-count=16 dht-timeout=1m0s stream=",
	"name/get":       "",
	"name/put":       "force= allow-offline= allow-delegated= quiet=",
	"name/inspect":   "verify= dump=true",

	"config/profile/apply": "dry-run=",

	"name/pubsub/state":  "",
	"name/pubsub/subs":   "ipns-base=base36",
	"name/pubsub/cancel": "",

	"routing/get":     "verbose=",
	"routing/put":     "allow-offline= verbose=",
	"routing/provide": "verbose= recursive=",

	"routing/findpeer":   "verbose=",
	"routing/findprovs":  "verbose= num-providers=20",
	"routing/reprovide":  "",
	"bitswap/reprovide":  "",
	"dht/query":          "verbose=",
	"provide/once":       "recursive=",
	"provide/clear":      "quiet=",
	"provide/stat":       provideStatOptions,
	"stats/provide":      provideStatOptions,
	"stats/reprovide":    provideStatOptions,
	"stats/bw":           "peer= proto= poll= interval=1s",
	"stats/dht":          "",
	"stats/bitswap":      "verbose= human=",
	"bitswap/stat":       "verbose= human=",
	"bitswap/wantlist":   "peer=",
	"bitswap/ledger":     "",
	"ping":               "count=10",
	"log/level":          "",
	"log/ls":             "",
	"log/tail":           "log-level=",
	"diag/cmds":          "verbose=",
	"diag/cmds/clear":    "",
	"diag/cmds/set-time": "",
	"diag/sys":           "",
	"diag/profile":       "output= collectors=goroutines-stack,goroutines-pprof,version,heap,allocs,bin,cpu,mutex,block,trace profile-time=30s mutex-profile-fraction=4 block-profile-rate=1ms",

	"key/gen":    "type=ed25519 size= ipns-base=base36",
	"key/list":   "l= ipns-base=base36",
	"key/ls":     "l= ipns-base=base36",
	"key/import": "format= allow-any-key-type=false ipns-base=base36",
	"key/rename": "force= ipns-base=base36",
	"key/rm":     "l= ipns-base=base36",
	"key/sign":   "key= ipns-base=base36",
	"key/verify": "key= signature= ipns-base=base36",

	"add": "recursive= dereference-args= dereference-symlinks= stdin-name= hidden= ignore= ignore-rules-path= " +
		"empty-dirs=true quiet= quieter= silent= progress= only-hash= wrap-with-directory= pin=true pin-name= to-files= " +
		"cid-version= hash=sha2-256 raw-leaves= chunker=size-262144 trickle= max-file-links=174 max-directory-links=0 " +
		"max-hamt-fanout=256 inline= inline-limit=32 nocopy= fscache= preserve-mode= preserve-mtime= mode= mtime= " +
		"mtime-nsecs= fast-provide-root=true fast-provide-dag= fast-provide-wait=",
	"cat":     "offset= length= progress=",
	"get":     "output= archive= compress= compression-level= progress=",
	"ls":      "headers= resolve-type=true size=true stream= long=",
	"resolve": "recursive=true dht-record-count= dht-timeout=",

	"refs":       "format=<dst> edges= unique= recursive= max-depth=-1",
	"refs/local": "",
	"files/stat": "format= hash= size= with-local=",
	"files/ls":   "long= U=",

	"pin/add":    "recursive=true name= progress= fast-provide-root=true fast-provide-dag= fast-provide-wait=",
	"pin/rm":     "recursive=true",
	"pin/update": "unpin=true fast-provide-root= fast-provide-dag= fast-provide-wait=",
	"pin/verify": "verbose= quiet=",

	"pin/remote/add":         "service= name= background=false",
	"pin/remote/ls":          "service= name= cid= status=",
	"pin/remote/rm":          "service= name= cid= status= force=false",
	"pin/remote/service/add": "",
	"pin/remote/service/ls":  "stat=false",
	"pin/remote/service/rm":  "",

	"pin/ls": "type=all quiet= name= stream= names=",

	"block/get":  "",
	"block/put":  "cid-codec=raw mhtype= mhlen=-1 pin=false allow-big-block=false format=",
	"block/stat": "",
	"block/rm":   "force= quiet=",

	"dag/get":     "output-codec=dag-json",
	"dag/put":     "store-codec=dag-cbor input-codec=dag-json pin= hash= allow-big-block=false",
	"dag/resolve": "",
	"dag/stat":    "progress=",
	"dag/import": "pin-roots= local-only= silent= stats= fast-provide-root= fast-provide-dag= fast-provide-wait= " +
		"allow-big-block=false",
	"dag/export": "progress= local-only=",

	"cid/format":  "f=%s v= mc= b=",
	"cid/base32":  "",
	"cid/inspect": "",
	"cid/bases":   "prefix= numeric=",
	"cid/codecs":  "numeric= supported=",
	"cid/hashes":  "numeric= supported=",

	"multibase/encode":    "b=base64url",
	"multibase/decode":    "",
	"multibase/transcode": "b=base64url",
	"multibase/list":      "prefix= numeric=",

	"bootstrap":             "",
	"bootstrap/list":        "expand-auto=",
	"bootstrap/add":         "",
	"bootstrap/add/default": "",
	"bootstrap/rm":          "all=",
	"bootstrap/rm/all":      "",

	"swarm/connect":      "",
	"swarm/disconnect":   "",
	"swarm/peers":        "verbose= streams= latency= direction= identify=",
	"swarm/addrs":        "",
	"swarm/addrs/local":  "id=",
	"swarm/addrs/listen": "",

	"swarm/addrs/autonat": "",
	"swarm/filters":       "",
	"swarm/filters/add":   "",
	"swarm/filters/rm":    "",
	"swarm/resources":     "",
	"swarm/peering/add":   "",
	"swarm/peering/ls":    "",
	"swarm/peering/rm":    "",
}

// provideStatOptions are those of three commands.
const provideStatOptions = "lan= all= compact= connectivity= network= schedule= timings= workers= operations= queues="

// harmless are the options of Kubo's that a command may ignore.
var harmless = []string{
	// They are for the command line, which sends what they select.
	"recursive", "dereference-args", "dereference-symlinks", "stdin-name", "hidden", "ignore", "ignore-rules-path",
	// They are about what a terminal shows, or when something is done that is
	// done in any case.
	"progress", "verbose", "fast-provide-root",
}

// requests are those of all commands, by path.
func requests() map[string]any {
	all := map[string]any{}
	for _, spec := range All {
		info := spec.Describe()
		for _, path := range append([]string{info.Path}, info.Aliases...) {
			all[path] = spec.New()
		}
	}
	return all
}

// No option of Kubo's is ignored in silence: each is one of ours, or refused, or
// changes nothing.
func TestEveryOptionOfKubosIsKnown(t *testing.T) {
	reqs := requests()
	for path, options := range kubosOptions {
		req, ok := reqs[path]
		if !ok {
			t.Errorf("%s is no command", path)
			continue
		}
		delete(reqs, path)
		for item := range strings.FieldsSeq(options) {
			name, def, _ := strings.Cut(item, "=")
			ours := slices.ContainsFunc(request.Options(req), func(o *request.Option) bool { return !o.Arg && o.Name == name })
			i := slices.IndexFunc(request.AbsentOptions(req), func(a request.Absent) bool { return a.Name == name })
			switch {
			case ours && i >= 0:
				t.Errorf("%s: %s is both there and absent", path, name)
			case ours:
			case i < 0 && !slices.Contains(harmless, name):
				t.Errorf("%s: %s of Kubo's is ignored", path, name)
			case i >= 0 && def != "" && request.AbsentOptions(req)[i].Check(def) != nil:
				t.Errorf("%s: %s=%s, the default, is refused", path, name, def)
			}
		}
	}
	for path := range reqs {
		if !strings.HasPrefix(path, "host/") && !strings.HasPrefix(path, "name/webhook/") && !strings.HasPrefix(path, "follow") && !strings.HasPrefix(path, "cluster/") && !slices.Contains([]string{"config/reload", "key/share", "key/shared", "key/unshare", "name/delegate", "name/log", "name/request", "name/rollback", "name/sign", "name/status", "name/watch", "repo/dump", "republish/status", "store/status"}, path) {
			t.Errorf("%s: its options in Kubo are not listed", path)
		}
	}
}

// post sends a request to a command that says nothing.
func post[Req, Resp any](c rpc.Command[Req, Resp], query string) (status int, body string) {
	m := new(rpc.Mux)
	rpc.Handle(m, c, func(context.Context, Req) iter.Seq2[Resp, error] { return func(func(Resp, error) bool) {} })
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+rpc.Prefix+c.Path+"?"+query, nil))
	return w.Code, w.Body.String()
}

// noUpload is the answer to an add whose options are fine, and that has no files.
const noUpload = "file argument 'path' is required\n"

func TestAbsentOptionsAreRefusedByName(t *testing.T) {
	for query, option := range map[string]string{
		"nocopy=true": "nocopy", "nocopy": "nocopy", "fscache=1": "fscache", "fscache=maybe": "fscache", "nocopy=false&nocopy=true": "nocopy",
	} {
		status, body := post(Add, query)
		if status != http.StatusBadRequest || !strings.Contains(body, `\"`+option+`\"`) || !strings.Contains(body, `"Code":1`) {
			t.Errorf("%s: %d %s, want a refusal of %s", query, status, body, option)
		}
	}
	// Kubo's defaults, as its clients send them, what Kubo does not know, and what
	// changes nothing.
	const fine = "hash=sha2-256&trickle=false&inline=false&inline-limit=32&nocopy=false&fscache=false" +
		"&empty-dirs=true&fast-provide-root=false&stream-channels=true&progress=true&sparkle=true&recursive=true"
	if _, body := post(Add, fine); body != noUpload {
		t.Error(body)
	}
}

func TestSurplusArgumentsAndValuesAreRefused(t *testing.T) {
	for query, ask := range map[string]func(string) (int, string){
		"arg=a&arg=b":                 func(q string) (int, string) { return post(KeyGen, q) },
		"arg=/ipfs/x&key=a&key=b":     func(q string) (int, string) { return post(NamePublish, q) },
		"arg=/ipfs/x&ttl=1s&ttl=1h":   func(q string) (int, string) { return post(NamePublish, q) },
		"arg=a&arg=b&arg=c":           func(q string) (int, string) { return post(Config, q) },
		"arg=x":                       func(q string) (int, string) { return post(Version, q) },
		"arg=/ipfs/x&arg=/ipfs/other": func(q string) (int, string) { return post(Get, q) },
	} {
		if status, body := ask(query); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, status, body)
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
		{"swarm/connect?arg=x&offline=true", false, http.StatusBadRequest},
		{"swarm/connect?arg=x&local", false, http.StatusBadRequest},
		{"swarm/connect?arg=x&offline=false", false, http.StatusOK},
		{"swarm/connect?arg=x&offline=true", true, http.StatusOK},
	} {
		told := false
		h := &rpc.Mux{Offline: c.node}
		rpc.Handle(h, SwarmConnect, rpc.One(func(context.Context, SwarmConnectRequest) (Strings, error) {
			return Strings{}, nil
		}))
		rpc.Handle(h, NameResolve, rpc.One(func(ctx context.Context, _ ResolveRequest) (Resolved, error) {
			told = rpc.IsOffline(ctx)
			return Resolved{Path: "/ipfs/x"}, nil
		}))
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+rpc.Prefix+c.path, nil)
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
		if asks := strings.HasPrefix(c.path, "name/resolve"); asks && !told {
			t.Errorf("%s: the node was not told", c.path)
		}
	}
}
