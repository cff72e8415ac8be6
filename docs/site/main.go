// Command site makes a static site of the documents: docs/README.md, and the
// pages that it links to, in that order. Nothing else decides what is on it.
//
// Its links are relative, so that it works under /ipns/NAME/, on a domain and
// from a disk. It loads nothing from elsewhere and has no script. The same
// documents make the same bytes. A link to nothing is an error; what a page links
// to in the rest of the repository leads to its source.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", "../..", "the repository")
	out := flag.String("o", "../../html", "the folder to make, which is replaced")
	flag.Parse()
	if err := write(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// madeBy is the file by which a folder that this command made is recognized.
const madeBy = "style.css"

// write makes the site in the folder out. A folder with other things is not replaced.
func write(root, out string) error {
	s, err := read(root)
	if err != nil {
		return err
	}
	files, err := s.render()
	if err != nil {
		return err
	}
	old, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make the site: %w", err)
	}
	if len(old) > 0 {
		if _, err := os.Stat(out + "/" + madeBy); err != nil {
			return fmt.Errorf("%s is not a site of documents: it is left as it is", out)
		}
		if err := os.RemoveAll(out); err != nil {
			return fmt.Errorf("remove the site before: %w", err)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the site: %w", err)
	}
	dir, err := os.OpenRoot(out)
	if err != nil {
		return fmt.Errorf("make the site: %w", err)
	}
	defer dir.Close()
	for name, data := range files {
		if err := dir.MkdirAll(parent(name), 0o755); err != nil {
			return fmt.Errorf("make the site: %w", err)
		}
		if err := dir.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("make the site: %w", err)
		}
	}
	return nil
}
