package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// made is the site of this repository.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	s, err := read("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// tag is an element of a page, with its attributes.
type tag struct {
	name string
	attr map[string]string
}

// tags are the elements of a page in their order.
func tags(t *testing.T, page []byte) []tag {
	t.Helper()
	var all []tag
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			return all
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			one := tag{token.Data, map[string]string{}}
			for _, a := range token.Attr {
				one.attr[a.Key] = a.Val
			}
			all = append(all, one)
		}
	}
}

// links of a page, or what it loads.
func (one tag) link() string {
	if to, ok := one.attr["src"]; ok {
		return to
	}
	return one.attr["href"]
}

// TestNoLinkIsDead follows every link of the site: relative, to a file of it, and to a heading that is there.
func TestNoLinkIsDead(t *testing.T) {
	files := made(t)
	ids := map[string]map[string]bool{}
	for name, data := range files {
		if ids[name] = map[string]bool{}; path.Ext(name) != ".html" {
			continue
		}
		for _, one := range tags(t, data) {
			if id := one.attr["id"]; id != "" {
				if ids[name][id] {
					t.Errorf("%s: two elements have the id %q", name, id)
				}
				ids[name][id] = true
			}
		}
	}
	inside, outside := 0, 0
	for name, data := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		for _, one := range tags(t, data) {
			to := one.link()
			if to == "" {
				continue
			}
			if strings.HasPrefix(to, "https://") && one.name == "a" {
				outside++
				continue
			}
			inside++
			file, fragment, _ := strings.Cut(to, "#")
			if strings.Contains(file, ":") || strings.HasPrefix(file, "/") {
				t.Errorf("%s: %s is not relative", name, to)
				continue
			}
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if files[target] == nil {
				t.Errorf("%s: %s leads to nothing", name, to)
			} else if fragment != "" && !ids[target][fragment] {
				t.Errorf("%s: %s: there is no such heading", name, to)
			}
		}
	}
	if inside < 200 || outside < 20 {
		t.Errorf("only %d and %d links were followed", inside, outside)
	}
}

// TestPagesNeedNothingElse wants pages without scripts, forms and frames, which load only files of the site.
func TestPagesNeedNothingElse(t *testing.T) {
	files := made(t)
	for name, data := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		for _, one := range tags(t, data) {
			if slices.Contains([]string{"script", "iframe", "object", "embed", "form", "base", "style", "video", "audio"}, one.name) {
				t.Errorf("%s has <%s>", name, one.name)
			}
			for key := range one.attr {
				if strings.HasPrefix(key, "on") || key == "style" || key == "http-equiv" || key == "srcset" {
					t.Errorf("%s: <%s %s>", name, one.name, key)
				}
			}
			if one.name != "a" && strings.Contains(one.link(), "//") {
				t.Errorf("%s loads %s", name, one.link())
			}
		}
	}
	if css := string(files["style.css"]); strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("style.css loads something")
	}
}

// TestPagesCanBeHeard wants what readers of screens need: language, title, one first heading, no level
// left out, landmarks, texts of images, and tables and code that can be scrolled by keys.
func TestPagesCanBeHeard(t *testing.T) {
	titles := map[string]string{}
	for name, data := range made(t) {
		if path.Ext(name) != ".html" {
			continue
		}
		count := map[string]int{}
		level := 0
		for _, one := range tags(t, data) {
			count[one.name]++
			switch one.name {
			case "html":
				if one.attr["lang"] != "en" {
					t.Errorf("%s has no language", name)
				}
			case "img":
				if one.attr["alt"] == "" {
					t.Errorf("%s: the image %s has no text", name, one.attr["src"])
				}
			case "nav":
				if one.attr["aria-label"] == "" {
					t.Errorf("%s: a list of links without a name", name)
				}
			case "th":
				if one.attr["scope"] == "" {
					t.Errorf("%s: a heading of a table without its scope", name)
				}
			case "pre":
				if one.attr["tabindex"] != "0" {
					t.Errorf("%s: code that no key scrolls", name)
				}
			case "h1", "h2", "h3", "h4", "h5", "h6":
				now := int(one.name[1] - '0')
				if now > level+1 {
					t.Errorf("%s: <%s> %q follows a heading of level %d", name, one.name, one.attr["id"], level)
				}
				level = now
			}
		}
		if count["h1"] != 1 || count["main"] != 1 || count["title"] != 1 || count["nav"] < 1 {
			t.Errorf("%s has %v", name, count)
		}
		title := regexp.MustCompile("<title>(.*)</title>").FindStringSubmatch(string(data))
		if title == nil || title[1] == "" || titles[title[1]] != "" {
			t.Errorf("%s: the title %q is empty, or also that of %s", name, title, titles[title[1]])
		} else {
			titles[title[1]] = name
		}
	}
}

// TestColorsCanBeRead computes the contrasts of texts, in light and dark: 4.5 is what WCAG wants (AA).
func TestColorsCanBeRead(t *testing.T) {
	schemes := regexp.MustCompile(`:root \{([^}]*)`).FindAllStringSubmatch(string(style), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes", len(schemes))
	}
	for i, scheme := range schemes {
		colors := map[string]float64{}
		for _, c := range regexp.MustCompile(`--(\w+): #(\w{6})`).FindAllStringSubmatch(scheme[1], -1) {
			colors[c[1]] = luminance(t, c[2])
		}
		for _, text := range []string{"text", "dim", "link"} {
			for _, ground := range []string{"back", "panel"} {
				a, b := colors[text], colors[ground]
				if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); !(contrast >= 4.5) {
					t.Errorf("scheme %d: %s on %s has a contrast of %.1f", i, text, ground, contrast)
				}
			}
		}
	}
}

// luminance is that of WCAG.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

// TestSameDocumentsMakeTheSameSite makes it twice, the second time over the first, where a page was that is gone.
func TestSameDocumentsMakeTheSameSite(t *testing.T) {
	out := filepath.Join(t.TempDir(), "html")
	if err := write("../..", out); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(out, "gone.html")
	if err := os.WriteFile(gone, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write("../..", out); err != nil {
		t.Fatal(err)
	}
	want := made(t)
	got := map[string][]byte{}
	dir := os.DirFS(out)
	for name := range want {
		f, err := dir.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if got[name], err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Error("the two differ")
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("a page that is gone is still there")
	}
}

// TestWhatIsWrongIsAnError makes no site of documents with a dead link, HTML or an image from elsewhere,
// and none in a folder with other things.
func TestWhatIsWrongIsAnError(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{"# A\n\n[b](b.md)\n", "a link to nothing"},
		{"# A\n\n[b](../../b)\n", "outside of the repository"},
		{"# A\n\n[b](http://example.com)\n", "a link to nothing"},
		{"# A\n\n<b>bold</b>\n", "HTML in a document"},
		{"# A\n\n<div>\n", "HTML in a document"},
		{"# A\n\n![b](https://example.com/b.png)\n", "is not in docs"},
		{"# A\n\n![b](b.png)\n", "read an image"},
		{"text\n", "has no title"},
		{"# A\n\n# B\n", "a second title"},
		{"# A\n", ""},
	} {
		t.Run(c.page, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range map[string]string{"docs/README.md": "# Documents\n\n## Guides\n\n- [A](a.md)\n", "docs/a.md": c.page} {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := write(root, filepath.Join(root, "html"))
			if got := fmt.Sprint(err); (c.want == "") != (err == nil) || !strings.Contains(got, c.want) && c.want != "" {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write("../..", other); err == nil {
		t.Error("a folder with other things was replaced")
	}
}
