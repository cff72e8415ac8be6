package interop

import (
	"os"
	"path/filepath"
	"testing"
)

// writeTree writes files below a new directory and returns it. A path that ends
// in a slash is an empty directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if name[len(name)-1] == '/' {
			mustDo(t, os.MkdirAll(path, 0o755))
			continue
		}
		mustDo(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mustDo(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// site writes a small site whose front page holds the given text.
func site(t *testing.T, front string) string {
	t.Helper()
	return writeTree(t, map[string]string{
		"index.html":    "<!doctype html><title>site</title><p>" + front + "\n",
		"css/site.css":  "p { color: teal }\n",
		"posts/one.txt": "the first post\n",
	})
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
