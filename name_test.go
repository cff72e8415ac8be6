package ipns

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multibase"
	mh "github.com/multiformats/go-multihash"
)

// identities are names whose two texts other implementations agree on.
var identities = []struct {
	typ                KeyType
	base58, base36     string
	binary, kad, topic string
}{
	{
		Ed25519, "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
		"k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
		"0024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e976051b1e63af14d",
		"94559ab791d1325f6577832302ca0fea289590c4c836bf1c28d009549dfbe528", // of the routing key; that of the peer is another
		"/record/L2lwbnMvACQIARIgnjtDPL0xwrim673KmYvQ9MIUHJya9UIul2BRseY68U0",
	},
	{typ: Ed25519, base58: "12D3KooWSzRuSFHgLsKr6jJboAPdP7xMga2YBgBspYuErxswcgvt", base36: "k51qzi5uqu5dmjjgoe7s21dncepi970722cn30qlhm9qridas1c9ktkjb6ejux"},
	{typ: RSA, base58: "QmRp2LvtSQtCkUWCpi92ph5MdQyRtfb9jHbkNgZzGExGuG", base36: "k2k4r8kpauqq30hoj9oktej5btbgz1jeos16d3te36xd78trvak0jcor"},
	{typ: ECDSA, base58: "QmSBUTocZ9LxE53Br9PDDcPWnR1FJQRv94U96Wkt8eypAw", base36: "k2k4r8ku8cnc1sl2h5xn7i07dma9abfnkqkxi4a6nd1xq0knoxe7b0y4"},
	{typ: Secp256k1, base58: "16Uiu2HAmUymv6JpFwNZppdKUMxGJuHsTeicXgHGKbBasu4Ruj3K1", base36: "kzwfwjn5ji4puw3jc1qw4b073j74xvq21iziuqw4rem21pr7f0l4dj8i9yb978s"},
	{typ: Ed25519, base58: "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq", base36: "k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe"},
	{typ: Secp256k1, base58: "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY", base36: "kzwfwjn5ji4put13uvtwtc7azzwk42cq2o8ctfnxa6q8n90e72o3pjqbrp3lpcp"},
	{typ: RSA, base58: "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG", base36: "k2k4r8nz0pc9sm08wgacijx1ic8vxy9e2770otjszhz1nodfs0brtvpp"},
	{typ: ECDSA, base58: "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk", base36: "k2k4r8m0iploq6r25jp915xawtnx0qdr0je62jws2kki6votbj5191x3"},
	{typ: Ed25519, base58: "12D3KooWRBy97UB99e3J6hiPesre1MZeuNQvfan4gBziswrRJsNK", base36: "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"},
	{typ: RSA, base58: "QmcJM7PRfkSbcM5cf1QugM5R37TLRKyJGgBEhXjLTB8uA2", base36: "k2k4r8ol4m8kkcqz509c1rcjwunebj02gcnm5excpx842u736nja8ger"},
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// N-12 N-13 N-20 N-21 N-25 N-26 V-43: every form of a name is the same name, and
// gives every other form.
func TestNameForms(t *testing.T) {
	for _, id := range identities {
		n := mustName(t, id.base36)
		c := n.CID()
		for _, base := range []multibase.Encoding{
			multibase.Base2, multibase.Base16, multibase.Base16Upper, multibase.Base32, multibase.Base32Upper,
			multibase.Base36, multibase.Base36Upper, multibase.Base58BTC, multibase.Base64, multibase.Base64pad, multibase.Base64url,
			multibase.Base256Emoji,
		} {
			s, err := c.StringOfBase(base)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{s, "/ipns/" + s} {
				if got, err := ParseName(text); err != nil || got != n {
					t.Errorf("ParseName(%q) = %v, %v; want %v", text, got, err, n)
				}
			}
			if got, err := n.Encode(multibase.EncodingToStr[base]); err != nil || got != s {
				t.Errorf("Encode(%s) = %q, %v; want %q", multibase.EncodingToStr[base], got, err, s)
			}
		}
		for _, text := range []string{id.base58, "/ipns/" + id.base58, "/ipns/" + id.base36} {
			if got, err := ParseName(text); err != nil || got != n {
				t.Errorf("ParseName(%q) = %v, %v; want %v", text, got, err, n)
			}
		}
		if n.String() != id.base36 || n.PeerID().String() != id.base58 || n.Path() != "/ipns/"+id.base36 {
			t.Errorf("%s: String %s, PeerID %s, Path %s", id.base36, n, n.PeerID(), n.Path())
		}
		for _, base := range []string{"b58mh", "v0"} {
			if got, err := n.Encode(base); err != nil || got != id.base58 {
				t.Errorf("Encode(%s) = %q, %v", base, got, err)
			}
		}
		if want := map[KeyType]int{Ed25519: 62, Secp256k1: 63, RSA: 56, ECDSA: 56}[id.typ]; len(n.String()) != want {
			t.Errorf("%s has %d characters, want %d", n, len(n.String()), want)
		}
		if got, err := NameFromRoutingKey(n.RoutingKey()); err != nil || got != n {
			t.Errorf("routing key: %v, %v", got, err)
		}
		if got, err := NameFromBinary(n.Binary()); err != nil || got != n {
			t.Errorf("binary: %v, %v", got, err)
		}
		if got, err := NameFromPeerID(n.PeerID()); err != nil || got != n {
			t.Errorf("peer ID: %v, %v", got, err)
		}
		if want := peer.ToCid(n.PeerID()); !c.Equals(want) {
			t.Errorf("CID %s, want %s", c, want)
		}
		if id.binary != "" {
			kad := n.Kad()
			if hex.EncodeToString(n.Binary()) != id.binary || hex.EncodeToString(kad[:]) != id.kad || n.Topic() != id.topic {
				t.Errorf("%s: binary %x, kad %x, topic %s", n, n.Binary(), kad, n.Topic())
			}
		}
	}
	for _, base := range []string{"", "base37", "identity", "\x00", "B58MH"} {
		if s, err := mustName(t, corpusName).Encode(base); err == nil {
			t.Errorf("Encode(%q) = %q", base, s)
		}
	}
}

// N-13: names marshal as their text.
func TestNameJSON(t *testing.T) {
	type doc struct {
		Name  Name
		Other Name
		Map   map[Name]int
	}
	n := mustName(t, corpusName)
	b, err := json.Marshal(doc{Name: n, Map: map[Name]int{n: 1}})
	want := fmt.Sprintf(`{"Name":%q,"Other":"","Map":{%q:1}}`, n, n)
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v; want %s", b, err, want)
	}
	var back doc
	if err := json.Unmarshal(b, &back); err != nil || back.Name != n || !back.Other.IsZero() || back.Map[n] != 1 {
		t.Errorf("got %+v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"Name":"nonsense"}`), &back); !errors.Is(err, ErrName) {
		t.Errorf("nonsense: %v", err)
	}
}

func TestZeroName(t *testing.T) {
	var n Name
	if !n.IsZero() || n.String() != "" || n.CID() != cid.Undef || len(n.Binary()) != 0 || n.PeerID() != "" {
		t.Errorf("zero Name: %q %v %x %q", n, n.CID(), n.Binary(), n.PeerID())
	}
	if _, err := n.PublicKey(); !errors.Is(err, ErrNoPublicKey) {
		t.Errorf("PublicKey: %v", err)
	}
	if s, err := n.Encode("base36"); s != "" || err != nil {
		t.Errorf("Encode: %q, %v", s, err)
	}
	if _, err := Open(n, nil, corpusTime); err == nil {
		t.Error("Open with the zero Name")
	}
}

// N-10 N-11: what a name contains.
func TestNamePublicKey(t *testing.T) {
	for _, id := range identities {
		n := mustName(t, id.base36)
		pub, err := n.PublicKey()
		switch id.typ {
		case RSA, ECDSA:
			if !errors.Is(err, ErrNoPublicKey) {
				t.Errorf("%s: %v", id.base36, err)
			}
		default:
			if err != nil || KeyType(pub.Type()) != id.typ {
				t.Fatalf("%s: %v, %v", id.base36, pub, err)
			}
			if again, err := NameOf(pub); err != nil || again != n {
				t.Errorf("%s: NameOf gives %v, %v", id.base36, again, err)
			}
		}
	}
	if _, err := NameOf(nil); !errors.Is(err, ErrKeyInvalid) {
		t.Errorf("NameOf(nil): %v", err)
	}
}

// N-5 N-7 N-20 N-22 N-23: what is no name.
func TestNameRefused(t *testing.T) {
	const k51 = "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd"
	good := mustName(t, k51)
	multihash := func(code byte, digest ...byte) string {
		return cid.NewCidV1(cid.Libp2pKey, append([]byte{code, byte(len(digest))}, digest...)).String()
	}
	key := good.Binary()[2:]
	text := func(b []byte) string {
		s, err := multibase.Encode(multibase.Base32, b)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base64Name, err := good.Encode("base64")
	if err != nil {
		t.Fatal(err)
	}
	for why, s := range map[string]string{
		"empty":                    "",
		"prefix alone":             "/ipns/",
		"prefix twice":             "/ipns//ipns/" + k51,
		"prefix twice, joined":     "/ipns/ipns/" + k51,
		"other namespace":          "/ipfs/" + k51,
		"sub-path":                 k51 + "/sub",
		"final slash":              k51 + "/",
		"fragment":                 k51 + "#x",
		"NUL":                      k51 + "\x00",
		"space before":             " " + k51,
		"line break after":         k51 + "\n",
		"URI":                      "ipns://" + k51,
		"base64 and a sub-path":    base64Name + "/sub",
		"base64 and a slash":       base64Name + "/",
		"codec dag-pb":             cid.NewCidV1(cid.DagProtobuf, good.Binary()).String(),
		"codec raw":                cid.NewCidV1(cid.Raw, good.Binary()).String(),
		"CIDv0 in multibase":       "z" + mustName(t, identities[2].base58).PeerID().String(),
		"CID version 2":            text(append([]byte{2, 0x72}, good.Binary()...)),
		"byte after the CID":       text(append(good.CID().Bytes(), 0)),
		"truncated":                text(good.CID().Bytes()[:20]),
		"identity of nothing":      multihash(mh.IDENTITY),
		"identity of text":         multihash(mh.IDENTITY, []byte("hello")...),
		"identity of a short key":  multihash(mh.IDENTITY, append([]byte{8, 1, 0x12, 31}, key[4:35]...)...),
		"key type unknown":         multihash(mh.IDENTITY, append([]byte{8, 4}, key[2:]...)...),
		"RSA type, Ed25519 bytes":  multihash(mh.IDENTITY, append([]byte{8, 0}, key[2:]...)...),
		"secp256k1, Ed25519 bytes": multihash(mh.IDENTITY, append([]byte{8, 2}, key[2:]...)...),
		"fields swapped":           multihash(mh.IDENTITY, append(append([]byte{0x12, 32}, key[4:]...), 8, 1)...),
		"field more":               multihash(mh.IDENTITY, append(append([]byte{}, key...), 0x18, 1)...),
		"long varint":              multihash(mh.IDENTITY, append([]byte{8, 0x81, 0}, key[2:]...)...),
		"secp256k1, no point":      multihash(mh.IDENTITY, append([]byte{8, 2, 0x12, 33, 5}, key[4:]...)...),
		"SHA2-256 cut":             multihash(mh.SHA2_256, key[:31]...),
		"SHA2-512":                 multihash(mh.SHA2_512, append(key, key[:28]...)...),
		"SHA1":                     multihash(mh.SHA1, key[:20]...),
		"base58 with a zero":       "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZ0",
		"base58, cut":              "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZ",
		"bare base36":              k51[1:],
		"identity multibase":       "\x00" + string(good.CID().Bytes()),
		"domain":                   "en.wikipedia-on-ipfs.org",
		"long":                     strings.Repeat("k", 1<<20),
	} {
		n, err := ParseName(s)
		if !errors.Is(err, ErrName) || n != (Name{}) {
			t.Errorf("%s: ParseName(%.80q) = %v, %v", why, s, n, err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes", why, len(err.Error()))
		}
	}
	_, err = ParseName(cid.NewCidV1(cid.DagProtobuf, good.Binary()).String())
	if want := "require libp2p-key multicodec: retry with /ipns/" + good.CID().String(); !strings.Contains(err.Error(), want) {
		t.Errorf("wrong codec: %v; want the hint %q", err, want)
	}
	for _, key := range []string{"", "/ipns", "/pk/" + string(good.Binary()), "/ipns/" + string(good.Binary()) + "x"} {
		if n, err := NameFromRoutingKey([]byte(key)); !errors.Is(err, ErrName) {
			t.Errorf("NameFromRoutingKey(%q) = %v, %v", key, n, err)
		}
	}
}

// N-24 N-27 N-28: paths, URIs and domain names beside names.
func TestParsePath(t *testing.T) {
	for in, want := range map[string]string{
		"/ipfs/bafkqaaa":                      "/ipfs/bafkqaaa",
		"/ipfs/bafkqaaa/":                     "/ipfs/bafkqaaa/",
		"/ipld/bafkqaaa/a/./b//c/../d":        "/ipld/bafkqaaa/a/b/d",
		"/ipns/example.com/sub/":              "/ipns/example.com/sub/",
		"/ipns/fqdn.example.com.":             "/ipns/fqdn.example.com.",
		"/ipns/singlednslabelshouldbeok":      "/ipns/singlednslabelshouldbeok",
		"/ipns/" + corpusName:                 "/ipns/" + corpusName,
		"/ipfs/bafkqaaa/a?b#c":                "/ipfs/bafkqaaa/a?b#c",
		"/ipns/xn--bcher-kva.example/\u202ex": "/ipns/xn--bcher-kva.example/\u202ex",

		"/ipfs/QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4/a%20b": "/ipfs/QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4/a%20b",
	} {
		if got, err := ParsePath(in); err != nil || got != want {
			t.Errorf("ParsePath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                                 "does not have enough components",
		"/":                                "does not have enough components",
		"/ipfs":                            "does not have enough components",
		"/ipfs/":                           "does not have enough components",
		"ipfs/bafkqaaa":                    "does not have enough components",
		"bafkqaaa":                         "does not have enough components",
		"/ipfs/bafkqaaa/..":                "does not have enough components",
		"/ipfs/bafkqaaa/../../etc/x":       `unknown namespace: "etc"`,
		"/http/example.com":                `unknown namespace: "http"`,
		"/IPFS/bafkqaaa":                   `unknown namespace: "IPFS"`,
		"/ipfs/nonsense":                   "cid",
		"/ipfs/bafkqaaa?x":                 "cid",
		"/ipns/169.254.169.254":            "neither an IPNS name nor a domain name",
		"/ipns/example.com:80":             "neither an IPNS name nor a domain name",
		"/ipns/a..b":                       "neither an IPNS name nor a domain name",
		"/ipfs/bafkqaaa/a\x00b":            "NUL",
		"ipfs://bafkqaaa":                  "does not have enough components",
		"/ipns/" + strings.Repeat("a", 64): "neither an IPNS name nor a domain name",
	} {
		got, err := ParsePath(in)
		if !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"ipns://Name/Sub?x": "/ipns/Name/Sub?x",
		"IPNS:name":         "/ipns/name",
		"ipfs://bafkqaaa":   "/ipfs/bafkqaaa",
		"ipfs:bafkqaaa/a":   "/ipfs/bafkqaaa/a",
		"iPlD:bafkqaaa":     "/ipld/bafkqaaa",
		"/ipns/name":        "/ipns/name",
		"http://x":          "http://x",
		"":                  "",
	} {
		if got := PathFromURI(in); got != want {
			t.Errorf("PathFromURI(%q) = %q, want %q", in, got, want)
		}
	}
	for s, want := range map[string]bool{
		"example.com": true, "fqdn.example.com.": true, "localhost": true, "bücher.example": true, "_dnslink.example.com": true,
		"": false, ".": false, "a b": false, "a..b": false, ".a": false, "a/b": false, "a?b": false, "a#b": false, "a\u202eb": false,
		"127.0.0.1": false, "::1": false, "[::1]": false, strings.Repeat("a.", 127) + "a": false,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a", 63) + ".com": true,
	} {
		if got := IsDomainName(s); got != want {
			t.Errorf("IsDomainName(%q) = %v", s, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, id := range identities {
		f.Add(id.base36)
		f.Add("/ipns/" + id.base58)
	}
	for _, c := range readJSON[[]struct{ Name string }](f, "testdata/hostile/names.json") {
		f.Add(c.Name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if !errors.Is(err, ErrName) || !n.IsZero() {
				t.Fatalf("%v, %v", n, err)
			}
			return
		}
		for _, text := range []string{n.String(), n.Path(), n.PeerID().String()} {
			if again, err := ParseName(text); err != nil || again != n {
				t.Fatalf("%q: %q gives %v, %v", s, text, again, err)
			}
		}
		if again, err := NameFromRoutingKey(n.RoutingKey()); err != nil || again != n {
			t.Fatalf("%q: routing key gives %v, %v", s, again, err)
		}
	})
}
