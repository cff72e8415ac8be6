package ens_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/ens"
)

// Namehashes of ENSIP-1, and of names that need ENSIP-15.
func TestNamehashesAreThoseOfTheStandard(t *testing.T) {
	for name, want := range map[string]string{
		"foo.eth":      "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f",
		"FOO.eth":      "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f",
		"alice.eth":    "787192fc5378cc32aa956ddfdedbf26b24e8d78e40109add0eea2c1a012c3dec",
		"f\u00ado.eth": "", // the soft hyphen is no part of a name
	} {
		n, err := ens.Normalize(name)
		if want == "" {
			if err == nil && n != "fo.eth" {
				t.Errorf("%q: %q", name, n)
			}
			continue
		}
		node := ens.Node(n)
		if err != nil || hex.EncodeToString(node[:]) != want {
			t.Errorf("%q: %q %x, %v; want %s", name, n, node, err, want)
		}
	}
	for _, name := range []string{"", "eth", ".eth", "a..eth", "a b.eth", "a_b.eth", "раypal.eth", strings.Repeat("a", 256) + ".eth", strings.Repeat("a.", 600) + "eth", "a\x00.eth"} {
		if n, err := ens.Normalize(name); err == nil {
			t.Errorf("%q is taken as %q", name, n)
		}
	}
}

// chain is an Ethereum node that knows contracts: what a call with some data answers.
type chain struct {
	id      string
	answers map[string]string // address and call, in hex, to the result in hex
	reverts map[string]string // to the data of a refusal
	raw     string            // what it answers to everything; empty: as above
}

func (c chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.raw != "" {
		w.Write([]byte(c.raw))
		return
	}
	var q struct {
		Method string
		Params []json.RawMessage
	}
	json.NewDecoder(r.Body).Decode(&q)
	answer := map[string]any{"jsonrpc": "2.0", "id": 1}
	switch q.Method {
	case "eth_chainId":
		answer["result"] = c.id
	case "eth_call":
		var call struct{ To, Data string }
		json.Unmarshal(q.Params[0], &call)
		key := call.To + " " + strings.TrimPrefix(call.Data, "0x")
		if data, ok := c.reverts[key]; ok {
			answer["error"] = map[string]any{"code": 3, "message": "execution reverted", "data": "0x" + data}
		} else {
			answer["result"] = "0x" + c.answers[key]
		}
	default:
		answer["error"] = map[string]any{"code": -32601, "message": "the method does not exist"}
	}
	json.NewEncoder(w).Encode(answer)
}

func (c chain) client(t *testing.T) *ens.Client {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return &ens.Client{URL: s.URL + "/v3/secret-key"}
}

// words joins hex, each piece filled up on its left to a word, or on its right if it begins with '<'.
func words(pieces ...string) string {
	var b strings.Builder
	for _, p := range pieces {
		left, ok := strings.CutPrefix(p, "<")
		pad := (64 - len(left)%64) % 64
		if ok {
			b.WriteString(left + strings.Repeat("0", pad))
		} else {
			b.WriteString(strings.Repeat("0", pad) + left)
		}
	}
	return b.String()
}

const (
	resolver   = "4976fb03c32e5b8cfe2b6ccb31c09ba78ebaba41"
	fooNode    = "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"
	ethNode    = "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"
	isExtended = "0x" + resolver + " 01ffc9a79061b92300000000000000000000000000000000000000000000000000000000"
	askFoo     = "0x" + resolver + " bc1c58d1" + fooNode
	hash       = "e5010172002408011220c5f2a5b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e" // 42 bytes: 2a
)

var registryFoo = ens.Registry + " 0178b8bf" + fooNode

func TestLookupOfTheChain(t *testing.T) {
	// resolve(dnsEncode("foo.eth"), contenthash(node)), as an extended resolver is asked.
	extended := "0x" + resolver + " 9061b923" + words("40", "80", "9", "<03666f6f0365746800", "24", "<bc1c58d1"+fooNode)
	found := words("20", "2a", "<"+hash)
	for _, test := range []struct {
		name  string
		chain chain
		want  ens.Entry
		err   string
	}{
		{
			"its own resolver",
			chain{answers: map[string]string{registryFoo: words(resolver), askFoo: found}},
			ens.Entry{Contenthash: unhex(hash)},
			"",
		},
		{
			"nothing set",
			chain{answers: map[string]string{registryFoo: words(resolver), askFoo: words("20", "0")}},
			ens.Entry{},
			"",
		},
		{
			"an extended resolver of its own",
			chain{answers: map[string]string{
				registryFoo: words(resolver), isExtended: words("1"), extended: words("20", "80") + found,
			}},
			ens.Entry{Contenthash: unhex(hash)},
			"",
		},
		{
			"an extended resolver of the parent",
			chain{answers: map[string]string{
				registryFoo: words("0"), ens.Registry + " 0178b8bf" + ethNode: words(resolver), isExtended: words("1"), extended: words("20", "80") + found,
			}},
			ens.Entry{Contenthash: unhex(hash), Parent: "eth"},
			"",
		},
		{
			"a parent that answers for itself alone",
			chain{answers: map[string]string{
				registryFoo: words("0"), ens.Registry + " 0178b8bf" + ethNode: words(resolver), isExtended: words("0"),
			}},
			ens.Entry{},
			ens.ErrNoResolver.Error(),
		},
		{
			"no resolver at all",
			chain{answers: map[string]string{registryFoo: words("0"), ens.Registry + " 0178b8bf" + ethNode: words("0")}},
			ens.Entry{},
			ens.ErrNoResolver.Error(),
		},
		{
			"offchain",
			chain{
				answers: map[string]string{registryFoo: words(resolver), isExtended: words("1")},
				reverts: map[string]string{extended: "556f1830" + words(resolver, "a0", "120", "12345678", "120", "1", "20", "11") + words("<"+hex.EncodeToString([]byte("https://x.y/{data")))},
			},
			ens.Entry{Offchain: []string{"https://x.y/{data"}},
			"",
		},
		{"another chain", chain{answers: map[string]string{}}, ens.Entry{}, "no ENS registry on chain 1"},
		{"a refusal", chain{answers: map[string]string{registryFoo: words(resolver)}, reverts: map[string]string{askFoo: "08c379a0"}}, ens.Entry{}, "the contract refuses"},
		{"a false offset", chain{answers: map[string]string{registryFoo: words(resolver), askFoo: words("ffffffff", "2a")}}, ens.Entry{}, "cannot be read"},
		{"a false length", chain{answers: map[string]string{registryFoo: words(resolver), askFoo: words("20", "ffffffffffffffff", "00")}}, ens.Entry{}, "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.chain.id = "0x1"
			e, err := test.chain.client(t).Lookup(t.Context(), "Foo.eth")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("%+v, %v; want the error %q", e, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Name != "foo.eth" || e.Node != "0x"+fooNode || e.Chain != 1 || e.Resolver != "0x"+resolver || e.Parent != test.want.Parent ||
				!bytes.Equal(e.Contenthash, test.want.Contenthash) || strings.Join(e.Offchain, " ") != strings.Join(test.want.Offchain, " ") {
				t.Errorf("%+v, want %+v", e, test.want)
			}
		})
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestErrorsOfTheNodeShowNoKey(t *testing.T) {
	dead := httptest.NewServer(chain{})
	dead.Close()
	clients := map[string]*ens.Client{
		"gone":          {URL: dead.URL + "/v3/secret-key"},
		"no URL":        {URL: "http://a b/secret-key"},
		"no JSON":       chain{raw: "<html>"}.client(t),
		"too much":      chain{raw: strings.Repeat("[", 2<<20)}.client(t),
		"no chain":      chain{id: "one"}.client(t),
		"no result":     chain{raw: "{}"}.client(t),
		"a refusal":     chain{raw: `{"error":{"message":"rate limit"}}`}.client(t),
		"another error": chain{raw: `{"error":{"message":"x","data":7}}`}.client(t),
	}
	clients["a long one"] = chain{raw: `{"error":{"message":"` + strings.Repeat("x", 1<<19) + `"}}`}.client(t)
	for name, c := range clients {
		_, err := c.Lookup(t.Context(), "foo.eth")
		if err == nil || strings.Contains(err.Error(), "secret-key") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := clients["no chain"].Lookup(ctx, "foo.eth"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCalldataIsWhatTheResolverTakes(t *testing.T) {
	got, err := ens.Calldata("foo.eth", unhex(hash))
	want := "304e6ade" + fooNode + words("40", "2a", "<"+hash)
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v\nwant %s", got, err, want)
	}
	if _, err := ens.Calldata("foo", nil); err == nil {
		t.Error("a name without a dot is taken")
	}
}

func FuzzLookup(f *testing.F) {
	f.Add(unhex(words("20", "2a", "<"+hash)), false)
	f.Add(unhex("556f1830"+words(resolver, "a0", "120", "12345678", "120", "1", "20", "11")), true)
	f.Fuzz(func(t *testing.T, answer []byte, refused bool) {
		c := chain{id: "0x1", answers: map[string]string{registryFoo: words(resolver), askFoo: hex.EncodeToString(answer)}}
		if refused {
			c.reverts = map[string]string{askFoo: hex.EncodeToString(answer)}
		}
		e, err := c.client(t).Lookup(t.Context(), "foo.eth")
		if err == nil && !refused && len(answer) > 0 && !bytes.Contains(answer, e.Contenthash) {
			t.Errorf("%x is not of the answer", e.Contenthash)
		}
	})
}
