package resolver

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
)

func TestParsePath(t *testing.T) {
	const k = "k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w"
	for text, want := range map[string]string{
		k:                         "/ipns/" + k, // N-20
		"/ipns/" + k:              "/ipns/" + k,
		"/ipns/" + k + "/a/":      "/ipns/" + k + "/a/", // N-28
		"/ipns/" + k + "/a//b/..": "/ipns/" + k + "/a",
		k + "/a":                  "/ipns/" + k + "/a",
		"ipns://" + k:             "/ipns/" + k, // N-27
		"ipns:" + k + "/a%20b":    "/ipns/" + k + "/a%20b",
		"IpNs://" + k + "/":       "/ipns/" + k + "/",
		"example.com":             "/ipns/example.com", // N-24
		"ipns://example.com/a?b":  "/ipns/example.com/a?b",
		"/ipns/fqdn.example.com.": "/ipns/fqdn.example.com.",
	} {
		if got, err := ParsePath(text); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "/", "/ipns", "/ipns/", "/ipns//" + k, "/ipns//ipns/" + k, "/ipfs/bafkqaaa", "/ipld/bafkqaaa",
		"ipfs://bafkqaaa", "ipns:", "ipns://", "/other/" + k, "/ipns/../ipfs/bafkqaaa", "ipns:///" + k, "ipns:/ipns/" + k,
		k + "/a\x00b",
	} {
		got, err := ParsePath(text)
		if !errors.Is(err, ErrPath) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	// P-20: Kubo's wording
	if _, err := ParsePath("/ipfs/bafkqaaa"); err == nil || err.Error() != `"/ipfs/bafkqaaa" is not an IPNS name` {
		t.Error(err)
	}
}

func TestParseDomain(t *testing.T) { // N-24, D-16, D-17
	for text, want := range map[string]string{
		"example.com":                            "example.com",
		"Example.COM.":                           "example.com",
		"singlednslabelshouldbeok":               "singlednslabelshouldbeok",
		"_acme.1234.test":                        "_acme.1234.test",
		"bücher.example":                         "xn--bcher-kva.example",
		"bücher。example。":                        "xn--bcher-kva.example",
		"BÜCHER.example.":                        "xn--bcher-kva.example",
		strings.Repeat("a", 63) + ".test":        strings.Repeat("a", 63) + ".test",
		"123":                                    "123",
		"_dnslink.example.com":                   "_dnslink.example.com",
		"en.wikipedia-on-ipfs.org":               "en.wikipedia-on-ipfs.org",
		strings.Repeat("abcdefghi.", 25) + "abc": strings.Repeat("abcdefghi.", 25) + "abc",
	} {
		if got, err := parseDomain(text); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "..", "a..", "a。.", "a..b", "１２７.0.0.1", ".a", "a b", "a\tb", "a#b", "a?b", "a:80", "127.0.0.1", "127.0.0.1.", "::1", "[::1]",
		"a\x00", "a\r\nb", strings.Repeat("a", 64) + ".test", strings.Repeat("abcdefghi.", 26), "\xff.test", "a\u202eb.test",
	} {
		if got, err := parseDomain(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// N-23: a CID of content is not a domain, and the error says what it is.
func TestParseRootOtherCID(t *testing.T) {
	for _, root := range []string{
		"bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui",
		"bafkqaaa",
	} {
		_, _, err := parseRoot(root)
		if !errors.Is(err, ErrPath) || !errors.Is(err, ipns.ErrName) || !strings.Contains(err.Error(), "libp2p-key") {
			t.Errorf("%s: %v", root, err)
		}
	}
}

// Decoding takes quadratic time, so long text is refused first.
func TestLongTextIsRefusedAtOnce(t *testing.T) {
	long := strings.Repeat("2", 1<<20)
	for _, prefix := range []string{"k", "z", "b", "f", "Qm", "1", "a.", "ü"} {
		text, entry := prefix+long, "dnslink="+prefix+long
		least := time.Hour // the machine may be busy
		for range 100 {
			start := time.Now()
			if _, err := ParsePath(text); !errors.Is(err, ErrPath) {
				t.Fatalf("%s: %v", prefix, err)
			}
			if _, _, err := parseRoot(text); !errors.Is(err, ErrPath) {
				t.Fatalf("%s: %v", prefix, err)
			}
			if _, err := appendRest(Hop{Value: "/ipfs/" + text[:5000]}, ""); !errors.Is(err, ipns.ErrValue) {
				t.Fatalf("%s: %v", prefix, err)
			}
			if path, ok := parseLink(entry); ok {
				t.Fatalf("%s: %.20s", prefix, path)
			}
			least = min(least, time.Since(start))
		}
		if least > 10*time.Millisecond {
			t.Errorf("%s: %v", prefix, least)
		}
	}
}

// Every root is a name or a domain in its canonical form, or an error.
func FuzzParseRoot(f *testing.F) {
	for _, s := range []string{"k51", "example.com", "12D3KooW", "Qm", "b", "f01", "a.b.", "_x", "xn--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, domain, err := parseRoot(s)
		if err != nil {
			return
		}
		if name.IsZero() == (domain == "") {
			t.Fatalf("%q: neither or both of %v, %q", s, name, domain)
		}
		if domain != "" {
			if again, err := parseDomain(domain); again != domain || err != nil {
				t.Fatalf("%q: %q is not canonical: %q, %v", s, domain, again, err)
			}
		}
	})
}

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{"dnslink=/ipfs/bafkqaaa", "dnslink=bafkqaaa", "/ipns/example.com", "dnslink=", "dnslink=/ipns/a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path, ok := parseLink(s)
		if !ok {
			return
		}
		if again, err := ipns.ParsePath(path); again != path || err != nil {
			t.Fatalf("%q: %q is not canonical: %q, %v", s, path, again, err)
		}
	})
}
