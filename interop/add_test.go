package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdd compares the CIDs of files and directories with Kubo's.
func TestAdd(t *testing.T) {
	us, them := newNode(t, ours, "ipns"), newNode(t, kubo, "ipfs")
	us.start()
	for _, c := range addCases(t) {
		t.Run(c.name, func(t *testing.T) {
			for _, flags := range [][]string{
				{"--cid-version=1"},
				{},
				{"--cid-version=1", "--raw-leaves=false", "--hidden"},
			} {
				args := append([]string{"add", "-r", "-Q"}, append(flags, c.path)...)
				want := them.line(append(args, "--only-hash")...)
				if len(flags) == 0 { // the others are stored as well
					args = append(args, "--only-hash")
				}
				if got := us.line(args...); got != want {
					t.Errorf("%s: %s, Kubo says %s", strings.Join(flags, " "), got, want)
				}
			}
		})
	}
}

type addCase struct{ name, path string }

func addCases(t *testing.T) []addCase {
	file := func(name string, size int) addCase {
		path := filepath.Join(t.TempDir(), "file")
		mustDo(t, os.WriteFile(path, bytesOf(size), 0o644))
		return addCase{name, path}
	}
	many := func(name, format string) addCase {
		files := make(map[string]string)
		for i := range 3000 {
			files[fmt.Sprintf(format, i)] = fmt.Sprintf("file %d\n", i)
		}
		return addCase{name, writeTree(t, files)}
	}
	nested := writeTree(t, map[string]string{
		"a/b/c/d/e/deep.txt": "deep\n",
		"a/b/empty/":         "",
		"a/.hidden/inside":   "inside\n",
		".hidden":            "hidden\n",
		"a/zero":             "",
		"z":                  string(bytesOf(300_000)),
	})
	mustDo(t, os.Symlink("a/b/c", filepath.Join(nested, "link")))
	mustDo(t, os.Symlink("nowhere", filepath.Join(nested, "a", "dangling")))
	return []addCase{
		{"examples/site", filepath.Join("..", "examples", "site")},
		file("empty file", 0),
		file("one byte", 1),
		file("one chunk", 256<<10),
		file("one chunk and a byte", 256<<10+1),
		file("10 MB", 10_000_000),
		file("two levels", 175*256<<10+1),
		{"empty folder", writeTree(t, map[string]string{"void/": ""}) + "/void"},
		{"nested, hidden, symlinks", nested},
		{"unicode names", writeTree(t, map[string]string{
			"ünïcödé.txt": "1", "日本語/ファイル": "2", "emoji 🪐": "3", "a b\tc": "4", "%41": "5", "e\u0301": "6", "\u00e9": "7",
		})},
		many("3,000 files", "file-%d.txt"),
		many("3,000 files with names of 60 characters", "%060d"),
	}
}
