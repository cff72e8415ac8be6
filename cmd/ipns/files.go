package main

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/internal/repo"
)

// tree yields the files at and below path.
func tree(path string, o folder.Options) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		for e, err := range folder.Walk(path, o) {
			if !yield(fileOf(e), err) || err != nil {
				return
			}
		}
	}
}

// fileOf is an entry of a folder as it is added.
func fileOf(e folder.Entry) api.File {
	f := api.File{Path: e.Path, Mode: e.Mode, ModTime: e.ModTime, Body: e.Content}
	switch {
	case e.Mode.Type() == fs.ModeDir:
		f.Kind = api.Folder
	case e.Mode.Type() == fs.ModeSymlink:
		f.Kind, f.Body = api.Symlink, strings.NewReader(e.Target)
	case e.Known:
		f.Kind = api.Unchanged
	}
	return f
}

// notPrivate returns a check that refuses the private paths of a repo, especially its
// keys.
func notPrivate(r repo.Repo) func(path string) error {
	private := r.Private()
	return func(path string) error {
		if private(path) {
			return fmt.Errorf("%s belongs to the repo of this node, which has its private keys in it: "+
				"leave it out, or move the repo and set IPNS_PATH", path)
		}
		return nil
	}
}

// source keeps the error that stopped reading the files of an upload, which may say more than the error of the upload.
type source struct {
	mu  sync.Mutex
	err error
}

func (s *source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// watch yields files, and keeps their first error.
func (s *source) watch(files iter.Seq2[api.File, error]) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		for f, err := range files {
			if err != nil {
				s.failed(err)
			}
			if f.Body != nil {
				f.Body = &watched{f.Body, s}
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// cause returns the error of the files, if there was one, instead of err.
func (s *source) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return err
}

type watched struct {
	io.Reader
	source *source
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if err != nil && err != io.EOF {
		w.source.failed(err)
	}
	return n, err
}

// maxLeftOut bounds how many skipped files are listed.
const maxLeftOut = 20

// leftOut collects the files of a folder that are skipped.
type leftOut struct {
	mu     sync.Mutex // a goroutine of the client may read files
	lines  []string
	more   int
	hidden bool
}

func (l *leftOut) note(path, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hidden = l.hidden || why == folder.Hidden
	if len(l.lines) == maxLeftOut {
		l.more++
		return
	}
	l.lines = append(l.lines, fmt.Sprintf("left out: %s: %s", path, why))
}

func (l *leftOut) print(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		display.Fprintln(w, line)
	}
	if l.more > 0 {
		display.Fprintf(w, "left out: %d more\n", l.more)
	}
	if l.hidden {
		display.Fprintln(w, "Use --hidden to include names that begin with a dot.")
	}
}
