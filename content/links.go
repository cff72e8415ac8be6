package content

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
)

// linksInMemory is how many links of a tree an import holds in memory before it moves them to a linkFile.
const linksInMemory = 1 << 16

// treeLink is the link at a path of a tree. Without a CID it is a directory that is not built yet, with what is to be
// kept of its mode and time.
type treeLink struct {
	path    string
	cid     cid.Cid
	size    uint64
	mode    fs.FileMode
	modTime time.Time
}

func (l treeLink) isDir() bool { return !l.cid.Defined() }

// compareLinks orders links so that a directory is directly followed by its contents. If a path occurs twice, a file or
// link comes before a directory.
func compareLinks(a, b treeLink) int {
	n := min(len(a.path), len(b.path))
	for i := range n {
		x, y := a.path[i], b.path[i]
		switch {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return cmp.Compare(x, y)
		}
	}
	if c := cmp.Compare(len(a.path), len(b.path)); c != 0 || a.isDir() == b.isDir() {
		return c
	} else if b.isDir() {
		return -1
	}
	return 1
}

// linkSorter sorts links, in a linkFile if there are more than linksInMemory. The zero value is ready to use.
type linkSorter struct {
	held []treeLink
	file linkFile
	runs []int64 // where each sorted run ends in the file
}

func (s *linkSorter) add(l treeLink) error {
	s.held = append(s.held, l)
	if len(s.held) < linksInMemory {
		return nil
	}
	slices.SortFunc(s.held, compareLinks)
	for _, l := range s.held {
		if err := s.file.write(l); err != nil {
			return err
		}
	}
	s.runs = append(s.runs, s.file.size)
	s.forget()
	return nil
}

func (s *linkSorter) forget() {
	clear(s.held)
	s.held = s.held[:0]
}

// sorted yields all links in order.
func (s *linkSorter) sorted() iter.Seq2[treeLink, error] {
	return func(yield func(treeLink, error) bool) {
		slices.SortFunc(s.held, compareLinks)
		var m merge
		defer func() { m.stop() }()
		err := m.begin(func(yield func(treeLink, error) bool) {
			for _, l := range s.held {
				if !yield(l, nil) {
					return
				}
			}
		})
		start := int64(0)
		for _, end := range s.runs {
			err = errors.Join(err, m.begin(s.file.read(start, end)))
			start = end
		}
		for err == nil && len(m) > 0 {
			if !yield(m[0].head, nil) {
				return
			}
			err = m.step()
		}
		if err != nil {
			yield(treeLink{}, err)
		}
	}
}

// all yields all links, in any order. Nothing may be added meanwhile.
func (s *linkSorter) all() iter.Seq2[treeLink, error] {
	return func(yield func(treeLink, error) bool) {
		for _, l := range s.held {
			if !yield(l, nil) {
				return
			}
		}
		s.file.read(0, s.file.size)(yield)
	}
}

// reset removes all links.
func (s *linkSorter) reset() error {
	s.forget()
	s.runs = nil
	return s.file.reset()
}

// merge is a heap of sorted sequences, the one with the lowest head first.
type merge []*sequence

type sequence struct {
	head treeLink
	next func() (treeLink, error, bool)
	stop func()
}

// begin adds a sequence.
func (m *merge) begin(links iter.Seq2[treeLink, error]) error {
	next, stop := iter.Pull2(links)
	head, err, ok := next()
	if !ok || err != nil {
		stop()
		return err
	}
	heap.Push(m, &sequence{head, next, stop})
	return nil
}

// step drops the lowest head.
func (m *merge) step() error {
	first := (*m)[0]
	head, err, ok := first.next()
	if err != nil {
		return err
	}
	if !ok {
		heap.Pop(m)
		return nil
	}
	first.head = head
	heap.Fix(m, 0)
	return nil
}

func (m merge) stop() {
	for _, s := range m {
		s.stop()
	}
}

// The methods of a heap.

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return compareLinks(m[i].head, m[j].head) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*sequence)) }

func (m *merge) Pop() any {
	last := len(*m) - 1
	s := (*m)[last]
	(*m)[last] = nil
	*m = (*m)[:last]
	return s
}

// linkFile holds links in order: the last ones, up to spillAt bytes, in memory, the earlier ones in a temporary file,
// which is deleted when the process ends. It is unusable after an error. The zero value is ready to use.
type linkFile struct {
	f    *os.File // nil: everything is in memory
	tail []byte
	size int64
}

// spillAt is how many bytes of links are written to the file at a time.
const spillAt = 4 << 20

func (lf *linkFile) write(l treeLink) error {
	before := len(lf.tail)
	lf.tail = binary.AppendUvarint(lf.tail, uint64(len(l.path)))
	lf.tail = append(lf.tail, l.path...)
	c := l.cid.Bytes()
	lf.tail = binary.AppendUvarint(lf.tail, uint64(len(c)))
	lf.tail = append(lf.tail, c...)
	lf.tail = binary.AppendUvarint(lf.tail, l.size)
	if l.isDir() {
		lf.tail = binary.AppendUvarint(lf.tail, uint64(l.mode))
		lf.tail = binary.AppendVarint(lf.tail, l.modTime.Unix())
		lf.tail = binary.AppendUvarint(lf.tail, uint64(l.modTime.Nanosecond()))
	}
	lf.size += int64(len(lf.tail) - before)
	if len(lf.tail) < spillAt {
		return nil
	}
	return lf.spill()
}

func (lf *linkFile) spill() error {
	if lf.f == nil {
		f, err := os.CreateTemp("", "ipns-add-*")
		if err != nil {
			return fmt.Errorf("keep the links of a large tree: %w", err)
		}
		lf.f = f
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	if _, err := lf.f.Write(lf.tail); err != nil {
		return fmt.Errorf("keep the links of a large tree: %w", err)
	}
	lf.tail = lf.tail[:0]
	return nil
}

// read yields the links between two offsets. Nothing may be written meanwhile.
func (lf *linkFile) read(start, end int64) iter.Seq2[treeLink, error] {
	return func(yield func(treeLink, error) bool) {
		inFile := lf.size - int64(len(lf.tail))
		var parts []io.Reader
		if start < inFile {
			parts = append(parts, io.NewSectionReader(lf.f, start, min(end, inFile)-start))
		}
		if end > inFile {
			parts = append(parts, bytes.NewReader(lf.tail[max(0, start-inFile):end-inFile]))
		}
		r := bufio.NewReader(io.MultiReader(parts...))
		for {
			if _, err := r.Peek(1); err == io.EOF {
				return
			}
			l, err := readLink(r)
			if err != nil {
				yield(treeLink{}, fmt.Errorf("read back the links of a large tree: %w", err))
				return
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

func readLink(r *bufio.Reader) (l treeLink, err error) {
	part := func() []byte {
		var n uint64
		if n, err = binary.ReadUvarint(r); err != nil {
			return nil
		}
		b := make([]byte, n)
		_, err = io.ReadFull(r, b)
		return b
	}
	if l.path = string(part()); err != nil {
		return l, err
	}
	c := part()
	if err == nil && len(c) > 0 {
		l.cid, err = cid.Cast(c)
	}
	if err == nil {
		l.size, err = binary.ReadUvarint(r)
	}
	if err == nil && l.isDir() {
		err = readStat(r, &l)
	}
	return l, err
}

// readStat reads what the link of a directory has besides.
func readStat(r *bufio.Reader, l *treeLink) error {
	mode, err1 := binary.ReadUvarint(r)
	seconds, err2 := binary.ReadVarint(r)
	nanos, err3 := binary.ReadUvarint(r)
	l.mode = fs.FileMode(mode)
	if l.modTime = time.Unix(seconds, int64(nanos)); l.modTime.Equal(time.Time{}) {
		l.modTime = time.Time{}
	}
	return errors.Join(err1, err2, err3)
}

// reset removes all links and frees their space.
func (lf *linkFile) reset() error {
	f := lf.f
	*lf = linkFile{}
	if f == nil {
		return nil
	}
	return f.Close()
}
