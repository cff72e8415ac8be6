package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// source is where the rest of the repository can be read.
const source = "https://github.com/goipns/ipns/blob/main/"

// index is the page that says which others there are.
const index = "docs/README.md"

// A site is the documents, parsed, with their links as they are in the site.
type site struct {
	root   string
	md     goldmark.Markdown
	pages  []*page
	groups []group
	images map[string]bool // paths in the repository
}

// A group is the pages below one heading of the index.
type group struct {
	Title string
	Pages []*page
}

type page struct {
	Path  string // in the repository
	Title string // its first heading
	Parts []part // its headings of the second level
	text  []byte
	tree  ast.Node
}

type part struct{ ID, Title string }

// HTML is the path of the page in the site.
func (p *page) HTML() string {
	if p.Path == index {
		return "index.html"
	}
	return strings.TrimPrefix(strings.TrimSuffix(p.Path, ".md"), "docs/") + ".html"
}

// read parses the index and the pages it links to.
func read(root string) (*site, error) {
	s := &site{root: root, md: goldmark.New(goldmark.WithExtensions(extension.Table)), images: map[string]bool{}}
	first, err := s.parse(index)
	if err != nil {
		return nil, err
	}
	s.pages = []*page{first}
	for n := first.tree.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level == 2 {
			s.groups = append(s.groups, group{Title: textOf(h, first.text)})
		}
		for _, link := range links(n) {
			to := path.Join(path.Dir(index), string(link.Destination))
			if !strings.HasSuffix(to, ".md") || !strings.HasPrefix(to, "docs/") {
				continue
			}
			if len(s.groups) == 0 {
				return nil, fmt.Errorf("%s: a link to %s stands before the first heading", index, to)
			}
			p, err := s.parse(to)
			if err != nil {
				return nil, err
			}
			s.pages = append(s.pages, p)
			last := &s.groups[len(s.groups)-1]
			last.Pages = append(last.Pages, p)
		}
	}
	for _, p := range s.pages {
		if err := s.relink(p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// parse reads one page.
func (s *site) parse(name string) (*page, error) {
	data, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	p := &page{Path: name, text: data}
	p.tree = s.md.Parser().Parse(text.NewReader(data))
	used := map[string]int{}
	err = ast.Walk(p.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			title := textOf(n, data)
			id := idOf(title, used)
			n.SetAttributeString("id", []byte(id))
			switch {
			case n.Level == 1 && p.Title == "":
				p.Title = title
			case n.Level == 1:
				return ast.WalkStop, fmt.Errorf("%s: a second title, %q", name, title)
			case n.Level == 2:
				p.Parts = append(p.Parts, part{id, title})
			}
		case *ast.HTMLBlock:
			if n.HTMLBlockType != ast.HTMLBlockType2 { // a comment, which the renderer leaves out
				return ast.WalkStop, fmt.Errorf("%s: HTML in a document: put it between backticks", name)
			}
		case *ast.RawHTML:
			return ast.WalkStop, fmt.Errorf("%s: HTML in a document: put %q between backticks", name, n.Segments.Value(data))
		}
		return ast.WalkContinue, nil
	})
	if err == nil && p.Title == "" {
		err = fmt.Errorf("%s: has no title", name)
	}
	return p, err
}

// relink makes the links of a page those of the site.
func (s *site) relink(p *page) error {
	for _, link := range links(p.tree) {
		to, err := s.link(p, string(link.Destination))
		if err != nil {
			return err
		}
		link.Destination = []byte(to)
	}
	return ast.Walk(p.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		image, ok := n.(*ast.Image)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		to := path.Join(path.Dir(p.Path), string(image.Destination))
		if !strings.HasPrefix(to, "docs/") || strings.Contains(to, ":") {
			return ast.WalkStop, fmt.Errorf("%s: the image %s is not in docs", p.Path, image.Destination)
		}
		s.images[to] = true
		image.Destination = []byte(relative(p.HTML(), strings.TrimPrefix(to, "docs/")))
		return ast.WalkContinue, nil
	})
}

// link returns what a link of a page is in the site.
func (s *site) link(p *page, to string) (string, error) {
	if strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "#") {
		return to, nil
	}
	file, fragment, found := strings.Cut(to, "#")
	if found {
		fragment = "#" + fragment
	}
	file = path.Join(path.Dir(p.Path), file)
	for _, other := range s.pages {
		if other.Path == file {
			return relative(p.HTML(), other.HTML()) + fragment, nil
		}
	}
	if strings.HasPrefix(file, "..") {
		return "", fmt.Errorf("%s: %s is outside of the repository", p.Path, to)
	}
	if _, err := os.Stat(filepath.Join(s.root, file)); err != nil {
		return "", fmt.Errorf("%s: a link to nothing: %w", p.Path, err)
	}
	return source + file + fragment, nil
}

// links are the links below a node.
func links(n ast.Node) []*ast.Link {
	var all []*ast.Link
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns no error
		if link, ok := n.(*ast.Link); ok && entering {
			all = append(all, link)
		}
		return ast.WalkContinue, nil
	})
	return all
}

// textOf is the text of a node without its marks.
func textOf(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns no error
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// idOf is the id that a heading has at GitHub, where the documents are read, too.
func idOf(title string, used map[string]int) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return r
		}
		return -1
	}, strings.ToLower(title))
	n := used[id]
	used[id]++
	if n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return id
}
