package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style []byte

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// fewParts is the number of parts from which on a page begins with a list of them.
const fewParts = 4

// render returns the files of the site by their paths in it.
func (s *site) render() (map[string][]byte, error) {
	files := map[string][]byte{madeBy: style}
	for _, p := range s.pages {
		var body, whole bytes.Buffer
		if err := s.md.Renderer().Render(&body, p.text, p.tree); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
		parts := p.Parts
		if len(parts) < fewParts {
			parts = nil
		}
		err := pageTemplate.Execute(&whole, map[string]any{
			"Page": p, "Groups": s.groups, "Parts": parts, "Source": source + p.Path,
			// It comes from documents of this repository, in which HTML is refused.
			"Body": template.HTML(reachable(body.String())),
			"To":   func(to string) string { return relative(p.HTML(), to) },
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
		if files[p.HTML()] != nil {
			return nil, fmt.Errorf("%s is in the index twice", p.Path)
		}
		files[p.HTML()] = whole.Bytes()
	}
	for image := range s.images {
		data, err := os.ReadFile(filepath.Join(s.root, image))
		if err != nil {
			return nil, fmt.Errorf("read an image: %w", err)
		}
		files[strings.TrimPrefix(image, "docs/")] = data
	}
	return files, nil
}

// reachable lets those who have no pointer scroll what is too wide. In rendered
// text no such tag can come from a document, where "<" is escaped.
func reachable(body string) string {
	return strings.NewReplacer(
		"<pre>", `<pre tabindex="0">`,
		"<table>", `<div class="wide" role="region" aria-label="Table" tabindex="0"><table>`,
		"</table>", "</table></div>",
		"<th>", `<th scope="col">`,
	).Replace(body)
}

// relative is the link from one file of the site to another.
func relative(from, to string) string {
	return strings.Repeat("../", strings.Count(from, "/")) + to
}

// parent is the folder of a file of the site.
func parent(name string) string { return path.Dir(name) }
