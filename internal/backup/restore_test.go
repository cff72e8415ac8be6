package backup

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goipns/ipns/internal/repo"
)

func TestOfAFolderAnOlderBackupIsRestoredOnlyIfAsked(t *testing.T) {
	secret := cheap(t)
	r := small(t)
	dir := filepath.Join(t.TempDir(), "backups") + string(filepath.Separator)
	var paths []string
	for range 4 {
		paths = append(paths, save(t, r, dir, secret).Path)
	}
	if list, err := inFolder(dir); err != nil || len(list) != 4 || list[0] != paths[3] {
		t.Fatalf("%q, %v", list, err)
	}
	if err := os.Truncate(paths[3], 3000); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(paths[2])
	if err != nil {
		t.Fatal(err)
	}
	b[60] ^= 1 // in the header: as if the secret did not fit
	if err := os.WriteFile(paths[2], b, 0o600); err != nil {
		t.Fatal(err)
	}
	into := repo.Repo(filepath.Join(t.TempDir(), "r"))
	kept := filepath.Join(t.TempDir(), "kept")
	for i := range 2 { // the newest is torn, then not for this secret
		if res, err := restore(t, dir, into, secret); !errors.Is(err, ErrNewest) || len(res.Skipped) != 0 {
			t.Errorf("unasked: %+v, %v", res, err)
		}
		if _, err := os.Stat(string(into)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("something was restored: %v", err)
		}
		if _, err := Restore(t.Context(), Restoration{Path: dir, Secret: secret, Into: into, DryRun: true, Open: openNames}); !errors.Is(err, ErrNewest) {
			t.Errorf("dry: %v", err)
		}
		from, to := paths[3], kept // then the other is the newest
		if i == 1 {
			from, to = to, from
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	res, err := Restore(t.Context(), Restoration{Path: dir, Secret: secret, Into: into, Older: true, Open: openNames})
	if err != nil || res.Path != paths[1] || len(res.Skipped) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if !strings.Contains(res.Skipped[0], paths[3]) || !strings.Contains(res.Skipped[1], paths[2]) {
		t.Errorf("skipped %q", res.Skipped)
	}
	// Each opens alone.
	alone := filepath.Join(t.TempDir(), "alone.age")
	if err := os.Rename(paths[0], alone); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, alone, repo.Repo(filepath.Join(t.TempDir(), "r")), secret); err != nil {
		t.Error(err)
	}
	for _, older := range []bool{false, true} {
		o := Restoration{Path: dir, Secret: Secret{Identities: cheap(t).Identities}, Into: repo.Repo(filepath.Join(t.TempDir(), "x")), Older: older, Open: openNames}
		if _, err := Restore(t.Context(), o); !errors.Is(err, ErrSecret) {
			t.Errorf("with another identity: %v", err)
		}
	}
	if _, err := restore(t, t.TempDir(), repo.Repo(filepath.Join(t.TempDir(), "x")), secret); err == nil {
		t.Error("restored from a folder without backups")
	}
}

func TestARepoWithKeysOrNamesIsNotReplacedUnasked(t *testing.T) {
	secret := cheap(t)
	r := newRepo(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	before := files(t, string(r))
	_, err := restore(t, path, r, secret)
	if !errors.Is(err, ErrLoses) || !strings.Contains(err.Error(), "1 keys, folders that it publishes, records of 30 names") {
		t.Errorf("%v", err)
	}
	lock, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, path, r, secret); !errors.Is(err, repo.ErrLocked) {
		t.Errorf("with a daemon: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	dry, err := Restore(t.Context(), Restoration{Path: path, Secret: secret, Into: r, DryRun: true, Open: openNames})
	if err != nil || len(dry.Had) != 3 || dry.Manifest.Counts.Names != 32 {
		t.Errorf("%+v, %v", dry, err)
	}
	if !maps.Equal(before, files(t, string(r))) {
		t.Fatal("the repo has changed")
	}
	res, err := Restore(t.Context(), Restoration{Path: path, Secret: secret, Into: r, Replace: true, Open: openNames})
	if err != nil || res.Before != filepath.Join(string(r), "before-restore-1") {
		t.Fatalf("%+v, %v", res, err)
	}
	if kept := files(t, res.Before); !maps.Equal(before, kept) {
		t.Errorf("kept %q of %q", slices.Sorted(maps.Keys(kept)), slices.Sorted(maps.Keys(before)))
	}
}

func TestAFolderWithoutLinksTakesBackups(t *testing.T) {
	link = func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM} }
	defer func() { link = os.Link }()
	secret, r := cheap(t), small(t)
	dir := filepath.Join(t.TempDir(), "backups") + string(filepath.Separator)
	one, two := save(t, r, dir, secret).Path, save(t, r, dir, secret).Path
	if list, err := inFolder(dir); err != nil || !slices.Equal(list, []string{two, one}) {
		t.Errorf("%q, %v", list, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}
