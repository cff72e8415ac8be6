package content

import (
	"bytes"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
)

type part struct{ kind, name, body string }

// body writes parts as `ipfs add` sends them.
func body(t testing.TB, parts ...part) *multipart.Reader {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		disposition := `form-data; name="file"`
		if p.name != "" {
			disposition += `; filename="` + url.QueryEscape(p.name) + `"`
		}
		h.Set("Content-Disposition", disposition)
		if p.kind != "" {
			h.Set("Content-Type", p.kind)
		}
		pw, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pw.Write([]byte(p.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return multipart.NewReader(&b, w.Boundary())
}

// A tree has one CID, whichever way it comes.
func TestMultipartIsTheSameTree(t *testing.T) {
	s := offlineStore(t)
	root := writeTree(t, map[string]string{"index.html": "<p>", "a b/ü+1.txt": "x", "empty/": ""})
	want := add(t, s, FromPath(root, false), AddOptions{CIDVersion: 1})
	const octets, directory = "application/octet-stream", "application/x-directory"
	got := add(t, s, FromMultipart(body(t,
		part{directory, "site", ""},
		part{directory, "site/a b", ""},
		part{octets, "site/a b/ü+1.txt", "x"},
		part{directory, "site/empty", ""},
		part{octets, "site/index.html", "<p>"},
	)), AddOptions{CIDVersion: 1})
	if !slices.Equal(got, want) {
		t.Errorf("events\n%v, want\n%v", got, want)
	}
	implied := add(t, s, FromMultipart(body(t,
		part{octets, "site/a b/ü+1.txt", "x"},
		part{directory, "/site/empty", ""},
		part{"", "site/index.html", "<p>"},
	)), AddOptions{CIDVersion: 1})
	if !slices.Equal(implied, want) {
		t.Errorf("events without entries for directories\n%v, want\n%v", implied, want)
	}
}

func TestMultipartLinkAndUnnamed(t *testing.T) {
	s := offlineStore(t)
	got := add(t, s, FromMultipart(body(t,
		part{"application/symlink", "l", "target"},
		part{"application/octet-stream", "", "hello\n"},
	)), AddOptions{CIDVersion: 1})
	link := rootOf(t, add(t, s, entries(Entry{Path: "l", Mode: 1 << 27, Target: "target"}), AddOptions{CIDVersion: 1}))
	if len(got) != 2 || got[0] != link || got[1].Name != "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am" {
		t.Errorf("events %v, link %v", got, link)
	}
}

// A request that breaks off, in a file or between two, must not pass for a smaller tree.
func TestMultipartCutOff(t *testing.T) {
	const head = "--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n"
	for _, sent := range []string{head + "half", head + "all\r\n--b", head + "all\r\n--b\r\nContent-Dis"} {
		s := offlineStore(t)
		r := multipart.NewReader(strings.NewReader(sent), "b")
		err := addErr(t, s, FromMultipart(r), AddOptions{Pin: true, Wrap: true})
		for p := range s.Pins(t.Context(), AnyPin) {
			t.Errorf("%q failed with %v, but left the pin %v", sent, err, p)
		}
	}
}
