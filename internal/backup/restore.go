package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
)

// maxTries bounds how many files of a folder are tried: each passphrase that does not fit
// takes a second.
const maxTries = 8

var (
	// ErrLoses means that a repo has something that a restore would replace.
	ErrLoses = errors.New("a restore would replace it")
	// ErrNewest means that the newest backup of a folder cannot be restored, and older ones
	// are there: with one of those, names may go back.
	ErrNewest = errors.New("there are older ones")
)

// Restoration is what is to be restored, and how.
type Restoration struct {
	Path   string // a file, or a folder of which the newest one is taken
	Secret Secret
	Into   repo.Repo
	// Replace allows to put aside a repo that has something.
	Replace bool
	// Older allows to take an older backup of a folder if the newest one cannot be read.
	Older bool
	// DryRun reads everything and changes nothing.
	DryRun bool
	// Open opens the store of names of a repo, makes it if there is none, and closes it
	// when f returns. A store that is made begins a generation of its own.
	Open func(ctx context.Context, r repo.Repo, f func(Names) error) error
}

// Restored is what a restore did, or would do.
type Restored struct {
	Path     string // the file that was read
	Manifest Manifest
	Skipped  []string // newer files of the folder, and what is wrong with each
	Had      []string // what there was in the repo
	Running  bool     // of a dry run: another process uses the repo, so what it has is not known
	Before   string   // the folder where that is now; "": nothing was
}

// Restore makes a repo of a backup. The repo has all of it or is as it was, whenever the
// process ends. What is restored is neither announced nor signed again before the network
// was asked: it is in a generation in which no sequence is known.
func Restore(ctx context.Context, o Restoration) (res Restored, err error) {
	by, err := o.Secret.identities()
	if err != nil {
		return res, err
	}
	paths, err := candidates(o.Path)
	if err != nil {
		return res, err
	}
	read := func(path string, to target) (Manifest, error) { return readFile(ctx, path, by, to) }
	if o.DryRun {
		if _, err := os.Stat(string(o.Into)); err == nil {
			err = o.into(ctx, &res, func() error { return nil })
			res.Running = errors.Is(err, repo.ErrLocked)
			if err != nil && !res.Running && !errors.Is(err, ErrLoses) {
				return res, err
			}
		}
		return res, o.newest(&res, paths, func(path string) (Manifest, error) { return read(path, &checker{}) })
	}
	_, missing := os.Stat(string(o.Into))
	if err := os.MkdirAll(string(o.Into), 0o755); err != nil {
		return res, err
	}
	err = o.into(ctx, &res, func() error {
		err := o.newest(&res, paths, func(path string) (m Manifest, err error) {
			staged, err := o.Into.Restoring()
			if err != nil {
				return m, err
			}
			err = o.Open(ctx, staged, func(n Names) error {
				b := newBuilder(ctx, staged, n)
				m, err = read(path, b)
				if ended := b.end(); err == nil {
					err = ended
				}
				return err
			})
			return m, err
		})
		if err != nil {
			return err
		}
		res.Before, err = o.Into.Restored()
		return err
	})
	if err != nil && missing != nil {
		// Nothing but the lock is in it.
		_ = os.Remove(filepath.Join(string(o.Into), "repo.lock"))
		_ = os.Remove(string(o.Into))
	}
	return res, err
}

// into calls f while the repo is locked, unless that has something to lose. What f leaves
// unfinished is removed.
func (o Restoration) into(ctx context.Context, res *Restored, f func() error) (err error) {
	if err := o.Into.Check(); err != nil && !errors.Is(err, repo.ErrNoRepo) {
		return err
	}
	lock, err := o.Into.Lock()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			o.Into.Abandon()
		}
		err = errors.Join(err, lock.Unlock())
	}()
	if res.Had, err = o.had(ctx); err != nil {
		return err
	}
	if len(res.Had) > 0 && !o.Replace {
		return fmt.Errorf("%s has %s: %w", string(o.Into), strings.Join(res.Had, ", "), ErrLoses)
	}
	return f()
}

// had returns what a repo has that its owner may want: not what 'init' has made.
func (o Restoration) had(ctx context.Context) (had []string, err error) {
	files, err := os.ReadDir(o.Into.Keystore())
	keys := 0
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "key_") && f.Name() != selfFile {
			keys++
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if keys > 0 {
		had = append(had, fmt.Sprintf("%d keys", keys))
	}
	if sites, err := o.Into.Sites(); err != nil || len(sites) > 0 {
		had = append(had, "folders that it publishes")
	}
	if _, err := os.Stat(o.Into.Database()); err != nil {
		return had, nil
	}
	names := 0
	err = o.Open(ctx, o.Into, func(n Names) error {
		for e, err := range n.Store.Scan(ctx, recordstore.Region{}) {
			if err != nil {
				return err
			}
			if e.Record != nil || !e.Mark.IsZero() || e.Next > 0 {
				names++
			}
		}
		return nil
	})
	if err != nil {
		had = append(had, fmt.Sprintf("a database that cannot be read (%v)", err))
	}
	if names > 0 {
		had = append(had, fmt.Sprintf("records of %d names", names))
	}
	return had, nil
}

// candidates returns the files to try, newest first.
func candidates(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		return []string{path}, nil
	case !info.IsDir(): // opening a pipe could wait forever
		return nil, fmt.Errorf("%s is neither a file nor a folder", path)
	}
	list, err := inFolder(path)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s has no backups, whose names are like ipns-000001-20261128T120000Z.age", path)
	}
	return list, err
}

// newest calls f for the newest file or, if that is allowed, for one after another until
// one is whole.
func (o Restoration) newest(res *Restored, paths []string, f func(path string) (Manifest, error)) (err error) {
	var first error
	for _, path := range paths[:min(len(paths), maxTries)] {
		res.Path = path
		if res.Manifest, err = f(path); err == nil {
			return nil
		}
		err = fmt.Errorf("%s: %w", path, err)
		switch unread := errors.Is(err, ErrDamaged) || errors.Is(err, ErrSecret) || errors.Is(err, ErrFormat); {
		case !unread:
			return err
		case !o.Older && len(paths) > 1:
			return fmt.Errorf("%w; %w", err, ErrNewest)
		}
		if first == nil {
			first = err
		}
		res.Skipped = append(res.Skipped, err.Error())
	}
	if len(paths) > 1 {
		return fmt.Errorf("none of the newest %d backups can be restored: %w", len(res.Skipped), first)
	}
	res.Skipped = nil // the error says it
	return first
}
