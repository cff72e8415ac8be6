package denylist

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"

	"github.com/goipns/ipns"
)

// lists reads texts, as if each were a file.
func lists(t *testing.T, texts ...string) *Lists {
	t.Helper()
	l := &Lists{}
	var all []*list
	for _, text := range texts {
		one, err := read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range one.faults {
			t.Logf("line %d: %v", f.line, f.err)
		}
		all = append(all, one)
	}
	l.current.Store(&all)
	return l
}

func newCID(text string) cid.Cid {
	h, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func hashed(t *testing.T, code uint64, text string) string {
	h, err := multihash.Sum([]byte(text), code, -1)
	if err != nil {
		t.Fatal(err)
	}
	return h.B58String()
}

func text(c cid.Cid, base multibase.Encoding) string {
	s, err := c.StringOfBase(base)
	if err != nil {
		panic(err)
	}
	return s
}

func newName(t *testing.T) ipns.Name {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRulesDenyWhatTheySay(t *testing.T) {
	a, b, name := newCID("a"), newCID("b"), newName(t)
	v0 := cid.NewCidV0(a.Hash()).String()
	pb := cid.NewCidV1(cid.DagProtobuf, a.Hash())
	for _, c := range []struct {
		rules         string
		denied, other []string
	}{
		{"/ipfs/" + a.String(), []string{"/ipfs/" + a.String(), "/ipfs/" + v0, "/ipfs/" + pb.String(), "/ipfs/" + v0 + "/", "/ipld/" + pb.String()}, []string{"/ipfs/" + b.String(), "/ipfs/" + v0 + "/below"}},
		{"/ipfs/" + v0 + "/*", []string{"/ipfs/" + a.String(), "/ipfs/" + v0 + "/x", "/ipfs/" + pb.String() + "/x/y"}, []string{"/ipfs/" + b.String() + "/x"}},
		{"/ipfs/" + v0 + "/test*", []string{"/ipfs/" + v0 + "/test", "/ipfs/" + v0 + "/testing/x", "/ipfs/" + v0 + "/test/"}, []string{"/ipfs/" + v0, "/ipfs/" + v0 + "/tes", "/ipfs/" + b.String() + "/test"}},
		{"/ipfs/" + v0 + "/a%20b/%C3%A9", []string{"/ipfs/" + v0 + "/a b/é"}, []string{"/ipfs/" + v0 + "/a%20b/é"}},
		{"/ipfs/" + v0 + "/a+b", []string{"/ipfs/" + v0 + "/a+b", "/ipfs/" + v0 + "/a b"}, nil},
		{
			"/ipfs/" + v0 + "/x*\n!/ipfs/" + v0 + "/xa\n+/ipfs/" + v0 + "/xb/*\n-/ipfs/" + v0 + "/xc",
			[]string{"/ipfs/" + v0 + "/x", "/ipfs/" + v0 + "/xaa", "/ipfs/" + v0 + "/xd"},
			[]string{"/ipfs/" + v0 + "/xa", "/ipfs/" + v0 + "/xb/y", "/ipfs/" + v0 + "/xc"},
		},
		{"!/ipfs/" + v0 + "\n/ipfs/" + v0, []string{"/ipfs/" + v0}, nil},
		{"/ipns/site.example", []string{"/ipns/site.example", "/ipns/Site.example.", "/ipns/site-example"}, []string{"/ipns/other.example", "/ipns/site.example/x"}},
		{"/ipns/my-site.example/*", []string{"/ipns/my-site.example/x", "/ipns/my--site-example/x"}, []string{"/ipns/my.site.example/x"}},
		{"/ipns/site.example/path", []string{"/ipns/site.example/path"}, []string{"/ipns/site.example", "/ipns/site.example/path2"}},
		{"/ipns/" + name.String(), []string{"/ipns/" + name.String(), "/ipns/" + name.PeerID().String(), "/ipns/" + text(name.CID(), multibase.Base32)}, []string{"/ipns/" + newName(t).String()}},
		{"/ipns/" + name.PeerID().String() + "/*", []string{"/ipns/" + name.String() + "/x"}, nil},
		{"//" + sha256Hex(text(a, multibase.Base32)+"/"), []string{"/ipfs/" + a.String()}, []string{"/ipfs/" + pb.String(), "/ipfs/" + a.String() + "/x"}},
		{"//" + sha256Hex(text(a, multibase.Base32)+"/x/y"), []string{"/ipfs/" + a.String() + "/x/y", "/ipfs/" + a.String() + "/x/y/"}, []string{"/ipfs/" + a.String()}},
		{"//" + hashed(t, multihash.SHA2_256, v0), []string{"/ipfs/" + a.String(), "/ipfs/" + pb.String(), "/ipfs/" + v0}, []string{"/ipfs/" + v0 + "/x"}},
		{"//" + hashed(t, multihash.BLAKE3, v0+"/x"), []string{"/ipfs/" + a.String() + "/x"}, []string{"/ipfs/" + v0}},
		{"//" + sha256Hex("bad.example/"), []string{"/ipns/bad.example"}, []string{"/ipns/bad.example/x"}},
		{"//" + hashed(t, multihash.SHA2_256, "/ipns/bad.example/x"), []string{"/ipns/bad.example/x"}, []string{"/ipns/bad.example"}},
		{"//" + sha256Hex(text(name.CID(), multibase.Base32)+"/"), []string{"/ipns/" + name.String(), "/ipns/" + name.PeerID().String()}, nil},
		{"//" + hashed(t, multihash.SHA2_256, name.CID().Hash().B58String()+"/x"), []string{"/ipns/" + name.String() + "/x"}, []string{"/ipns/" + name.String()}},
		{"!//" + hashed(t, multihash.BLAKE3, v0) + "\n//" + hashed(t, multihash.SHA2_256, v0), []string{"/ipfs/" + v0}, nil},
		{"//" + hashed(t, multihash.BLAKE3, v0) + "\n!//" + hashed(t, multihash.SHA2_256, v0), nil, []string{"/ipfs/" + v0}},
		{"secret/file", []string{"/ipfs/" + a.String() + "/secret/file", "/ipns/any.example/secret/file"}, []string{"/ipfs/" + a.String() + "/secret/file2", "/ipfs/" + a.String()}},
		{"/secret*", []string{"/ipfs/" + a.String() + "/secrets/x"}, []string{"/ipfs/" + a.String() + "/x/secret"}},
		{"/ipfs/" + v0 + " reason=x other=y", []string{"/ipfs/" + v0}, nil},
		{"version: 1\nname: x\nhints:\n  a: b\n---\n/ipfs/" + v0, []string{"/ipfs/" + v0}, []string{"/ipfs/" + a.String() + "/x"}},
		{"---\r\n/ipfs/" + v0 + "\r\n", []string{"/ipfs/" + v0}, nil},
		{"# comment\n\n   \n/ipfs/" + v0, []string{"/ipfs/" + v0}, nil},
		{"/ipfs/bafkqaaa\n/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", nil, []string{"/ipfs/bafkqaaa", "/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"}},
	} {
		l := lists(t, c.rules)
		for _, p := range c.denied {
			if !l.DeniesPath(p) {
				t.Errorf("%q does not deny %s", c.rules, p)
			}
		}
		for _, p := range append(c.other, "", "/", "/ipfs/", "x", "/ipfs/none", "/other/x/y") {
			if l.DeniesPath(p) {
				t.Errorf("%q denies %s", c.rules, p)
			}
		}
	}
}

func TestCIDsAreDeniedWhereverTheyAreFound(t *testing.T) {
	a := newCID("a")
	pb := cid.NewCidV1(cid.DagProtobuf, a.Hash())
	v0 := cid.NewCidV0(a.Hash()).String()
	for rules, want := range map[string][2]bool{
		"/ipfs/" + v0:                                 {true, true},
		"/ipfs/" + v0 + "/*":                          {true, true},
		"/ipfs/" + v0 + "/x":                          {false, false},
		"//" + sha256Hex(a.String()+"/"):              {true, false},
		"//" + hashed(t, multihash.SHA2_256, v0):      {true, true},
		"//" + hashed(t, multihash.SHA2_256, v0+"/x"): {false, false},
		"/ipfs/" + v0 + "\n!/ipfs/" + a.String():      {false, false},
	} {
		l := lists(t, rules)
		if got := [2]bool{l.DeniesCID(a), l.DeniesCID(pb)}; got != want {
			t.Errorf("%q: %v, want %v", rules, got, want)
		}
	}
	if lists(t, "/ipfs/bafkqaaa").DeniesCID(cid.MustParse("bafkqaaa")) {
		t.Error("the empty file is denied")
	}
}

func TestTheLaterListHasTheLastWord(t *testing.T) {
	v0 := "/ipfs/" + newCID("a").String()
	for _, c := range []struct {
		texts []string
		want  bool
	}{
		{[]string{v0, "!" + v0}, false},
		{[]string{"!" + v0, v0}, true},
		{[]string{v0, "/ipfs/" + newCID("b").String()}, true},
	} {
		if got := lists(t, c.texts...).DeniesPath(v0); got != c.want {
			t.Errorf("%q: %v", c.texts, got)
		}
	}
}

func TestALineThatIsNotUnderstoodTakesNothingElseDown(t *testing.T) {
	v0 := "/ipfs/" + newCID("a").String()
	for _, bad := range []string{
		"/ipfs/", "/ipfs/nope", "/ipns/", "//", "//xyz", "//" + strings.Repeat("0", 63), "//" + strings.Repeat("z", 64), "/ipfs/" + newCID("b").String() + "/%zz", "%zz",
		"!", "\x00\xff", strings.Repeat("x", maxLine+1), strings.Repeat("/ipfs/", 300_000) + "/" + strings.Repeat("y", maxLine), "/ipns/%%/%%", "//12D3KooW",
	} {
		one, err := read(strings.NewReader("version: 1\n---\n" + bad + "\n" + v0))
		if err != nil {
			t.Fatal(err)
		}
		l := &Lists{}
		l.current.Store(&[]*list{one})
		if !l.DeniesPath(v0) {
			t.Errorf("%.40q takes the next line down", bad)
		}
		switch {
		case bad == "!" || bad == "\x00\xff": // a rule about a path, of which none is
		case one.faulty != 1 || len(one.faults) != 1 || one.faults[0].line != 3:
			t.Errorf("%.40q: %d faults, %+v", bad, one.faulty, one.faults)
		}
	}
	for _, header := range []string{"version: 2", "version: x", "version: -1"} {
		if _, err := read(strings.NewReader(header + "\n---\n" + v0)); err == nil {
			t.Errorf("a list of %s is read", header)
		}
	}
}

// folder is a folder of lists that are looked at.
type folder struct {
	t   *testing.T
	dir string
	log bytes.Buffer
	*Lists
}

func newFolder(t *testing.T) *folder {
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "denylists")}
	f.Lists = Open([]string{f.dir}, slog.New(slog.NewTextHandler(&f.log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// wait waits until the files were looked at.
func (f *folder) wait() {
	time.Sleep(Period + time.Second)
	synctest.Wait()
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		a, b := "/ipfs/"+newCID("a").String(), "/ipfs/"+newCID("b").String()
		expect := func(what string, first, second bool, changes uint64) {
			t.Helper()
			f.wait()
			if f.DeniesPath(a) != first || f.DeniesPath(b) != second || f.Changes() != changes {
				t.Errorf("%s: %v, %v, %d changes", what, f.DeniesPath(a), f.DeniesPath(b), f.Changes())
			}
		}
		expect("no folder", false, false, 0)
		f.write("x.deny", a+"\n")
		expect("a first file", true, false, 1)
		expect("nothing new", true, false, 1)
		f.write("x.deny", a+"\n"+b+"\n")
		expect("a line more", true, true, 2)
		f.write("x.deny", b+"\n")
		expect("a line less", false, true, 3)
		f.write("y.deny", "!"+b+"\n"+a)
		expect("a second file", true, false, 4)
		f.write("y.deny", "version: 9\n---\n")
		expect("one that can't be used", true, false, 4)
		f.write("z.txt", b)
		expect("another kind of file", true, false, 4)
		if err := os.Remove(filepath.Join(f.dir, "y.deny")); err != nil {
			t.Fatal(err)
		}
		expect("one less", false, true, 5)
		f.write("new", a+"\n")
		if err := os.Rename(filepath.Join(f.dir, "new"), filepath.Join(f.dir, "x.deny")); err != nil {
			t.Fatal(err)
		}
		expect("replaced by another file", true, false, 6)
		f.write("x.deny", a+"\nbad\n/ipfs/bad\n")
		expect("a bad line", true, false, 7)
		if log := f.log.String(); !strings.Contains(log, "line=3") || !strings.Contains(log, "x.deny") {
			t.Errorf("log:\n%s", log)
		}
		if err := os.RemoveAll(f.dir); err != nil {
			t.Fatal(err)
		}
		expect("all gone", false, false, 8)
	})
}

// A domain is denied in each of the ways in which it can be written.
func TestDomainsInOtherScripts(t *testing.T) {
	l := lists(t, "/ipns/xn--mnchen-3ya.example\n/ipns/плохо.example/x\n/ipns/example.com\n//"+sha256Hex("evil.example/")+"\n")
	for _, p := range []string{
		"münchen.example", "MÜNCHEN.example", "xn--mnchen-3ya.example", "плохо.example/x", "xn--k1agab6a.example/x",
		"ｅxample.com", "example。com", "example.com", "ｅvil.example", "example-com",
	} {
		if !l.DeniesPath("/ipns/" + p) {
			t.Errorf("%s is not denied", p)
		}
	}
	if l.DeniesPath("/ipns/munchen.example") || l.DeniesPath("/ipns/плохо.example") {
		t.Error("others are denied, too")
	}
}

// What can't be read takes nothing else down, is reported once, and says what it said before.
func TestFoldersThatCannotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root reads all: only a file in the place of a folder is tried")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		linked, broken := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "broken")
		if err := errors.Join(os.Symlink(f.dir, linked), os.WriteFile(broken, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		a := "/ipfs/" + newCID("a").String()
		f.write("x.deny", a)
		f.log.Reset()
		l := Open([]string{broken, linked}, f.Lists.log)
		if !l.DeniesPath(a) {
			t.Error("what is in a folder that is a link, after one that can't be read, is not denied")
		}
		l.look()
		if n := strings.Count(f.log.String(), "not all denylists"); n != 1 {
			t.Errorf("reported %d times:\n%s", n, f.log.String())
		}
		if err := errors.Join(os.Rename(f.dir, f.dir+"2"), os.WriteFile(f.dir, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		changes := l.Changes()
		if l.look(); !l.DeniesPath(a) || l.Changes() != changes {
			t.Error("what was read is not denied any more")
		}
		l.look()
		if n := strings.Count(f.log.String(), "can't be read"); n != 1 {
			t.Errorf("reported %d times:\n%s", n, f.log.String())
		}
		if err := os.Remove(f.dir); err != nil {
			t.Fatal(err)
		}
		if l.look(); l.DeniesPath(a) {
			t.Error("what is no more is still denied")
		}
	})
}

func TestListsCanBeTurnedOff(t *testing.T) {
	dir := t.TempDir()
	a := "/ipfs/" + newCID("a").String()
	if err := os.WriteFile(filepath.Join(dir, "x.deny"), []byte(a), 0o644); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if !Open([]string{dir}, log).DeniesPath(a) {
		t.Fatal("it is not denied")
	}
	t.Setenv(off, "true")
	if Open([]string{dir}, log).DeniesPath(a) {
		t.Error("it is still denied")
	}
}

func TestTooManyFaultsAreCounted(t *testing.T) {
	one, err := read(strings.NewReader(strings.Repeat("/ipfs/bad\n", 1000)))
	if err != nil || len(one.faults) != maxFaults || one.faulty != 1000 {
		t.Errorf("%d reported of %d, %v", len(one.faults), one.faulty, err)
	}
	var many strings.Builder
	for i := range maxPrefixes + 10 {
		fmt.Fprintf(&many, "/x%d*\n", i)
	}
	if one, err = read(strings.NewReader(many.String())); err != nil || len(one.prefixes) != maxPrefixes || one.faulty != 10 {
		t.Errorf("%d rules for beginnings, %d faults, %v", len(one.prefixes), one.faulty, err)
	}
}

// Whatever a list has and is asked, it is bounded and does not panic.
func FuzzLists(f *testing.F) {
	a := newCID("a").String()
	f.Add("version: 1\n---\n/ipfs/"+a+"/x*\n!/ipfs/"+a, "/ipfs/"+a+"/x")
	f.Add("//"+sha256Hex(a+"/")+"\n**\n*\n+\n-\n!", "/ipns/x.example/y")
	f.Add("---\n---\n/ipns/-\n/ipns/--", "/ipns/-/")
	f.Fuzz(func(t *testing.T, rules, path string) {
		one, err := read(strings.NewReader(rules))
		if err != nil {
			return
		}
		l := &Lists{}
		l.current.Store(&[]*list{one})
		l.DeniesPath(path)
		if c, err := cid.Decode(strings.TrimPrefix(path, "/ipfs/")); err == nil && l.DeniesCID(c) && safe[string(c.Hash())] {
			t.Errorf("%q denies the empty %s", rules, c)
		}
	})
}
