package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/repo"
)

// Source is what a backup is made of.
type Source struct {
	Repo  repo.Repo
	Names io.Reader // what Dump wrote
	Node  string    // version of this program
	// Damaged names files of keys that are copied as they are, but hold no key.
	Damaged []string
	// Partial says that what cannot be read is left out, and named in the manifest.
	Partial bool
}

// write writes a backup.
func write(ctx context.Context, w io.Writer, s Source, to []age.Recipient) (Manifest, error) {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return Manifest{}, err
	}
	b := &writer{ctx: ctx, tar: tar.NewWriter(sealed), partial: s.Partial, manifest: Manifest{Format: Format, Node: s.Node, Created: time.Now().UTC().Round(0)}}
	err = b.all(s)
	if err == nil {
		err = errors.Join(b.tar.Close(), sealed.Close())
	}
	return b.manifest, err
}

type writer struct {
	ctx      context.Context
	tar      *tar.Writer
	partial  bool
	manifest Manifest
}

func (b *writer) all(s Source) error {
	if err := b.member(formatName, 0o644, fmt.Appendf(nil, "%d\n", Format)); err != nil {
		return err
	}
	// Names before keys: so each name that is own has its key, unless that is deleted just now.
	if err := b.names(s.Names); err != nil {
		return err
	}
	if err := b.repo(s.Repo); err != nil {
		return err
	}
	for _, what := range s.Damaged {
		// One that cannot be opened at all is named already.
		if !slices.ContainsFunc(b.manifest.Missing, func(m string) bool { path, _, _ := strings.Cut(m, ": "); return strings.Contains(what, path) }) {
			b.manifest.Missing = append(b.manifest.Missing, what)
		}
	}
	if n := len(b.manifest.Missing); n > 0 && !b.partial {
		return fmt.Errorf("%d things cannot be read: %s", n, strings.Join(b.manifest.Missing, "; "))
	}
	list, err := json.MarshalIndent(b.manifest, "", "  ")
	if err != nil {
		return err
	}
	return b.put(manifestName, 0o644, int64(len(list)), bytes.NewReader(list))
}

// names cuts lines into files.
func (b *writer) names(from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	var file bytes.Buffer
	files, lines := 0, 0
	flush := func() error {
		if file.Len() == 0 {
			return nil
		}
		files++
		err := b.member(fmt.Sprintf("%s%06d.jsonl", namesDir, files), 0o600, file.Bytes())
		file.Reset()
		return err
	}
	for {
		raw, err := readLine(in)
		if err != nil {
			return fmt.Errorf("read the store of names: %w", noEOF(err)) // it ends with an End
		}
		l, err := parseLine(raw)
		switch {
		case err != nil:
			return fmt.Errorf("read the store of names: a line that is none: %w", err)
		case l.End != nil && l.End.Lines != lines:
			return fmt.Errorf("read the store of names: %d lines came of %d", lines, l.End.Lines)
		case l.End != nil:
			b.manifest.Generation = l.End.Generation
			return flush()
		}
		lines++
		if l.Damage != "" {
			b.manifest.Missing = append(b.manifest.Missing, l.Damage)
			continue
		}
		b.manifest.Counts.add(l)
		file.Write(raw)
		file.WriteByte('\n')
		if file.Len() >= fullNames {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// add counts a line.
func (c *Counts) add(l Line) {
	switch {
	case l.Name != nil:
		c.Names++
	case l.Past != nil:
		c.Past++
	case l.Seen != nil:
		c.Seen++
	case l.Row != nil:
		c.Rows++
	case l.Pin != nil:
		c.Pins++
	}
}

// readLine returns the next line without its end.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// repo adds the files of a repo.
func (b *writer) repo(r repo.Repo) error {
	before, err := os.ReadFile(filepath.Join(string(r), "config"))
	if err != nil {
		return err
	}
	config, err := repo.ParseConfig(before)
	if err != nil {
		return err
	}
	id := config.Identity
	b.manifest.PeerID = id.PeerID
	if err := b.member("config", 0o600, before); err != nil {
		return err
	}
	for _, name := range single[1:] {
		if err := b.file(name, filepath.Join(string(r), name)); err != nil {
			return err
		}
	}
	if err := b.folder(keysDir, r.Keystore()); err != nil {
		return err
	}
	if id.PrivKey == "" && !b.has(keysDir+selfFile) {
		b.manifest.Missing = append(b.manifest.Missing, "the node's own key: it is neither in the config nor in the keystore")
	}
	if err := b.folder(denyDir, r.Denylists()); err != nil {
		return err
	}
	// The key of the node moves between config and keystore when keys are encrypted.
	after, err := os.ReadFile(filepath.Join(string(r), "config"))
	if err != nil {
		return err
	}
	if now, err := repo.ParseConfig(after); err != nil || now.Identity != id {
		return errors.Join(errors.New("the node's key was changed meanwhile: make the backup again"), err)
	}
	return nil
}

func (b *writer) has(name string) bool {
	for _, m := range b.manifest.Members {
		if m.Name == name {
			return true
		}
	}
	return false
}

// folder adds the files of a folder, which need not be there.
func (b *writer) folder(prefix, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		b.miss(dir, err)
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), durable.TempPrefix) {
			continue
		}
		if _, err := limitOf(prefix + e.Name()); err != nil {
			b.miss(filepath.Join(dir, e.Name()), errors.New("its name is none that a file there can have"))
			continue
		}
		if err := b.file(prefix+e.Name(), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (b *writer) miss(path string, err error) {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	b.manifest.Missing = append(b.manifest.Missing, fmt.Sprintf("%s: %v", path, err))
}

// file adds a file of the repo, which need not be there. One that cannot be read is missed.
func (b *writer) file(name, path string) error {
	limit, err := limitOf(name)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		b.miss(path, err)
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a file")
	case err == nil && info.Size() > limit:
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	if err != nil {
		b.miss(path, err)
		return nil
	}
	// The first bytes are read before the tar promises the file.
	start := make([]byte, min(info.Size(), maxSmall))
	if _, err := io.ReadFull(f, start); err != nil {
		b.miss(path, err)
		return nil
	}
	err = b.put(name, int64(info.Mode().Perm()&0o600), info.Size(), io.MultiReader(bytes.NewReader(start), f))
	if err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	if isKeyFile(name) {
		b.manifest.Counts.Keys++
	}
	return nil
}

func (b *writer) member(name string, mode int64, content []byte) error {
	return b.put(name, mode, int64(len(content)), bytes.NewReader(content))
}

// put writes one file of the tar.
func (b *writer) put(name string, mode, size int64, from io.Reader) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if len(b.manifest.Members) >= maxMembers-1 {
		return fmt.Errorf("more than %d files", maxMembers)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: b.manifest.Created, Format: tar.FormatUSTAR}
	h.ModTime = h.ModTime.Truncate(time.Second)
	if err := b.tar.WriteHeader(h); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(b.tar, sum), from, size); err != nil {
		return noEOF(err)
	}
	b.manifest.Members = append(b.manifest.Members, Member{Name: name, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}
