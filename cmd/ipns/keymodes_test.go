package main

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysAreForTheirOwnerWhateverTheUmask makes, encrypts, imports and exports keys under an open and
// a tight umask.
func TestKeysAreForTheirOwnerWhateverTheUmask(t *testing.T) {
	t.Parallel() // it waits for other processes
	for _, umask := range []string{"000", "022", "077"} {
		dir := t.TempDir()
		repo := filepath.Join(dir, "repo")
		if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("correct horse"), 0o600); err != nil {
			t.Fatal(err)
		}
		in := ipnsCommand(t, repo)
		run := func(args ...string) {
			t.Helper()
			cmd := exec.Command("sh", append([]string{"-c", `umask ` + umask + `; exec "$0" "$@"`, in.Path}, args...)...)
			// testscript.Main looks at the name that a program was called by.
			link := filepath.Join(dir, "ipns")
			if _, err := os.Lstat(link); err != nil {
				if err := os.Symlink(in.Path, link); err != nil {
					t.Fatal(err)
				}
			}
			cmd.Args[3] = link
			cmd.Env, cmd.Dir = in.Env, dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("ipns %q: %v\n%s", args, err, out)
			}
		}
		run("init", "--profile", "test")
		run("key", "gen", "blog")
		run("key", "export", "blog")
		run("key", "import", "copy", "blog.key")
		run("key", "rotate", "--oldkey=before")
		clear := modes(t, repo)
		run("key", "encrypt", "--passphrase-file=secret")
		run("key", "gen", "late")
		for _, found := range []map[string]fs.FileMode{clear, modes(t, repo)} {
			for path, mode := range found {
				rel, _ := filepath.Rel(repo, path)
				want := fs.FileMode(0o400)
				switch {
				case rel == "keystore":
					want = 0o700
				case rel == "config", rel == filepath.Join("keystore", "recipients.txt"):
					want = 0o600
				}
				if mode != want {
					t.Errorf("umask %s: %s has mode %o, not %o", umask, rel, mode, want)
				}
			}
			if len(found) < 5 {
				t.Errorf("umask %s: only %d files", umask, len(found))
			}
		}
		if info, err := os.Stat(filepath.Join(dir, "blog.key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("umask %s: the exported key: %v, %v", umask, info, err)
		}
	}
}

// modes returns the modes of what has keys in a repo.
func modes(t *testing.T, repo string) map[string]fs.FileMode {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(repo, "keystore", "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]fs.FileMode{}
	for _, path := range append(list, filepath.Join(repo, "keystore"), filepath.Join(repo, "config")) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = info.Mode().Perm()
	}
	return all
}

// TestPrivateKeysNeverLeaveByTheAPI asks a daemon for keys in each way there is, and for everything that
// it says of itself.
func TestPrivateKeysNeverLeaveByTheAPI(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := t.TempDir()
	runIpns(t, repo, "init", "--profile", "test")
	config, err := os.ReadFile(filepath.Join(repo, "config"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), `"PrivKey": "`)
	secret, _, ok := strings.Cut(rest, `"`)
	if !ok || len(secret) < 40 {
		t.Fatal("there is no key in the config")
	}
	runIpns(t, repo, "key", "gen", "blog")
	d := startDaemon(t, repo)
	defer d.kill()
	for path, refused := range map[string]bool{
		"key/export?arg=self": true, "key/rotate?oldkey=x": true, "config?arg=Identity.PrivKey": true, "config?arg=Identity": true,
		// 'repo dump' has what is shared: with nobody but daemons of the store.
		"key/share?arg=blog&arg=age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p": true,
		"key/encrypt": true, "key/decrypt": true, "config/show": false, "config?arg=Ipns": false, "id": false, "key/list?l=true": false,
		"config?arg=Identity.PrivKey&arg=x": true,
	} {
		resp, err := http.Post(d.api+"/api/v0/"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || strings.Contains(string(b), secret) || (resp.StatusCode != http.StatusOK) != refused {
			t.Errorf("%s: %s, %v\n%s", path, resp.Status, err, b)
		}
	}
}
