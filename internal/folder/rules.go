package folder

import (
	"fmt"
	"path"

	ignore "github.com/crackcomm/go-gitignore"
)

// Rules returns an [Options].Ignore of rules as in a .gitignore: those of a file, unless its path is empty, and more.
// As with Kubo, rules are matched with names, not with paths.
func Rules(file string, more []string) (func(path string, isDir bool) (why string), error) {
	var rules *ignore.GitIgnore
	var err error
	if file == "" {
		rules, err = ignore.CompileIgnoreLines(more...)
	} else {
		rules, err = ignore.CompileIgnoreFileAndLines(file, more...)
	}
	if err != nil {
		return nil, fmt.Errorf("read the rules of what to ignore: %w", err)
	}
	return func(p string, _ bool) string {
		if rules.MatchesPath(path.Base(p)) {
			return Ignored
		}
		return ""
	}, nil
}
