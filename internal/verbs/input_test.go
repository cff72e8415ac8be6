package verbs

import (
	"testing"

	"github.com/goipns/ipns"
)

// N-26, N-27, P-2
func TestParsePath(t *testing.T) {
	const (
		file = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
		name = "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd"
	)
	for text, want := range map[string]string{
		file:                                 "/ipfs/" + file,
		file + "/a/b":                        "/ipfs/" + file + "/a/b",
		"/ipfs/" + file:                      "/ipfs/" + file,
		"/ipfs/" + file + "/a/../b/":         "/ipfs/" + file + "/b/",
		"ipfs://" + file:                     "/ipfs/" + file,
		"IPFS:" + file + "/A":                "/ipfs/" + file + "/A",
		"ipns://" + name + "/x/":             "/ipns/" + name + "/x/",
		"ipns:example.com":                   "/ipns/example.com",
		"/ipns/example.com/sub/":             "/ipns/example.com/sub/",
		name:                                 "/ipns/" + name,
		"ipld:" + file:                       "/ipld/" + file,
		"QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDH": "",
		"nope":                               "",
		"":                                   "",
		"/":                                  "",
		"/ipfs":                              "",
		"/ipfs/":                             "",
		"/ipfs/nope":                         "",
		"/http/example.com":                  "",
		"http://example.com":                 "",
		"/ipfs/" + file + "\x00":             "",
	} {
		got, err := parseContentPath(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"/ipns/bafyaajaiaejcbol4lfuaphedvqdywqli2eadgszz3qev4ecumirah733cwquelth": "peer ID represented as CIDv1 require libp2p-key multicodec: " +
			"retry with /ipns/bafzaajaiaejcbol4lfuaphedvqdywqli2eadgszz3qev4ecumirah733cwquelth",
		"nope":              `invalid path "nope": path does not have enough components`,
		"/http/example.com": `invalid path "/http/example.com": unknown namespace: "http"`,
		"/ipfs/nope":        `invalid path "/ipfs/nope": invalid cid: selected encoding not supported`,
	} {
		if _, err := parseContentPath(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// N-26
func TestNameEncoder(t *testing.T) {
	name, err := ipns.ParseName("12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS")
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]string{
		"":       "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
		"base36": "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
		"k":      "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
		"b58mh":  "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
		"v0":     "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
		"b":      "bafzaajaiaejcbhr3im6l2mocxctoxpoktgf5b5gccqojzgxviixjoycrwhtdv4kn",
		"base32": "bafzaajaiaejcbhr3im6l2mocxctoxpoktgf5b5gccqojzgxviixjoycrwhtdv4kn",
	} {
		encode, err := nameEncoder(base)
		if err != nil {
			t.Errorf("%q: %v", base, err)
		} else if got := encode(name); got != want {
			t.Errorf("%q: %s, want %s", base, got, want)
		}
	}
	if _, err := nameEncoder("base99"); err == nil || err.Error() != "unsupported multibase encoding: base99" {
		t.Errorf("base99: %v", err)
	}
}
