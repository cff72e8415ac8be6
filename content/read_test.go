package content

import (
	"io"
	"strings"
	"testing"
)

func TestResolveAndCatErrors(t *testing.T) {
	s := offlineStore(t)
	root := rootOf(t, add(t, s, entries(file("d/a", "hello\n"), dir("d/e")), AddOptions{CIDVersion: 1})).CID.String()
	for _, tt := range []struct{ path, want string }{
		{"nope", `invalid path "nope": path does not have enough components`},
		{"/ipfs/nope", `invalid path "/ipfs/nope"`},
		{"/nope/" + root, "unknown namespace"},
		{"/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8", "resolve the name first"},
		{root, root + ": this dag node is a directory"},
		{root + "/e", "this dag node is a directory"},
		{root + "/x", `no link named "x" under ` + root},
		{root + "/a/x", "continues after a file"},
		{absent, absent},
		{absent + "/x", absent},
	} {
		_, err := s.Cat(t.Context(), tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("cat %s: %v, want one line with %q", tt.path, err, tt.want)
		}
	}
	c, err := s.Resolve(t.Context(), absent)
	if err != nil || c.String() != absent {
		t.Errorf("resolving a CID alone: %v, %v", c, err)
	}
}

func TestCatSeeks(t *testing.T) {
	s := offlineStore(t)
	root := rootOf(t, add(t, s, entries(file("d/a", strings.Repeat("0123456789", 100_000))), AddOptions{})).CID
	r, err := s.Cat(t.Context(), "/ipfs/"+root.String()+"/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Seek(600_003, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 7)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "3456789" {
		t.Errorf("read %q, %v", b, err)
	}
}

// A CID with an identity hash contains its data.
func TestCatOfIdentityCIDs(t *testing.T) {
	s := offlineStore(t)
	for c, want := range map[string]string{"bafkqaddwgevxmmraojswg33smq": "v1+v2 record", "/ipfs/bafkqaaa": ""} {
		if got := cat(t, s, c); got != want {
			t.Errorf("%s holds %q, want %q", c, got, want)
		}
	}
}
