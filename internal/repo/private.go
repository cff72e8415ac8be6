package repo

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/durable"
)

// Real is the path of the repo without symbolic links. It need not exist.
func (r Repo) Real() string { return realPath(string(r)) }

func realPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if parent := filepath.Dir(abs); parent != abs {
		return filepath.Join(realPath(parent), filepath.Base(abs))
	}
	return abs
}

// Private returns a function that reports whether a path without symbolic links is the repo itself or one of its
// private files: keys, config, database and unfinished versions of them. Other files in the folder do not belong to the
// repo.
func (r Repo) Private() func(path string) bool {
	root := r.Real()
	return func(path string) bool {
		rest, ok := strings.CutPrefix(path, root)
		if !ok || rest == "" {
			return ok
		}
		if !strings.HasPrefix(rest, string(filepath.Separator)) {
			return false
		}
		first, _, _ := strings.Cut(rest[1:], string(filepath.Separator))
		return slices.Contains([]string{configFile, editedFile, keystoreDir, databaseDir}, first) ||
			strings.HasPrefix(first, durable.TempPrefix) || strings.HasPrefix(first, configFile+"-pre-")
	}
}
