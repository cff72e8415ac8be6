package contenthash

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/goipns/ipns"
)

type vector struct {
	Input, Base36, Base32, PeerID, Expected string
	DecodeHere                              string `json:"ensdomains_decode"`
	OldTool                                 string `json:"contenthash2_peerid"`
	LegacyDomain                            string `json:"legacy_domain_form"`
	LegacyText                              string `json:"ensdomains_decode_legacy"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/ens-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// E-1 E-2 E-3 E-4 E-8 E-10 V-74: what @ensdomains/content-hash gives, for every
// text form of a name, and back.
func TestVectors(t *testing.T) {
	names := 0
	for _, v := range vectors(t) {
		if v.Expected == "" {
			continue
		}
		names++
		for _, text := range []string{
			v.Input, v.Base36, v.Base32, v.PeerID,
			"/ipns/" + v.Base36, "ipns://" + v.Base36, "IPNS://" + v.PeerID, "ipns:" + v.Base32, "ipns://" + v.Base36 + "/",
		} {
			b, err := EncodeText(text)
			if err != nil || hex.EncodeToString(b) != v.Expected {
				t.Errorf("EncodeText(%q) = %x, %v; want %s", text, b, err, v.Expected)
			}
		}
		for _, s := range []string{v.Expected, "0x" + v.Expected, strings.ToUpper(v.Expected)} {
			b, err := ParseHex(s)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Decode(b)
			if err != nil || c.String() != v.DecodeHere || c.String() != v.Base36 {
				t.Errorf("Decode(%s) = %v, %v; want %s", s, c, err, v.DecodeHere)
			}
			if !bytes.Equal(Encode(c.Name), b) {
				t.Errorf("%s: not the same bytes again", s)
			}
		}
		if v.OldTool != "" && !strings.HasPrefix(v.OldTool, "ERR") {
			b, err := ParseHex(v.OldTool)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Decode(b)
			if err != nil || hex.EncodeToString(Encode(c.Name)) != v.Expected {
				t.Errorf("dag-pb form %s: %v, %v", v.OldTool, c, err)
			}
		}
	}
	if names < 6 {
		t.Errorf("only %d vectors of names", names)
	}
}

// E-6 E-7 E-8: the worked examples of the specification.
func TestWorkedExamples(t *testing.T) {
	for _, c := range []struct{ text, base36, hex string }{
		{
			"12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4",
			"k51qzi5uqu5dihst24f3rp2ej4co9berxohfkxaenbq1wjty7nrd5e9xp4afx1",
			"0xe50101720024080112205cbd1cc86ac20d6640795809c2a185bb2504538a2de8076da5a6971b8acb4715",
		},
		{
			"QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4",
			"k2k4r8kgnix5x0snul9112xdpqgiwc5xmvi8ja0szfhntep2d7qv8zz3",
			"0xe5010172122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f",
		},
		{
			"12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
			"k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
			"0xe50101720024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e976051b1e63af14d",
		},
		{
			"16Uiu2HAmUymv6JpFwNZppdKUMxGJuHsTeicXgHGKbBasu4Ruj3K1",
			"kzwfwjn5ji4puw3jc1qw4b073j74xvq21iziuqw4rem21pr7f0l4dj8i9yb978s",
			"0xe501017200250802122103f28af76e53c9b97249169612628c037a4884ca5858a63ddf9fc4f47cf6864fec",
		},
	} {
		b, err := EncodeText(c.text)
		if err != nil || Hex(b) != c.hex {
			t.Errorf("%s: got %s, %v", c.text, Hex(b), err)
		}
		got, err := Decode(b)
		if err != nil || got.String() != c.base36 || got.URI() != "ipns://"+c.base36 {
			t.Errorf("%s: got %v, %v", c.hex, got, err)
		}
	}

	// The same digest as immutable content.
	b, err := ParseHex("0xe3010170122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	const want = "bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4"
	if err != nil || got.String() != want || got.URI() != "ipfs://"+want || !bytes.Equal(EncodeCID(got.CID), b) {
		t.Errorf("got %v, %v", got, err)
	}
}

// The help of the command promises names and CIDs.
func TestEncodeTextOfCIDs(t *testing.T) {
	for text, want := range map[string]string{
		"bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am":         "0xe3010155122058",
		"ipfs://bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am":  "0xe3010155122058",
		"IPFS://bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am/": "0xe3010155122058",
		"/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am":   "0xe3010155122058",
		"bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4":         "0xe3010170122029f2d17be613",
		"QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4":                      "0xe5010172122029f2d17be613", // a name, as everywhere
		"ipfs://QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4":               "0xe3010170122029f2d17be613",
		"/ipfs/QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4":                "0xe3010170122029f2d17be613",
	} {
		b, err := EncodeText(text)
		if err != nil || !strings.HasPrefix(Hex(b), want) {
			t.Errorf("%s: %s, %v; want %s…", text, Hex(b), err, want)
		}
		if c, err := Decode(b); err != nil || (want[2:4] == "e3") != c.CID.Defined() {
			t.Errorf("%s comes back as %v, %v", text, c, err)
		}
	}
	for text, want := range map[string]string{
		"/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am/a/b": "no room for the path",
		"bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am/a":         "no room for the path",
		"ipfs://k51qzi5uqu5dihst24f3rp2ej4co9berxohfkxaenbq1wjty7nrd5e9xp4afx1": "write ipns://",
		"ipfs://app.uniswap.org": "is no CID",
		"ipns://bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am": "libp2p-key",
		"/ipld/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am":  "libp2p-key",
		"/ipfs/" + strings.Repeat("z", 10_000):                               "characters",
		"":                                                                   "libp2p-key",
	} {
		if b, err := EncodeText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %x, %v; want %q", text, b, err, want)
		}
	}
}

// E-5: a domain can be read, and not written.
func TestLegacyDomain(t *testing.T) {
	b, err := ParseHex("e5010170000f6170702e756e69737761702e6f7267")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Decode(b)
	if err != nil || c.Domain != "app.uniswap.org" || c.URI() != "ipns://app.uniswap.org" || !c.Name.IsZero() {
		t.Errorf("got %+v, %v", c, err)
	}
	if b, err := EncodeText("app.uniswap.org"); !errors.Is(err, ipns.ErrName) || !strings.Contains(err.Error(), "allows only valid cryptographic libp2p-key identifiers") {
		t.Errorf("EncodeText of a domain: %x, %v", b, err)
	}
}

// E-3 E-4: what must be refused.
func TestRefused(t *testing.T) {
	const key = "e50101720024080112205cbd1cc86ac20d6640795809c2a185bb2504538a2de8076da5a6971b8acb4715"
	for why, s := range map[string]string{
		"empty":                       "",
		"protocol code alone":         "e501",
		"swarm":                       "e40101fa011b20" + strings.Repeat("00", 32),
		"protocol code not a varint":  "e5",
		"byte after the CID":          key + "00",
		"truncated":                   key[:len(key)-2],
		"codec raw":                   strings.Replace(key, "0172", "0155", 1),
		"CID version 2":               strings.Replace(key, "0172", "0272", 1),
		"short identity":              "e50101720003080112",
		"identity that is no key":     "e5010172000161",
		"domain with a space":         "e50101700003612062",
		"domain with a control byte":  "e5010170000461072e62",
		"too long":                    "e501" + strings.Repeat("00", 300),
		"CIDv0 under ipns-ns":         "e5011220" + strings.Repeat("11", 32),
		"CIDv0 under ipfs-ns":         "e3011220" + strings.Repeat("11", 32),
		"broken CID under ipfs-ns":    "e301017012201111",
		"bytes after CID in ipfs-ns":  "e30101701220" + strings.Repeat("11", 33),
		"length with a wrong varint":  strings.Replace(key, "0024", "00a400", 1),
		"secp256k1 that is no point ": "e501017200250802122105" + strings.Repeat("11", 32),
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Decode(b); err == nil {
			t.Errorf("%s: %s decoded as %+v", why, s, c)
		}
	}
	for hexed, protocol := range map[string]string{
		"e40101fa011b20d1de9994b4d039f6548d191eb26786769f580809256b4685ef316805265ea162": "Swarm",
		"90b2c605deadbeef":     "Skynet",
		"90b2ca05deadbeef":     "Arweave",
		"bc03deadbeef":         "onion service of version 2",
		"bd03deadbeef":         "onion service",
		"e2010155":             "IPLD",
		"7f":                   "unknown protocol code 0x7f",
		"ffffffffffffffffffff": "no protocol code",
	} {
		b, err := hex.DecodeString(hexed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), protocol) {
			t.Errorf("%s: %v; want %s", hexed, err, protocol)
		}
	}
	for _, s := range []string{"0x0", "0xzz", "x", strings.Repeat("00", 300)} {
		if b, err := ParseHex(s); err == nil {
			t.Errorf("ParseHex(%q) = %x", s, b)
		}
	}
	if Encode(ipns.Name{}) != nil {
		t.Error("the zero Name has a contenthash")
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		for _, s := range []string{v.Expected, v.OldTool, strings.TrimPrefix(v.LegacyDomain, "0x")} {
			if b, err := hex.DecodeString(s); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil || c.Domain != "" {
			return
		}
		again := Encode(c.Name)
		if c.CID.Defined() {
			again = EncodeCID(c.CID)
		}
		back, err := Decode(again)
		if err != nil || back.String() != c.String() {
			t.Fatalf("%x: %v becomes %x: %v, %v", b, c, again, back, err)
		}
		if b[3] == 0x72 && !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x", b, again)
		}
	})
}

func ExampleEncodeText() {
	b, err := EncodeText("12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4")
	if err != nil {
		panic(err)
	}
	fmt.Println(Hex(b))
	// Output: 0xe50101720024080112205cbd1cc86ac20d6640795809c2a185bb2504538a2de8076da5a6971b8acb4715
}

func ExampleDecode() {
	b, err := ParseHex("0xe50101720024080112205cbd1cc86ac20d6640795809c2a185bb2504538a2de8076da5a6971b8acb4715")
	if err != nil {
		panic(err)
	}
	content, err := Decode(b)
	if err != nil {
		panic(err)
	}
	fmt.Println(content.URI())
	// Output: ipns://k51qzi5uqu5dihst24f3rp2ej4co9berxohfkxaenbq1wjty7nrd5e9xp4afx1
}
