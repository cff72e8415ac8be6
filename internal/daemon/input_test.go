package daemon

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
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
		got, err := parsePath(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"nope":              `invalid path "nope": path does not have enough components`,
		"/http/example.com": `invalid path "/http/example.com": unknown namespace: "http"`,
		"/ipfs/nope":        `invalid path "/ipfs/nope": invalid cid: selected encoding not supported`,
	} {
		if _, err := parsePath(text); err == nil || err.Error() != want {
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

// C-32: what profile server keeps off, and what it lets through.
func TestRanges(t *testing.T) {
	c := repo.NewConfig(repo.Identity{})
	if err := c.Apply("server"); err != nil {
		t.Fatal(err)
	}
	r, err := parseRanges(c.Swarm.AddrFilters)
	if err != nil {
		t.Fatal(err)
	}
	for addr, blocked := range map[string]bool{
		"/ip4/127.0.0.1/tcp/1": true, "/ip4/10.1.2.3/udp/1/quic-v1": true, "/ip4/172.31.0.1/tcp/1": true,
		"/ip4/172.32.0.1/tcp/1": false, "/ip4/8.8.8.8/tcp/1": false, "/ip6/::1/tcp/1": true,
		"/ip6/fd00::1/tcp/1": true, "/ip6/2600::1/tcp/1": false, "/dns4/example.com/tcp/1": false,
	} {
		if got := r.InterceptAddrDial("", ma.StringCast(addr)); got == blocked {
			t.Errorf("%s: dialled %v", addr, got)
		}
	}
}

func TestAnnouncedAddresses(t *testing.T) {
	found := []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/4001"), ma.StringCast("/ip4/8.8.8.8/tcp/4001")}
	for _, c := range []struct {
		name string
		a    repo.Addresses
		want string
	}{
		{"as found", repo.Addresses{}, "[/ip4/10.0.0.1/tcp/4001 /ip4/8.8.8.8/tcp/4001]"},
		{"instead", repo.Addresses{Announce: []string{"/dns4/a.example/tcp/1"}}, "[/dns4/a.example/tcp/1]"},
		{"also", repo.Addresses{AppendAnnounce: []string{"/dns4/a.example/tcp/1"}}, "[/ip4/10.0.0.1/tcp/4001 /ip4/8.8.8.8/tcp/4001 /dns4/a.example/tcp/1]"},
		{"not these", repo.Addresses{NoAnnounce: []string{"/ip4/10.0.0.0/ipcidr/8"}}, "[/ip4/8.8.8.8/tcp/4001]"},
		{"not this", repo.Addresses{NoAnnounce: []string{"/ip4/8.8.8.8/tcp/4001"}}, "[/ip4/10.0.0.1/tcp/4001]"},
	} {
		n, err := newAnnouncer(c.a)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := n.addrs(found)
		text := "["
		for i, m := range got {
			if i > 0 {
				text += " "
			}
			text += m.String()
		}
		if text += "]"; text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}
