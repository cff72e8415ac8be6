package folder

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func siteRules(t *testing.T, text string) *SiteRules {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, RulesFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := ReadSiteRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSiteRulesAreThoseOfAGitignore(t *testing.T) {
	for _, tt := range []struct {
		rules string
		out   string // paths that are left out; one that ends with / is a folder
		in    string
	}{
		{"node_modules", "node_modules/ a/node_modules/ node_modules", "node_module/ xnode_modules"},
		{"build/", "build/ a/build/", "build a/build"},
		{"/build", "build build/", "a/build"},
		{"docs/*.md", "docs/a.md", "a.md docs/sub/a.md x/docs/a.md"},
		{"*.log\n!keep.log", "a.log sub/b.log", "keep.log sub/keep.log a.log.txt"},
		{"**/cache", "cache/ a/cache a/b/cache", "acache"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "b x/a/b"},
		{"a/**", "a/x a/x/y", "a/ b"},
		{"[a-c].txt", "a.txt x/b.txt", "d.txt ab.txt"},
		{"[!a].txt", "b.txt", "a.txt"},
		{"a?c", "abc a.c aöc", "a/c abbc ac"},
		{"# none\n\n\\#one\n\\!two\nthree  \nfour\\ ", "#one !two three four\u0020", "none four one"},
		{"x[y", "x[y", "xy"},
		{"a.b", "a.b", "acb"},
		{"ü*.txt", "über.txt", "uber.txt"},
		{"*", "a b/ c/d", ""},
		{"\ufeffsecret\n", "secret a/secret", "secrets"}, // as some editors begin a file
		{"**/cache", "a\nb/cache", "cache2"},
	} {
		r := siteRules(t, tt.rules)
		check := func(list, want string) {
			for p := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ' ' && !strings.Contains(tt.rules, `\ `) }) {
				name, dir := strings.CutSuffix(p, "/")
				if got := r.LeaveOut(name, dir); got != want {
					t.Errorf("rules %q: %q is left out because %q, want %q", tt.rules, p, got, want)
				}
			}
		}
		if strings.Contains(tt.rules, `\ `) {
			for _, p := range []string{"#one", "!two", "three", "four "} {
				if r.LeaveOut(p, false) != Ignored {
					t.Errorf("rules %q: %q is not left out", tt.rules, p)
				}
			}
			if r.LeaveOut("four", false) != "" {
				t.Errorf("rules %q: a space that is escaped was dropped", tt.rules)
			}
			continue
		}
		check(tt.out, Ignored)
		check(tt.in, "")
	}
}

func TestTemporaryFilesOfEditorsAreLeftOutUnlessARuleTakesThemIn(t *testing.T) {
	r := siteRules(t, "")
	for _, p := range strings.Fields("a.html~ css/.one.css.swp .x.swpx 4913 a/4913 .#a.txt #a.txt# upload.tmp x.crdownload .goutputstream-AB12 a___jb_tmp___ .DS_Store ~$a.docx") {
		if r.LeaveOut(p, false) != Temporary {
			t.Errorf("%s is not left out", p)
		}
	}
	for _, p := range strings.Fields("index.html a.swp 49131 # tmp a.tmp.html #a") {
		if why := r.LeaveOut(p, false); why != "" {
			t.Errorf("%s is left out: %s", p, why)
		}
	}
	if r.LeaveOut("4913", true) != "" || r.LeaveOut("x.tmp", true) != "" {
		t.Error("a folder is taken for a temporary file")
	}
	r = siteRules(t, "!*.tmp\n!4913\n")
	if r.LeaveOut("a.tmp", false)+r.LeaveOut("4913", false) != "" || r.LeaveOut("a~", false) != Temporary {
		t.Error("a rule does not take in what it says")
	}
	if r.LeaveOut(RulesFile, false) != Ignored {
		t.Error("the rules are published")
	}
}

func TestRulesThatCannotBeReadAreAnErrorThatNamesTheLine(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"ok\n[z-a].txt\n":                 "line 2",
		"!\n":                             "line 1",
		strings.Repeat("x\n", maxRules+1): "more than 1000 rules",
	} {
		if err := os.WriteFile(filepath.Join(dir, RulesFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSiteRules(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rules %.20q: %v, want %q", text, err, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, RulesFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, RulesFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSiteRules(dir); err == nil {
		t.Error("a folder was read as rules")
	}
	if err := os.Remove(filepath.Join(dir, RulesFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, RulesFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSiteRules(dir); err == nil {
		t.Error("a link to nothing was read as no rules")
	}
}

// Links to folders are published as folders, so rules for folders are for them, too.
func TestARuleForFoldersLeavesOutALinkToOne(t *testing.T) {
	root := tree(t, ".drafts/secret", "index.html", "drafts -> .drafts")
	if err := os.WriteFile(filepath.Join(root, RulesFile), []byte("drafts/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := ReadSiteRules(root)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range Walk(root, Options{Links: FollowWithin, Ignore: rules.LeaveOut}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Path, "drafts") {
			t.Errorf("%s is not left out", e.Path)
		}
	}
}

func TestKnownFilesAreNotOpened(t *testing.T) {
	root := tree(t, "a/one", "a/two", "link -> a/one")
	if err := os.Chmod(filepath.Join(root, "a/one"), 0); err != nil {
		t.Fatal(err)
	}
	known := 0
	for e, err := range Walk(root, Options{Links: FollowWithin, Known: func(p string, info fs.FileInfo) bool {
		return slices.Contains([]string{"site/a/one", "site/link"}, p) && info.Size() == int64(len("a/one"))
	}}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Known {
			known++
		}
		if e.Known != (e.Content == nil && !e.Mode.IsDir()) || e.Info == nil {
			t.Errorf("%s: known %t, content %v, info %v", e.Path, e.Known, e.Content, e.Info)
		}
	}
	if known != 2 {
		t.Errorf("%d files were known, want 2", known)
	}
}
