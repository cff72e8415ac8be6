// Package move carries names between a Kubo repo and one of ours: keys, records, and pins
// with their blocks.
//
// Contract: moving again is harmless and goes on where it stopped. A key never replaces
// another, and a record never one that is newer. The repo that is moved from is only read.
//
// Order, to ours: keys; records; the config, which makes the repo one; then the pins, each
// after its blocks. So a repo that exists has all keys and sequences, whenever it crashed.
package move

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/kubo"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
)

// ErrOther means that there is a repo already, and that it is that of another node.
var ErrOther = errors.New("there is a repo of another node already")

// Name is a name that moved.
type Name struct {
	Label string
	Name  ipns.Name
	// Record is its newest record; nil: nothing was published with the key there.
	Record *ipns.Record
}

// Report says what moved and what did not.
type Report struct {
	Names []Name
	// Left are lines that say what was left out on purpose, and why.
	Left []string
	// Failed are lines about what should have moved and could not.
	Failed []string
	// Copied are the pins and blocks.
	Copied content.Copied
}

func (r *Report) leave(format string, args ...any) {
	r.Left = append(r.Left, fmt.Sprintf(format, args...))
}

func (r *Report) fail(format string, args ...any) {
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// In makes a repo of the keys, the records and the config of a Kubo repo. If there is one of
// the same node already, its keys and records are completed, and its config stays.
func In(ctx context.Context, from *kubo.Repo, to repo.Repo, passphrase []byte) (*Report, error) {
	report := new(Report)
	if inside(string(to), from.Path) || inside(from.Path, string(to)) {
		return nil, fmt.Errorf("%s and %s must not be one inside of the other", string(to), from.Path)
	}
	keys, err := from.Keys()
	if err != nil {
		return nil, err
	}
	config, left, err := from.Adopt()
	if err != nil {
		return nil, err
	}
	if err := to.Make(); err != nil {
		return nil, err
	}
	fill := func(b *names.Book, files *keystore.Store) error {
		if err := putKeys(files, keys, report); err != nil {
			return err
		}
		return putRecords(ctx, b, from, keys, report)
	}
	if !to.Exists() {
		report.Left = left
		return report, node.InitFrom(ctx, to, config, passphrase, fill)
	}
	now, err := to.Config()
	if err != nil {
		return nil, err
	}
	if now.Identity.PeerID != config.Identity.PeerID {
		return nil, &fs.PathError{Op: "make repo", Path: string(to), Err: ErrOther}
	}
	return report, withNode(ctx, to, passphrase, func(n *node.Node) error { return fill(n.Book, n.Identity.Store) })
}

// inside reports whether a folder is the other one or below it.
func inside(folder, other string) bool {
	rel, err := filepath.Rel(real(other), real(folder))
	return err == nil && filepath.IsLocal(rel)
}

// real returns a path without symbolic links, as far as it exists.
func real(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}

// withNode calls f with a node that is offline.
func withNode(ctx context.Context, r repo.Repo, passphrase []byte, f func(*node.Node) error) error {
	n, err := node.Open(ctx, node.Config{Dir: string(r), Offline: true, Passphrase: passphrase})
	if err != nil {
		return err
	}
	return errors.Join(f(n), n.Close())
}

// putKeys stores the keys, except that of the node, which is in the config.
func putKeys(files *keystore.Store, keys []kubo.Key, report *Report) error {
	for _, key := range keys {
		switch {
		case key.Err != nil:
			report.fail("key %q: %v", key.Label, key.Err)
		case key.Label == keystore.Self:
		default:
			if err := putKey(files, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// putKey stores a key. If its label has another key, that one stays and it is an error.
func putKey(files *keystore.Store, key kubo.Key) error {
	err := files.Put(key.Label, key.Priv)
	if !errors.Is(err, keystore.ErrExist) {
		return err
	}
	have, err := files.Get(key.Label)
	if err != nil {
		return err
	}
	if !have.Equals(key.Priv) {
		return fmt.Errorf("there is another key %q already: rename one of the two", key.Label)
	}
	return nil
}

// putRecords enters the newest record of each key. The entries do not say that the last
// sequence is known: before the next publish, the network is asked for a higher one.
func putRecords(ctx context.Context, b *names.Book, from *kubo.Repo, keys []kubo.Key, report *Report) error {
	for _, key := range keys {
		if key.Err != nil {
			continue
		}
		rec, err := from.Record(key)
		if err != nil {
			report.fail("key %q: %v", key.Label, err)
		}
		if rec != nil {
			if _, err := b.Take(ctx, rec, names.Entrance{Origin: recordstore.Own}); err != nil {
				return err
			}
		}
		report.Names = append(report.Names, Name{key.Label, key.Name, rec})
	}
	return nil
}

// Pins copies all pins with their blocks. A pin that cannot be copied is reported, and the
// others are. Between pins it calls progress.
func Pins(ctx context.Context, from *kubo.Repo, to repo.Repo, passphrase []byte, report *Report, progress func(content.Copied)) error {
	return withNode(ctx, to, passphrase, func(n *node.Node) error {
		for p, err := range from.Pins() {
			if err != nil {
				return err
			}
			kind := content.Direct
			if p.Recursive {
				kind = content.Recursive
			}
			pin := content.Pin{CID: p.CID, Type: kind, Name: p.Name}
			err := n.Content.CopyPin(ctx, pin, from.Block, &report.Copied)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, recordstore.ErrFull) {
				return err
			}
			if err != nil {
				report.fail("%v", err)
			}
			progress(report.Copied)
		}
		if c := from.Files(); c.Defined() {
			report.leave("what 'ipfs files' shows, %s: pin it in Kubo with 'ipfs pin add' and move again", c)
		}
		return nil
	})
}
