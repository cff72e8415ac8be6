package folder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// tree creates files that contain their own names, and links ("name -> target"). It returns the folder
// "site".
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "site")
	for _, n := range append(names, "index.html") {
		name, target, isLink := strings.Cut(n, " -> ")
		at := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil && isLink {
			err = os.Symlink(strings.ReplaceAll(target, "ROOT", root), at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// walk returns the files and links of a walk with their content, and what was left out.
func walk(name string, o Options) (got, left []string, err error) {
	o.LeftOut = func(p, why string) { left = append(left, p+": "+why) }
	for e, err := range Walk(name, o) {
		if err != nil {
			return got, left, err
		}
		switch {
		case e.Target != "":
			got = append(got, e.Path+" -> "+e.Target)
		case e.Content != nil:
			b, err := io.ReadAll(e.Content)
			if err != nil {
				return got, left, err
			}
			got = append(got, e.Path+"="+string(b))
		case !e.Mode.IsDir():
			return got, left, fmt.Errorf("what is %+v?", e)
		}
	}
	return got, left, nil
}

func TestHiddenNamesAreLeftOutAndNamed(t *testing.T) {
	root := tree(t, ".well-known/nostr.json", ".well-known/.draft", ".git/config", "a/.env", "a/.well-known/x", "a/b")
	for _, tt := range []struct {
		o    Options
		got  []string
		left []string
	}{
		{
			Options{},
			[]string{"site/a/b=a/b", "site/index.html=index.html"},
			[]string{"site/.git: " + Hidden, "site/.well-known: " + Hidden, "site/a/.env: " + Hidden, "site/a/.well-known: " + Hidden},
		},
		{
			Options{WellKnown: true},
			[]string{"site/.well-known/nostr.json=.well-known/nostr.json", "site/a/.well-known/x=a/.well-known/x", "site/a/b=a/b", "site/index.html=index.html"},
			[]string{"site/.git: " + Hidden, "site/.well-known/.draft: " + Hidden, "site/a/.env: " + Hidden},
		},
		{
			Options{Hidden: true},
			[]string{
				"site/.git/config=.git/config", "site/.well-known/.draft=.well-known/.draft", "site/.well-known/nostr.json=.well-known/nostr.json",
				"site/a/.env=a/.env", "site/a/.well-known/x=a/.well-known/x", "site/a/b=a/b", "site/index.html=index.html",
			},
			nil,
		},
	} {
		got, left, err := walk(root, tt.o)
		if err != nil || !slices.Equal(got, tt.got) || !slices.Equal(left, tt.left) {
			t.Errorf("%+v:\n%q\nwithout %q, %v; want\n%q\nwithout %q", tt.o, got, left, err, tt.got, tt.left)
		}
	}
}

func TestLinksAreKeptOrFollowed(t *testing.T) {
	root := tree(t, "home -> index.html", "v2/page", "latest -> v2", "abs -> ROOT/v2/page", "v2/up -> ../index.html", "chain -> latest/up")
	got, left, err := walk(root, Options{})
	if want := []string{
		"site/abs -> " + root + "/v2/page", "site/chain -> latest/up", "site/home -> index.html", "site/index.html=index.html", "site/latest -> v2",
		"site/v2/page=v2/page", "site/v2/up -> ../index.html",
	}; err != nil || left != nil || !slices.Equal(got, want) {
		t.Errorf("kept: %q, %v; want %q", got, err, want)
	}
	for _, links := range []Links{FollowLinks, FollowWithin} {
		got, left, err := walk(root, Options{Links: links})
		if want := []string{
			"site/abs=v2/page", "site/chain=index.html", "site/home=index.html", "site/index.html=index.html", "site/latest/page=v2/page",
			"site/latest/up=index.html", "site/v2/page=v2/page", "site/v2/up=index.html",
		}; err != nil || left != nil || !slices.Equal(got, want) {
			t.Errorf("followed: %q without %q, %v; want %q", got, left, err, want)
		}
	}
}

func TestLinksThatCannotBeFollowed(t *testing.T) {
	for _, tt := range []struct {
		link       string
		left       string // why it is left out within a folder; "": it is an error there
		everywhere bool   // it is followed with FollowLinks
	}{
		{"l -> nowhere", Broken, false},
		{"l -> index.html/x", Broken, false},
		{"l -> l", Broken, false},
		{"l -> .", Looping, false},
		{"d/l -> ..", Looping, false},
		{"l -> /etc/hostname", "", true},
		{"d/l -> ../../site2", "", true},
		{"l -> ..", "", false},
	} {
		root := tree(t, tt.link)
		if err := os.MkdirAll(filepath.Join(root, "..", "site2"), 0o755); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(tt.link, " ")
		_, left, err := walk(root, Options{Links: FollowWithin})
		if tt.left == "" {
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "out of the folder") {
				t.Errorf("%s within: %v", tt.link, err)
			}
		} else if err != nil || !slices.Equal(left, []string{"site/" + name + ": " + tt.left}) {
			t.Errorf("%s within: %q, %v", tt.link, left, err)
		}
		if _, _, err = walk(root, Options{Links: FollowLinks}); (err == nil) != tt.everywhere {
			t.Errorf("%s everywhere: %v", tt.link, err)
		}
	}
}

// Ten folders, each with ten links to the next, are ten billion files.
func TestLinksThatMultiplyAreBounded(t *testing.T) {
	var names []string
	for i := range 10 {
		for j := range 10 {
			names = append(names, fmt.Sprintf("d%d/l%d -> ../d%d", i, j, i+1))
		}
	}
	root := tree(t, append(names, "d10/end")...)
	_, _, err := walk(root, Options{Links: FollowWithin})
	if err == nil || !strings.Contains(err.Error(), "symbolic links were followed") {
		t.Error(err)
	}
}

func TestLinkAsRoot(t *testing.T) {
	root := tree(t, "a")
	link := filepath.Join(filepath.Dir(root), "link")
	if err := os.Symlink("site", link); err != nil {
		t.Fatal(err)
	}
	if got, _, err := walk(link, Options{}); err != nil || !slices.Equal(got, []string{"link -> site"}) {
		t.Errorf("kept: %q, %v", got, err)
	}
	if got, _, err := walk(link, Options{Links: FollowLinks}); err != nil || !slices.Equal(got, []string{"link/a=a", "link/index.html=index.html"}) {
		t.Errorf("followed: %q, %v", got, err)
	}
}

func TestFileThatChangesWhileItIsRead(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"cut":        func(p string) error { return os.Truncate(p, 60_000) },
		"cut before": func(p string) error { return os.Truncate(p, 10) },
		"grown":      func(p string) error { return os.Truncate(p, 200_000) },
		"rewritten":  func(p string) error { return os.WriteFile(p, make([]byte, 100_000), 0o644) },
		"overwritten": func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), 99_999)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(p, make([]byte, 100_000), 0o644); err != nil {
				t.Fatal(err)
			}
			// A file system's clock may have a low resolution.
			if err := os.Chtimes(p, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
			for e, err := range Walk(p, Options{}) {
				if err != nil {
					t.Fatal(err)
				}
				_, err := io.CopyN(io.Discard, e.Content, 50_000)
				if err == nil {
					err = change(p)
				}
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // reading on does not help
					if _, err := io.Copy(io.Discard, e.Content); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
						t.Errorf("read with %v", err)
					}
				}
			}
		})
	}
	for e, err := range Walk(tree(t), Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Content != nil {
			if err := iotest.TestReader(struct{ io.Reader }{e.Content}, []byte("index.html")); err != nil {
				t.Error(err)
			}
		}
	}
	// Files whose size is unknown before they are read.
	if _, err := os.Stat("/proc/self/status"); err == nil {
		if got, _, err := walk("/proc/self/status", Options{}); err != nil || len(got) != 1 || len(got[0]) < 100 {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestSpecialFileIsRefused(t *testing.T) {
	root := tree(t)
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	if _, _, err := walk(root, Options{}); err == nil || !strings.Contains(err.Error(), "unrecognized file type for "+root+"/pipe: prw") {
		t.Error(err)
	}
}

func TestCheckSeesRealPaths(t *testing.T) {
	root := tree(t, "data/secret", "l -> data", "m -> data/secret")
	for _, name := range []string{root, filepath.Join(root, "l"), filepath.Join(root, "m"), filepath.Join(root, "data", "secret")} {
		_, _, err := walk(name, Options{Links: FollowLinks, Check: func(p string) error {
			if p == filepath.Join(root, "data", "secret") {
				return errors.New("secret")
			}
			return nil
		}})
		if err == nil || err.Error() != "secret" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
