package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/filelock"
)

// maxWork is the largest exponent of scrypt's work that a backup may ask for: 2^20 takes
// about 3 s and 1 GiB.
const maxWork = 20

// Secret is what a backup is encrypted with and read by: a passphrase, or others.
type Secret struct {
	Passphrase []byte
	Recipients []age.Recipient // to write
	Identities []age.Identity  // to read
	Work       int             // exponent of scrypt's work to write with; 0: age's own
}

// keys returns what a backup is encrypted to, and what reads it back.
func (s Secret) keys() (to []age.Recipient, by []age.Identity, err error) {
	if len(s.Passphrase) > 0 {
		r, err := age.NewScryptRecipient(string(s.Passphrase))
		if err != nil {
			return nil, nil, err
		}
		if s.Work > 0 {
			r.SetWorkFactor(s.Work)
		}
		by, err = s.identities()
		return []age.Recipient{r}, by, err
	}
	if len(s.Recipients) == 0 {
		return nil, nil, errors.New("no passphrase and no recipient")
	}
	// Who may read it is elsewhere. So that it can be read back, it is also encrypted to a
	// key that is forgotten then.
	once, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return append(slices.Clone(s.Recipients), once.Recipient()), []age.Identity{once}, nil
}

func (s Secret) identities() ([]age.Identity, error) {
	if len(s.Passphrase) == 0 {
		if len(s.Identities) == 0 {
			return nil, errors.New("no passphrase and no identity")
		}
		return s.Identities, nil
	}
	id, err := age.NewScryptIdentity(string(s.Passphrase))
	if err != nil {
		return nil, err
	}
	id.SetMaxWorkFactor(maxWork)
	return append([]age.Identity{id}, s.Identities...), nil
}

// Saved is a backup that was written.
type Saved struct {
	Path     string
	Size     int64
	Manifest Manifest
}

// Save writes a backup to a file, which it replaces only when the new one is on disk and
// was read back; if path is a folder, or ends like one, to a new file there.
func Save(ctx context.Context, path string, s Source, secret Secret) (saved Saved, err error) {
	to, by, err := secret.keys()
	if err != nil {
		return saved, err
	}
	dir, folder, err := place(&path)
	if err != nil {
		return saved, err
	}
	clean(dir)
	f, err := os.CreateTemp(dir, tempFile+"*") // 0600
	if err != nil {
		return saved, err
	}
	defer os.Remove(f.Name()) // fails if it was renamed, which is fine
	defer f.Close()
	if err := filelock.Lock(f); err != nil {
		return saved, err
	}
	buffered := bufio.NewWriterSize(f, 64<<10)
	saved.Manifest, err = write(ctx, buffered, s, to)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return saved, fmt.Errorf("write the backup: %w", err)
	}
	if saved.Size, err = readBack(f, by, saved.Manifest); err != nil {
		return saved, fmt.Errorf("read back the backup: %w", err)
	}
	if closeFirst {
		if err := f.Close(); err != nil {
			return saved, err
		}
	}
	// A crash before this leaves what was there, one behind it the new file.
	if saved.Path = path; !folder {
		err = os.Rename(f.Name(), path)
	} else {
		saved.Path, err = number(f.Name(), dir, saved.Manifest)
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	return saved, err
}

// readBack compares what is in a file with what was written.
func readBack(f *os.File, by []age.Identity, wrote Manifest) (size int64, err error) {
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	m, err := read(f, by, &checker{})
	if err != nil {
		return 0, err
	}
	// The manifest itself is no member of what it lists.
	wrote.Members = wrote.Members[:len(wrote.Members)-1]
	if !reflect.DeepEqual(m, wrote) {
		return 0, fmt.Errorf("%w: it is not what was written", ErrDamaged)
	}
	return size, nil
}

// place returns the folder in which path is or will be, and whether path is that folder.
func place(path *string) (dir string, folder bool, err error) {
	info, err := os.Stat(*path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(*path, string(filepath.Separator)):
		if err := os.MkdirAll(*path, 0o700); err != nil {
			return "", false, err
		}
		return *path, true, durable.SyncDir(filepath.Dir(filepath.Clean(*path)))
	case errors.Is(err, fs.ErrNotExist):
		return filepath.Dir(*path), false, nil
	case err != nil:
		return "", false, err
	case info.IsDir():
		return *path, true, nil
	case !info.Mode().IsRegular():
		return "", false, fmt.Errorf("%s is neither a file nor a folder", *path)
	}
	// A link stays, and what it leads to is replaced.
	*path, err = filepath.EvalSymlinks(*path)
	return filepath.Dir(*path), false, err
}

// tempFile starts the names of unfinished backups.
const tempFile = durable.TempPrefix + "backup-"

// clean removes backups that a crash has left unfinished: nobody has locked them.
func clean(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, tempFile+"*"))
	for _, path := range left {
		f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
		if err != nil {
			continue
		}
		free, _ := filelock.TryLock(f)
		if free && !closeFirst {
			_ = os.Remove(path) // the next one tries again
		}
		f.Close()
		if free && closeFirst {
			_ = os.Remove(path)
		}
	}
}

// numbered are the files in a folder of backups: their number, then the time, for people.
var numbered = regexp.MustCompile(`^ipns-([0-9]{6})-[0-9]{8}T[0-9]{6}Z\.age$`)

// link is replaced by a test of file systems that have no links.
var link = os.Link

// number gives a file the next name in a folder of backups.
func number(from, dir string, m Manifest) (path string, err error) {
	list, err := inFolder(dir)
	if err != nil {
		return "", err
	}
	n := 0
	if len(list) > 0 {
		n, _ = strconv.Atoi(numbered.FindStringSubmatch(filepath.Base(list[0]))[1])
	}
	for {
		n++
		path = filepath.Join(dir, fmt.Sprintf("ipns-%06d-%s.age", n, m.Created.Format("20060102T150405Z")))
		err := link(from, path)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			// A stick with FAT has no links. Without one, two backups at the same time could
			// take the same name: the name has the second.
			if _, err = os.Lstat(path); err == nil {
				continue
			}
			err = os.Rename(from, path)
		}
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
	}
}

// inFolder returns the backups in a folder, newest first.
func inFolder(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(entries) { // in the order of their names
		if numbered.MatchString(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// interruptible fails once its context has ended.
type interruptible struct {
	io.Reader
	ctx context.Context
}

func (r interruptible) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func readFile(ctx context.Context, path string, by []age.Identity, to target) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	m, err := read(interruptible{f, ctx}, by, to)
	if ctx.Err() != nil { // it is not damaged
		err = ctx.Err()
	}
	return m, err
}
