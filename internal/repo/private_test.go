package repo

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsPrivateInARepo(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	r := Repo(filepath.Join(dir, "link", "repo")) // does not exist yet
	if got, want := r.Real(), filepath.Join(dir, "repo"); got != want {
		t.Errorf("%s is really %s, want %s", r, got, want)
	}
	for path, private := range map[string]bool{
		"repo": true, "repo/config": true, "repo/config-pre-server-1": true, "repo/keystore": true, "repo/keystore/key_x": true, "repo/db/1.sst": true, "repo/.tmp-1": true,
		".": false, "repository": false, "repo/site": false, "repo/site/config": false, "config": false, "repo/configs": false,
	} {
		if got := r.Private()(filepath.Join(dir, path)); got != private {
			t.Errorf("%s: %v", path, got)
		}
	}
}
