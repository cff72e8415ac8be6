package verbs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/backup"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// copyTo copies the files of a repo, as cp -r does, but for its lock.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while a node runs
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || d.Name() == "repo.lock" || d.Name() == "api" || d.Name() == "LOCK" {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// backedUp writes a backup of the node that runs on a repo, and returns what restores it.
func backedUp(t *testing.T, n *node.Node) (restore func(into repo.Repo)) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	secret := backup.Secret{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
	names, err := rpc.Do(t.Context(), Mux(n), api.RepoDump, api.RepoDumpRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	saved, err := backup.Save(t.Context(), t.TempDir(), backup.Source{Repo: n.Repo, Names: names}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return func(into repo.Repo) {
		t.Helper()
		o := backup.Restoration{Path: saved.Path, Secret: secret, Into: into, Replace: true, Open: OpenNames}
		if _, err := backup.Restore(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACloneNeverPutsTheNameBack copies a node after A was published, in all ways in which
// people do that, publishes B on the original, and goes on with the copy. No server gets A
// again, and what the copy publishes is above B. R5.
func TestACloneNeverPutsTheNameBack(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a dozen nodes; the whole form runs it")
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir()) // places of the machine that know a repo
	for _, tt := range []struct {
		what string
		// copy copies the repo of a node, which ends when it calls stop, and returns what
		// puts the copy back and returns its repo.
		copy func(t *testing.T, n *node.Node, stop func()) (put func() repo.Repo)
		away bool // no network while the copy runs first
		late bool // nothing here notices it: the first publish does
	}{
		{what: "copied while stopped", copy: func(t *testing.T, n *node.Node, stop func()) func() repo.Repo {
			stop()
			to := repo.Repo(filepath.Join(t.TempDir(), "clone"))
			copyTo(t, string(n.Repo), string(to))
			return func() repo.Repo { return to }
		}},
		{what: "copied while running", copy: func(t *testing.T, n *node.Node, _ func()) func() repo.Repo {
			to := repo.Repo(filepath.Join(t.TempDir(), "clone"))
			copyTo(t, string(n.Repo), string(to))
			return func() repo.Repo { return to }
		}},
		{what: "the database copied alone", copy: func(t *testing.T, n *node.Node, stop func()) func() repo.Repo {
			stop()
			to := filepath.Join(t.TempDir(), "db")
			copyTo(t, n.Repo.Database(), to)
			return func() repo.Repo {
				if err := os.RemoveAll(n.Repo.Database()); err != nil {
					t.Fatal(err)
				}
				copyTo(t, to, n.Repo.Database())
				return n.Repo
			}
		}},
		{what: "a backup restored beside the original", copy: func(t *testing.T, n *node.Node, _ func()) func() repo.Repo {
			restore := backedUp(t, n)
			to := repo.Repo(filepath.Join(t.TempDir(), "clone"))
			return func() repo.Repo { restore(to); return to }
		}},
		{what: "an old backup in the place of the original", copy: func(t *testing.T, n *node.Node, _ func()) func() repo.Repo {
			restore := backedUp(t, n)
			return func() repo.Repo { restore(n.Repo); return n.Repo }
		}},
		{what: "a backup while the network is away", away: true, copy: func(t *testing.T, n *node.Node, _ func()) func() repo.Repo {
			restore := backedUp(t, n)
			to := repo.Repo(filepath.Join(t.TempDir(), "clone"))
			return func() repo.Repo { restore(to); return to }
		}},
		{what: "a snapshot of the whole machine", late: true, copy: func(t *testing.T, n *node.Node, stop func()) func() repo.Repo {
			stop()
			// Files keep their inodes, as in a snapshot of a disk: nothing in the repo tells.
			kept := filepath.Join(t.TempDir(), "snapshot")
			copyTo(t, n.Repo.Database(), kept)
			witness := n.Repo.Database() + ".witness"
			if err := os.Link(witness, kept+".witness"); err != nil {
				t.Fatal(err)
			}
			return func() repo.Repo {
				files, err := filepath.Glob(filepath.Join(n.Repo.Database(), "*"))
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					if err := os.RemoveAll(f); err != nil {
						t.Fatal(err)
					}
				}
				copyTo(t, kept, n.Repo.Database())
				if err := os.Rename(kept+".witness", witness); err != nil {
					t.Fatal(err)
				}
				t.Setenv("XDG_STATE_HOME", t.TempDir())
				t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
				return n.Repo
			}
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			nw := testnet.ForTest(t, 25)
			online := node.Config{API: Mux, Bootstrap: nw.Addrs()[:1]}
			during := func(r repo.Repo, c node.Config, f func(n *node.Node)) {
				t.Helper()
				n, err := node.New(t.Context(), r, c)
				if err != nil {
					t.Fatal(err)
				}
				f(n)
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			publish := func(n *node.Node, value string, force bool) (api.Published, error) {
				req := rpc.New[api.PublishRequest]()
				req.Path, req.Resolve, req.Force = "/ipfs/bafkqaaa/"+value, false, force
				return rpc.Do(t.Context(), Mux(n), api.NamePublish, req)
			}
			must := func(p api.Published, err error) api.Published {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			r := newRepo(t)
			var put func() repo.Repo
			stopped := false
			n, err := node.New(t.Context(), r, online)
			if err != nil {
				t.Fatal(err)
			}
			stop := func() {
				if stopped {
					return
				}
				stopped = true
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			must(publish(n, "a", false))
			put = tt.copy(t, n, stop)
			var b api.Published
			if stopped {
				during(r, online, func(n *node.Node) { b = must(publish(n, "b", false)) })
			} else {
				b = must(publish(n, "b", false))
			}
			name := n.Name
			stop()

			clone := put()
			// On a busy machine a server may have been too slow for one record or another.
			before := make([][]byte, nw.Len())
			for i := range before {
				before[i] = bytes.Clone(nw.Server(i).Record(name))
			}
			if tt.away {
				during(clone, node.Config{API: Mux}, func(n *node.Node) {
					if _, err := publish(n, "c", false); err == nil || !strings.Contains(err.Error(), "last sequence is unknown") {
						t.Errorf("while the network is away: %v", err)
					}
				})
			}
			during(clone, online, func(n *node.Node) {
				if e, err := n.Book.Get(t.Context(), name); tt.late {
					if known, kerr := n.Book.Known(t.Context(), e); err != nil || kerr != nil || !known {
						t.Errorf("it was noticed, so that this shows nothing of the publish: %v, %v", err, kerr)
					}
				} else {
					if got := awaits(t, n, name, b.Value); got != b.Value {
						t.Errorf("the copy has %s, the network %s", got, b.Value)
					}
				}
				for i := range nw.Len() {
					raw := nw.Server(i).Record(name)
					if raw == nil || bytes.Equal(raw, before[i]) {
						continue
					}
					if rec, err := ipns.Reopen(name, bytes.Clone(raw)); err != nil || !tt.late && rec.Sequence() != b.Sequence {
						t.Errorf("server %d has %v, %v", i, rec, err)
					}
				}
				if c := must(publish(n, "c", false)); c.Sequence <= b.Sequence {
					t.Errorf("the copy published sequence %d, the original had %d", c.Sequence, b.Sequence)
				}
			})
		})
	}
}

// awaits returns the value that a node has of a name, once it is the one wanted or a while
// has passed.
func awaits(t *testing.T, n *node.Node, name ipns.Name, want string) (value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for ctx.Err() == nil && value != want {
		if e, err := n.Book.Get(ctx, name); err == nil && e.Record != nil {
			value = e.Record.Value()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return value
}
