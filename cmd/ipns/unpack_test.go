package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An archive of strangers writes nothing outside of its folder, and follows no link.
func TestUnpackStaysInItsFolder(t *testing.T) {
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	}
	folder := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for _, test := range []struct {
		name    string
		entries []tar.Header
		err     string
	}{
		{"the parent", []tar.Header{folder("d"), file("d/../../outside")}, "is not below"},
		{"elsewhere", []tar.Header{folder("d"), file("/outside")}, "is not below"},
		{"another root", []tar.Header{folder("d"), file("e/outside")}, "is not below"},
		{"through a link", []tar.Header{folder("d"), link("d/l", ".."), file("d/l/outside")}, "is not in a folder"},
		{"through a link to it", []tar.Header{folder("d"), link("d/l", "../outside"), file("d/l")}, ""},
		{"a folder over a link", []tar.Header{folder("d"), link("d/l", ".."), folder("d/l"), file("d/l/outside")}, "is no folder"},
		{"a root that goes up", []tar.Header{file("..")}, "want one name"},
		{"a hard link", []tar.Header{folder("d"), {Name: "d/h", Typeflag: tar.TypeLink, Linkname: "../outside"}}, "neither a file nor a folder"},
		{"a device", []tar.Header{folder("d"), {Name: "d/null", Typeflag: tar.TypeChar}}, "neither a file nor a folder"},
		{"two files", []tar.Header{file("a"), file("b")}, "more than one file"},
		{"nothing", nil, "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range test.entries {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if h.Size > 0 {
					if _, err := w.Write([]byte("x")); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			outside := filepath.Join(dir, "outside")
			if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := unpack(&b, filepath.Join(dir, "d"))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, want %q", err, test.err)
			}
			if got, err := os.ReadFile(outside); err != nil || string(got) != "mine" {
				t.Errorf("the file outside holds %q, %v", got, err)
			}
			all, err := os.ReadDir(dir)
			if err != nil || len(all) > 2 {
				t.Errorf("beside it are %v, %v", all, err)
			}
		})
	}
}
