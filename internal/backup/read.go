package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"
)

// A target takes what is in a backup, in its order. Nothing counts before read returns.
type target interface {
	// file takes a file of the repo; name is one that limitOf knows.
	file(name string, mode int64, content io.Reader) error
	// line takes one thing of the store.
	line(l Line) error
}

// read reads a whole backup into a target.
func read(from io.Reader, by []age.Identity, to target) (Manifest, error) {
	plain, err := age.Decrypt(bufio.NewReader(from), by...)
	if err != nil {
		var mismatch *age.NoIdentityMatchError
		if errors.As(err, &mismatch) {
			return Manifest{}, fmt.Errorf("%w (%w)", ErrSecret, noIdentity(mismatch))
		}
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r := &reader{tar: tar.NewReader(plain), to: to, names: make(map[string]bool)}
	err = r.all()
	if err == nil {
		err = onlyZeros(plain)
	}
	if err != nil && !errors.Is(err, ErrFormat) && !errors.As(err, new(targetError)) {
		err = damaged(err)
	}
	return r.manifest, err
}

// noIdentity is the first reason why no identity fits.
func noIdentity(e *age.NoIdentityMatchError) error {
	if len(e.Errors) > 0 {
		return e.Errors[0]
	}
	return e
}

func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, noEOF(err))
}

// targetError is what a target failed with: not an error of the backup.
type targetError struct{ error }

func (e targetError) Unwrap() error { return e.error }

type reader struct {
	tar      *tar.Reader
	to       target
	names    map[string]bool
	members  []Member
	counts   Counts
	last     bool // a Name or Past was the last line
	manifest Manifest
}

func (r *reader) all() error {
	for {
		h, err := r.tar.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("it ends without a manifest")
		}
		if err != nil {
			return err
		}
		end, err := r.member(h)
		if err != nil {
			return err
		}
		if end {
			break
		}
	}
	if _, err := r.tar.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("there is something behind the manifest"), err)
	}
	return nil
}

// member reads one file of the tar, and reports whether it was the last.
func (r *reader) member(h *tar.Header) (end bool, err error) {
	limit, err := limitOf(h.Name)
	switch {
	case err != nil:
		return false, err
	case h.Typeflag != tar.TypeReg:
		return false, fmt.Errorf("%s is not a file", h.Name)
	case h.Size > limit || h.Size < 0:
		return false, fmt.Errorf("%s has %d bytes, the limit is %d", h.Name, h.Size, limit)
	case r.names[h.Name]:
		return false, fmt.Errorf("%s is there twice", h.Name)
	case len(r.members) >= maxMembers:
		return false, fmt.Errorf("more than %d files", maxMembers)
	case (len(r.members) == 0) != (h.Name == formatName):
		return false, fmt.Errorf("it begins with %s, not with its format", h.Name)
	}
	if h.Name == manifestName {
		return true, r.list()
	}
	r.names[h.Name] = true
	sum := sha256.New()
	content := io.TeeReader(r.tar, sum)
	switch {
	case h.Name == formatName:
		err = checkFormat(content)
	case strings.HasPrefix(h.Name, namesDir):
		err = r.lines(content)
	default:
		err = r.pass(h, content)
		if isKeyFile(h.Name) {
			r.counts.Keys++
		}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, content) // what nobody has read
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", h.Name, err)
	}
	r.members = append(r.members, Member{Name: h.Name, Size: h.Size, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return false, nil
}

// pass gives a file to the target.
func (r *reader) pass(h *tar.Header, content io.Reader) error {
	from := &noted{Reader: content}
	err := r.to.file(h.Name, h.Mode, from)
	if from.err != nil {
		return from.err
	}
	if err != nil {
		return targetError{err}
	}
	return nil
}

// noted notes why it could not be read.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(b []byte) (int, error) {
	c, err := n.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return c, err
}

func checkFormat(from io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(from, 32))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	switch {
	case err != nil:
		return errors.New("it is not a number")
	case n > Format:
		return fmt.Errorf("the backup has format %d, of a newer version, and %w: it reads format %d", n, ErrFormat, Format)
	case n < Format:
		return fmt.Errorf("the backup has format %d, and %w: it reads format %d", n, ErrFormat, Format)
	}
	return nil
}

// list reads the manifest and compares it with what was read.
func (r *reader) list() error {
	b, err := io.ReadAll(r.tar)
	if err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&r.manifest); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	switch m := r.manifest; {
	case m.Format != Format:
		return fmt.Errorf("%s says format %d", manifestName, m.Format)
	case !slices.Equal(m.Members, r.members):
		return fmt.Errorf("its files are not those of %s", manifestName)
	case m.Counts != r.counts:
		return fmt.Errorf("it has %+v, %s says %+v", r.counts, manifestName, m.Counts)
	case !r.names["config"]:
		return errors.New("it has no config")
	}
	return nil
}

// lines reads a file of lines.
func (r *reader) lines(from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	for {
		raw, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := parseLine(raw)
		switch {
		case err != nil:
			return fmt.Errorf("a line that is none: %w", err)
		case l.End != nil || l.Damage != "":
			return errors.New("a line that is not of a backup")
		case l.Past != nil && !r.last:
			return errors.New("a version without its name")
		}
		r.last = l.Name != nil || l.Past != nil
		r.counts.add(l)
		if err := r.to.line(l); err != nil {
			return targetError{err}
		}
	}
}

// onlyZeros reads what follows the end of a tar, which some programs fill up.
func onlyZeros(from io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(from, maxTail+1))
	if err != nil {
		return err
	}
	if len(b) > maxTail || len(bytes.Trim(b, "\x00")) > 0 {
		return errors.New("there is something behind the end of the tar")
	}
	return nil
}
