package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// jsSteps are calls of kubo-rpc-client, written as in JavaScript but for {"/": …}, a
// CID, and {"bytes": …}.
func jsSteps(t *testing.T) []clientStep {
	client := startJS(t)
	steps := make([]clientStep, len(jsCalls))
	for i, c := range jsCalls {
		steps[i] = clientStep{name: c.method + "(" + c.args + ")", shape: c.shape, more: c.more, differs: c.differs}
		steps[i].call = func(_ context.Context, d *called) (any, error) {
			var answer json.RawMessage
			err := client.try(t, &answer, "method", args{
				"api": d.node.rpcAddr(), "method": c.method, "args": json.RawMessage("[" + d.given(c.args) + "]"),
			})
			return answer, err
		}
	}
	return steps
}

type jsCall struct {
	method  string
	args    string // JSON, with variables
	shape   bool
	more    bool
	differs string
}

// The content that the steps of all clients work on.
const (
	helloText = "hello\n"
	otherText = "hello again\n"
	otherCID  = "bafkreigzutdgo2tczm5yzifyiwnlgqmdptn2qvbtc3efos2fjtgcjvggsa"
	dCID      = "bafybeibgjj622j462z6c4wi6aagy4dfzkc75xfj3lxx7edqr5evxdnu3xy" // a folder of one ("one") and two ("two")
	nodeCID   = "bafyreiesq3jmncrh7bzqtb6y4qt3bcytchpfqb2kir2e3mt7amj2bopcki" // {"a":{"b":[1,"two"]}}
)

// noMFS is the reason why files/* is not all there.
const noMFS = "content that changes has a name: `add`, then `name publish`"

func inJSON(text string) string {
	return `{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`
}

var jsCalls = []jsCall{
	// Content.
	{method: "add", args: inJSON(helloText) + `, {"cidVersion":1,"rawLeaves":true}`},
	{method: "add", args: inJSON(strings.Repeat("0123456789", 60_000))},
	{method: "addAll", args: `[{"path":"d/one","content":"one"},{"path":"d/two","content":"two"}], {"cidVersion":1}`},
	{method: "addAll", args: `[{"path":"d/one","content":"one","mode":420,"mtime":{"secs":1,"nsecs":2}}], {"pin":false,"preserveMode":true}`},
	{method: "add", args: inJSON(helloText) + `, {"hashAlg":"sha3-256","chunker":"size-3"}`},
	{method: "add", args: inJSON(helloText) + `, {"trickle":true,"onlyHash":true}`},
	{method: "cat", args: `"` + helloCID + `"`},
	{method: "cat", args: `"` + helloCID + `", {"offset":1,"length":3}`},
	{method: "cat", args: `"/ipfs/` + dCID + `/two"`},
	{method: "cat", args: `"/ipfs/` + dCID + `/none"`},
	{method: "cat", args: `"/ipfs/` + dCID + `"`},
	{method: "ls", args: `"/ipfs/` + dCID + `"`},
	{method: "ls", args: `"/ipfs/` + dCID + `/none"`},
	{method: "get", args: `"/ipfs/` + helloCID + `", {"archive":true}`, shape: true},
	{method: "refs", args: `"/ipfs/` + dCID + `", {"recursive":true}`},
	{method: "refs", args: `"/ipfs/` + dCID + `", {"format":"<src> <dst> <linkname>"}`},
	{method: "files.stat", args: `"/ipfs/` + dCID + `"`},
	{method: "files.ls", args: `"/ipfs/` + dCID + `"`, differs: noMFS},
	{method: "resolve", args: `"/ipfs/` + dCID + `/one"`},

	// Pins.
	{method: "pin.add", args: `{"/":"` + helloCID + `"}, {"name":"greeting"}`},
	{method: "pin.ls", args: `{"paths":["` + helloCID + `"]}`},
	{method: "pin.ls", args: `{"paths":["` + otherCID + `"]}`},
	{method: "pin.ls", args: `{"type":"direct"}`},
	{method: "pin.rm", args: `{"/":"` + helloCID + `"}`},
	{method: "pin.rm", args: `{"/":"` + helloCID + `"}`},
	{method: "pin.addAll", args: `["` + helloCID + `"]`},
	{method: "pin.rmAll", args: `["` + helloCID + `"]`},
	{method: "pin.remote.service.add", args: `"box", {"endpoint":"http://127.0.0.1:9/","key":"k"}`},
	{method: "pin.remote.service.ls", args: ``},
	{method: "pin.remote.service.ls", args: `{"stat":true}`},
	{method: "pin.remote.add", args: `{"/":"` + helloCID + `"}, {"service":"none"}`},
	{method: "pin.remote.ls", args: `{"service":"none"}`},
	{method: "pin.remote.service.rm", args: `"box"`},

	// Blocks and nodes.
	{method: "block.put", args: inJSON(otherText) + `, {"format":"raw","mhtype":"sha2-256"}`},
	{method: "block.get", args: `{"/":"` + otherCID + `"}`},
	{method: "block.stat", args: `{"/":"` + otherCID + `"}`},
	{method: "block.rm", args: `{"/":"` + otherCID + `"}`},
	{method: "block.rm", args: `{"/":"` + otherCID + `"}`},
	{method: "dag.put", args: `{"a":{"b":[1,"two"]}}`},
	{method: "dag.get", args: `{"/":"` + nodeCID + `"}`},
	{method: "dag.get", args: `{"/":"` + nodeCID + `"}, {"path":"/a/b/1"}`},
	{method: "dag.resolve", args: `{"/":"` + nodeCID + `"}, {"path":"/a/b"}`},
	{method: "dag.export", args: `{"/":"` + nodeCID + `"}`},

	// Keys.
	{method: "key.gen", args: `"one", {"type":"ed25519"}`, shape: true},
	{method: "key.gen", args: `"one", {"type":"ed25519"}`},
	{method: "key.gen", args: `"two", {"type":"rsa","size":2048}`, shape: true},
	{method: "key.gen", args: `"self"`},
	{method: "key.list", args: ``, shape: true},
	{method: "key.rename", args: `"one", "three"`, shape: true},
	{method: "key.rename", args: `"none", "four"`},
	{method: "key.rm", args: `"three"`, shape: true},
	{method: "key.rm", args: `"none"`},

	// Names.
	{method: "name.publish", args: `"/ipfs/` + helloCID + `", {"lifetime":"1h","ttl":"10s"}`, more: true},
	{method: "name.publish", args: `"/ipfs/` + helloCID + `", {"key":"two","resolve":false}`, shape: true},
	{method: "name.publish", args: `"nope"`},
	{method: "name.resolve", args: `"{self}"`},
	{method: "name.resolve", args: `"/ipns/{self}", {"nocache":true}`},
	{method: "name.resolve", args: `"{peer}", {"recursive":false,"dhtRecordCount":1,"dhtTimeout":"5s"}`},
	{method: "resolve", args: `"/ipns/{self}"`},
	{method: "name.pubsub.state", args: ``},
	{method: "name.pubsub.subs", args: ``},
	{method: "name.pubsub.cancel", args: `"{self}"`},

	// Routing.
	{method: "routing.provide", args: `{"/":"` + helloCID + `"}`, shape: true},
	{method: "routing.findPeer", args: `"{neighbour}"`, shape: true},
	{method: "routing.get", args: `"/ipns/{peer}"`, shape: true},

	// The node and its network.
	{method: "id", args: ``, shape: true},
	{method: "version", args: ``, shape: true},
	{method: "isOnline", args: ``},
	{method: "config.get", args: `"Addresses.API"`},
	{method: "config.get", args: `"None.Such"`},
	{method: "config.set", args: `"Gateway.RootRedirect", "/ipfs/` + helloCID + `"`},
	{method: "config.get", args: `"Gateway.RootRedirect"`},
	{method: "config.profiles.apply", args: `"lowpower", {"dryRun":true}`, differs: "what is shown works"},
	{method: "config.profiles.apply", args: `"nope"`},
	{method: "bootstrap.list", args: ``},
	{method: "bootstrap.add", args: `"/ip4/192.0.2.1/tcp/4001/p2p/{neighbour}"`},
	{method: "bootstrap.rm", args: `"/ip4/192.0.2.1/tcp/4001/p2p/{neighbour}"`},
	{method: "swarm.peers", args: `{"verbose":true}`, shape: true},
	{method: "swarm.addrs", args: ``, shape: true},
	{method: "swarm.localAddrs", args: ``, shape: true},
	{method: "ping", args: `"{neighbour}", {"count":2}`, shape: true},
	{method: "stats.bw", args: ``, shape: true},
	{method: "stats.repo", args: ``, shape: true},
	{method: "repo.stat", args: ``, shape: true},
	{method: "repo.version", args: ``, shape: true},
	{method: "log.ls", args: ``, shape: true},
	{method: "log.level", args: `"all", "error"`},
	{method: "diag.sys", args: ``, shape: true},
	{method: "bitswap.stat", args: ``, shape: true},
	{method: "dns", args: `"no.such.domain.invalid"`},

	// What we have no part of.
	{method: "files.mkdir", args: `"/d"`, differs: noMFS},
	{method: "pubsub.ls", args: ``, differs: "a program that needs messages runs go-libp2p-pubsub itself; names use it inside"},
	{method: "repo.gc", args: ``, shape: true},
}
