package move

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/kubo"
	"github.com/goipns/ipns/internal/kubo/kubotest"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
)

func record(t *testing.T, key crypto.PrivKey, sequence uint64) *ipns.Record {
	t.Helper()
	fields := ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, EOL: time.Now().Add(time.Hour), TTL: time.Minute}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), fields, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func openKubo(t *testing.T, r kubotest.Repo) *kubo.Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kubo")
	if err := kubotest.Make(dir, r); err != nil {
		t.Fatal(err)
	}
	from, err := kubo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	})
	return from
}

func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	return repo.Repo(filepath.Join(t.TempDir(), "repo"))
}

func mustIn(t *testing.T, from *kubo.Repo, to repo.Repo) *Report {
	t.Helper()
	report, err := In(t.Context(), from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Failed) > 0 {
		t.Fatalf("failed: %v", report.Failed)
	}
	return report
}

// inNode calls f with a node of the repo.
func inNode(t *testing.T, r repo.Repo, f func(*node.Node)) {
	t.Helper()
	if err := withNode(t.Context(), r, nil, func(n *node.Node) error { f(n); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestAMovedNameHasItsSequenceButWaitsForTheNetwork(t *testing.T) {
	self, blog, unused := kubotest.Key(t, ipns.Ed25519), kubotest.Key(t, ipns.RSA), kubotest.Key(t, ipns.Secp256k1)
	from := openKubo(t, kubotest.Repo{
		Self:    self,
		Keys:    map[string]crypto.PrivKey{"blog": blog, "unused": unused},
		Records: []*ipns.Record{record(t, self, 3), record(t, blog, 41)},
		Config:  map[string]any{"Ipns": map[string]any{"RecordLifetime": "72h"}, "Mounts": map[string]any{"IPFS": "/ipfs"}},
	})
	to := newRepo(t)
	report := mustIn(t, from, to)
	if len(report.Names) != 3 || !strings.Contains(strings.Join(report.Left, "\n"), "Mounts.IPFS: ") {
		t.Errorf("report %+v", report)
	}
	again := mustIn(t, from, to) // changes nothing
	if len(again.Names) != 3 {
		t.Errorf("moved again: %+v", again)
	}
	inNode(t, to, func(n *node.Node) {
		if time.Duration(n.Settings.Ipns.RecordLifetime) != 72*time.Hour {
			t.Errorf("lifetime %v", n.Settings.Ipns.RecordLifetime)
		}
		for label, want := range map[string]uint64{"self": 3, "blog": 41} {
			key, err := n.Keys.Find(t.Context(), label)
			if err != nil {
				t.Fatal(err)
			}
			e, err := n.Book.Get(t.Context(), key.Name)
			if err != nil || e.Record.Sequence() != want {
				t.Errorf("%s: %v, %v", label, e.Record, err)
			}
			if known, err := n.Book.Known(t.Context(), e); err != nil || known {
				t.Errorf("%s: its sequence counts as known, though the network may have a higher one: %v", label, err)
			}
		}
		if _, err := n.Keys.Find(t.Context(), "unused"); err != nil {
			t.Error(err)
		}
	})
}

func TestAMoveNeverGoesBackNorReplacesAKey(t *testing.T) {
	self, blog := kubotest.Key(t, ipns.Ed25519), kubotest.Key(t, ipns.Ed25519)
	to := newRepo(t)
	newer := kubotest.Repo{Self: self, Keys: map[string]crypto.PrivKey{"blog": blog}, Records: []*ipns.Record{record(t, blog, 9)}}
	older := kubotest.Repo{Self: self, Keys: map[string]crypto.PrivKey{"blog": blog}, Records: []*ipns.Record{record(t, blog, 8)}}
	mustIn(t, openKubo(t, newer), to)
	mustIn(t, openKubo(t, older), to)
	if _, err := In(t.Context(), openKubo(t, kubotest.Repo{Self: self, Keys: map[string]crypto.PrivKey{"blog": kubotest.Key(t, ipns.Ed25519)}}), to, nil); err == nil {
		t.Error("another key of that label was taken")
	}
	if _, err := In(t.Context(), openKubo(t, kubotest.Repo{Self: kubotest.Key(t, ipns.Ed25519)}), to, nil); !errors.Is(err, ErrOther) {
		t.Errorf("the repo of another node: %v", err)
	}
	from := openKubo(t, newer)
	for _, r := range []string{from.Path, filepath.Join(from.Path, "below"), filepath.Dir(from.Path)} {
		if _, err := In(t.Context(), from, repo.Repo(r), nil); err == nil || !strings.Contains(err.Error(), "inside of") {
			t.Errorf("to %s: %v", r, err)
		}
	}
	inNode(t, to, func(n *node.Node) {
		key, err := n.Keys.Find(t.Context(), "blog")
		if err != nil {
			t.Fatal(err)
		}
		if name, err := ipns.NameOf(blog.GetPublic()); err != nil || key.Name != name {
			t.Errorf("blog is %v, %v", key.Name, err)
		}
		if e, err := n.Book.Get(t.Context(), key.Name); err != nil || e.Record.Sequence() != 9 {
			t.Errorf("it has %v, %v", e.Record, err)
		}
	})
}

func TestPinsMoveWithTheirBlocksAndGoOnWhereTheyStopped(t *testing.T) {
	shared := kubotest.Raw("shared")
	var all []blocks.Block
	var pins []kubotest.Pin
	for _, text := range []string{"a", "b", "c", "d"} {
		leaf := kubotest.Raw(text)
		root := kubotest.Tree(leaf, shared, kubotest.Tree(leaf))
		all = append(all, leaf, root, kubotest.Tree(leaf))
		pins = append(pins, kubotest.Pin{CID: root.Cid(), Name: "site " + text})
	}
	direct := kubotest.Tree(kubotest.Raw("not there"))
	broken := kubotest.Tree(kubotest.Raw("not there either"))
	all = append(all, shared, direct, broken)
	pins = append(pins, kubotest.Pin{CID: direct.Cid(), Direct: true}, kubotest.Pin{CID: broken.Cid()})
	from := openKubo(t, kubotest.Repo{Self: kubotest.Key(t, ipns.Ed25519), Blocks: all, Pins: pins})
	to := newRepo(t)
	report := mustIn(t, from, to)

	ctx, cancel := context.WithCancel(t.Context())
	err := Pins(ctx, from, to, nil, report, func(c content.Copied) {
		if c.Pins == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	first := report.Copied
	report = mustIn(t, from, to)
	if err := Pins(t.Context(), from, to, nil, report, func(content.Copied) {}); err != nil {
		t.Fatal(err)
	}
	if report.Copied.Pins != 5 || first.Blocks+report.Copied.Blocks != len(all) {
		t.Errorf("first %+v, then %+v, of %d blocks", first, report.Copied, len(all))
	}
	if len(report.Failed) != 1 || !strings.Contains(report.Failed[0], broken.Cid().String()) {
		t.Errorf("failed: %q", report.Failed)
	}
	inNode(t, to, func(n *node.Node) {
		for _, p := range pins[:5] {
			kind := content.Recursive
			if p.Direct {
				kind = content.Direct
			}
			got, err := n.Content.PinOf(t.Context(), p.CID, kind)
			if err != nil || got.Name != p.Name {
				t.Errorf("pin %s: %+v, %v", p.CID, got, err)
			}
			if p.Direct {
				continue
			}
			if err := n.Content.PinImported(t.Context(), p.CID); err != nil {
				t.Errorf("the blocks of %s: %v", p.CID, err)
			}
		}
		if _, err := n.Content.PinOf(t.Context(), broken.Cid(), content.Recursive); !errors.Is(err, content.ErrNotPinned) {
			t.Errorf("what lacks blocks is pinned: %v", err)
		}
	})
}

// TestKeysMoveEncrypted moves to a repo whose keys are encrypted, and moves more later.
func TestKeysMoveEncrypted(t *testing.T) {
	self, blog, news := kubotest.Key(t, ipns.Ed25519), kubotest.Key(t, ipns.Ed25519), kubotest.Key(t, ipns.Ed25519)
	to := repo.Repo(filepath.Join(t.TempDir(), "ours"))
	secret := []byte("correct horse")
	keys := map[string]crypto.PrivKey{"blog": blog}
	for range 2 {
		if _, err := In(t.Context(), openKubo(t, kubotest.Repo{Self: self, Keys: keys}), to, secret); err != nil {
			t.Fatal(err)
		}
		keys["news"] = news
	}
	files, err := filepath.Glob(filepath.Join(to.Keystore(), "key_*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("keys: %q, %v", files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(b), "age-encryption.org/") {
			t.Errorf("%s is in clear: %v", path, err)
		}
	}
	if _, err := In(t.Context(), openKubo(t, kubotest.Repo{Self: self, Keys: keys}), to, nil); err == nil {
		t.Error("moved without the passphrase")
	}
}
