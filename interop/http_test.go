package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestRPCAnswers sends the same HTTP requests to the RPC API of a Kubo daemon and
// of an ipns daemon, both offline and new, and compares what a client can see.
func TestRPCAnswers(t *testing.T) {
	us, them := newTypist(t, newOfflineDaemon(t, ours)), newTypist(t, newOfflineDaemon(t, kubo))
	for _, r := range rpcRequests {
		got, want := us.send(t, r), them.send(t, r)
		got.body = reason.ReplaceAllString(got.body, "$1") // beside Kubo's fields, for our command line
		if r.ownWords != "" {
			got.body, want.body = "", ""
		}
		if got != want {
			t.Errorf("%s %s\nipns:\n%s%s\nKubo:\n%s%s\n", r.method, r.path, got.head, got.body, want.head, want.body)
		}
	}
}

// reason is the field that an error of ipns has and one of Kubo has not.
var reason = regexp.MustCompile(`("Type":"error"),"Reason":"[a-z -]+"`)

// An rpcRequest is sent as a POST of one file, if any, unless it says otherwise.
type rpcRequest struct {
	method   string // empty: POST
	path     string // below /api/v0, with the query
	part     string // name of the multipart field of the file
	file     string // its content
	header   string // one line, "Key: value"
	ownWords string // why the body of ipns differs; empty: it does not
}

// A reply is what a client sees of the answer to a request.
type reply struct {
	head string // status and seenHeaders
	body string
}

const (
	helloCID = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
	otherKey = "k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe"
)

var rpcRequests = []rpcRequest{
	// The envelope.
	{method: "GET", path: "/id"},
	{method: "HEAD", path: "/id"},
	{method: "PUT", path: "/id"},
	{path: "/nope"},
	{path: "/name/nope"},
	{path: "/key/export?arg=self"},
	{path: "/id", header: "Origin: https://example.com", ownWords: "an error says what to do next"},
	{path: "/key/list", header: "Origin: http://localhost", ownWords: "an error says what to do next"},
	{path: "/key/list", header: "Origin: http://127.0.0.1:3000", ownWords: "an error says what to do next"},
	{path: "/id", header: "User-Agent: Mozilla/5.0", ownWords: "an error says what to do next"},
	{path: "/id", header: "Referer: https://example.com/page", ownWords: "an error says what to do next"},
	{path: "/key/list?bogus=1"},
	{path: "/key/list?l=maybe"},
	{path: "/key/list?l="},
	{path: "/key/list?enc=text"},
	{path: "/key/list?encoding=json"},
	{path: "/key/list?l=true&ipns-base=base32"},
	{path: "/key/list?ipns-base=base99"},

	// Content.
	{path: "/add?cid-version=1", part: "file", file: "hello\n"},
	{path: "/add?cid-version=1&quieter=true&progress=false", part: "file", file: "hello\n"},
	{path: "/add", part: "anything", file: "hello\n"},
	{path: "/add"},
	{path: "/cat?arg=" + helloCID},
	{path: "/cat?arg=nope"},
	{path: "/cat"},
	{path: "/cat?arg=" + helloCID + "&offset=1&length=2"},
	{path: "/pin/add?arg=" + helloCID},
	{path: "/pin/add?arg=nope"},
	{path: "/pin/ls?arg=" + helloCID},
	{path: "/pin/ls?type=recursive", ownWords: "init pins nothing"},
	{path: "/pin/ls?type=nope"},
	{path: "/pin/rm?arg=" + helloCID},
	{path: "/pin/rm?arg=" + helloCID},

	// Keys.
	{path: "/key/import?arg=site", part: "key", file: "{ed25519.key}", ownWords: "keys come from programs that write each of them"},
	{path: "/key/import?arg=site", part: "key", file: "{ed25519.key}"},
	{path: "/key/import?arg=other"},
	{path: "/key/gen?arg=self"},
	{path: "/key/gen?arg=site"},
	{path: "/key/gen"},
	{path: "/key/gen?arg=other&type=ecdsa"},
	{path: "/key/rename?arg=site&arg=blog"},
	{path: "/key/rename?arg=site&arg=blog"},
	{path: "/key/ls"},

	// Names.
	{path: "/name/publish?arg=" + helloCID},
	{path: "/name/publish"},
	{path: "/name/publish?arg=nope&allow-offline=true"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=true", ownWords: "the receipt adds its fields"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=true&key=none", ownWords: "an error says what to do next"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=true&lifetime=nope"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=true&sequence=x"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=maybe"},
	{path: "/name/publish?arg=" + helloCID + "&allow-offline=true&allow-delegated=true"},
	{path: "/name/resolve"},
	{path: "/name/resolve?arg={self}"},
	{path: "/name/resolve?arg={peer}&recursive=false&nocache=true"},
	{path: "/name/resolve?arg={self}&stream=true"},
	{path: "/name/resolve?arg={self}&enc=text"},
	{path: "/name/resolve?arg=" + otherKey, ownWords: "not found, unknown and failed are three answers"},
	{path: "/name/resolve?arg=/ipfs/" + helloCID},
	{path: "/name/resolve?arg={self}&dht-timeout=-1s"},
	{path: "/name/inspect?dump=false&verify={self}", part: "record", file: "{v2.ipns-record}"},
	{path: "/name/inspect?verify=k51qzi5uqu5dmjvg4gg3bvyr71v8q5pyj9tz1yaqzhx36yqhjw9nlk5zqxdusz", part: "record", file: "{v1v2.ipns-record}"},
	{path: "/name/inspect", part: "record", file: "garbage", ownWords: "errors are in our words, without those of a library"},
	{path: "/name/inspect"},
	{path: "/name/put?arg=k51qzi5uqu5dmjvg4gg3bvyr71v8q5pyj9tz1yaqzhx36yqhjw9nlk5zqxdusz&allow-offline=true", part: "record", file: "{v2.ipns-record}", ownWords: "the receipt adds its fields"},
	{path: "/name/put?arg={self}&allow-offline=true", part: "record", file: "{v2.ipns-record}"},
	{path: "/name/put?arg={self}&allow-offline=true"},
	{path: "/name/get?arg=nope"},
	{path: "/name/pubsub/state"},
	{path: "/name/pubsub/subs"},

	// The node.
	{path: "/config?arg=Addresses.API"},
	{path: "/config?arg=None.Such"},
	{path: "/swarm/peers"},
	{path: "/swarm/connect?arg=nope"},
}

// seenHeaders are those a client may act on.
var seenHeaders = []string{
	"Content-Type", "Allow", "Trailer", "Vary", "X-Stream-Output", "X-Chunked-Output", "X-Stream-Error",
	"Access-Control-Allow-Headers", "Access-Control-Expose-Headers", "Access-Control-Allow-Origin",
}

// send makes a request and renders the answer, with variables in place of what differs.
func (r *typist) send(t *testing.T, q rpcRequest) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if q.part != "" {
		w, err := form.CreateFormFile(q.part, "file")
		mustDo(t, err)
		_, err = io.WriteString(w, r.vars.Replace(q.file))
		mustDo(t, err)
	}
	mustDo(t, form.Close())
	host := strings.Split(r.node.rpcAddr(), "/") // /ip4/127.0.0.1/tcp/5001
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host[2]+":"+host[4]+"/api/v0"+r.vars.Replace(q.path), nil)
	mustDo(t, err)
	if q.part != "" {
		req.Body = io.NopCloser(&body)
		req.Header.Set("Content-Type", form.FormDataContentType())
	}
	if key, value, ok := strings.Cut(q.header, ": "); ok {
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	mustDo(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", resp.Status)
	for _, h := range seenHeaders {
		if v := resp.Header.Values(h); len(v) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", h, strings.Join(v, ", "))
		}
		if v := resp.Trailer.Get(h); v != "" {
			fmt.Fprintf(&b, "trailer %s: %s\n", h, v)
		}
	}
	text := r.hide.Replace(string(answer))
	if err != nil {
		text += err.Error()
	}
	return reply{b.String(), text}
}
