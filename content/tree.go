package content

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// maxTrees bounds the trees in one import.
const maxTrees = 1 << 20

func (a *importer) run(entries iter.Seq2[Entry, error]) error {
	for e, err := range entries {
		if err == nil {
			err = a.ctx.Err()
		}
		if err == nil {
			err = a.makeWay()
		}
		if err == nil {
			err = a.add(e)
		}
		if err != nil {
			return err
		}
	}
	if a.opts.Wrap {
		return a.build(a.links.sorted())
	}
	if err := a.leave(false); err != nil {
		return err
	}
	return a.yieldAgain()
}

// add adds one entry: a file or link becomes blocks, and everything in a directory a link of the current tree.
func (a *importer) add(e Entry) error {
	if path.Clean("/" + e.Path)[1:] != e.Path {
		return fmt.Errorf("%q is not a clean relative path", e.Path)
	}
	isDir := e.Mode.IsDir()
	if e.Path == "" && isDir {
		if !a.begun { // the directory around all entries
			a.opts.Wrap = true
			a.around.mode, a.around.modTime = a.opts.stat(e)
		}
		return nil
	}
	a.begun = true
	root, _, below := strings.Cut(e.Path, "/")
	if strings.Count(e.Path, "/") >= maxDepth {
		return fmt.Errorf("%.100s…: more than %d directories deep", e.Path, maxDepth)
	}
	alone := !a.opts.Wrap && !isDir && !below // a separate tree
	if !a.opts.Wrap && root != a.root {
		if err := a.leave(true); err != nil {
			return err
		}
		if !alone {
			a.root = root
		}
		a.given = Entry{}
	}
	if !a.opts.Wrap && !below {
		a.given = Entry{Mode: e.Mode, ModTime: e.ModTime}
	}
	if isDir {
		l := treeLink{path: e.Path}
		l.mode, l.modTime = a.opts.stat(e)
		return a.links.add(l)
	}
	build := a.leaf
	if e.Unchanged {
		build = a.unchanged
	}
	node, err := build(e)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	name := e.Path
	if name == "" {
		name = node.Cid().String()
	}
	added, err := event(name, node)
	if err != nil {
		return err
	}
	if alone {
		return a.finishRoot(added)
	}
	if err := a.links.add(treeLink{path: name, cid: added.CID, size: added.Size}); err != nil || e.Unchanged {
		return err
	}
	return a.emit(added)
}

// leave ends the current tree, if there is one. If it was ended before, it is only recorded, to be yielded again at the
// end. After the last entry, nothing is recorded needlessly.
func (a *importer) leave(more bool) error {
	if a.root == "" {
		return nil
	}
	links := a.links.sorted()
	_, again := a.finished[a.root]
	if more || again {
		links = a.noting(links)
	}
	var err error
	if again {
		for _, e := range links {
			err = errors.Join(err, e)
		}
	} else {
		err = a.build(links)
	}
	if err = errors.Join(err, a.links.reset()); err != nil {
		return err
	}
	if a.finished[a.root] = again; len(a.finished) > maxTrees {
		return fmt.Errorf("more than %d top-level directories", maxTrees)
	}
	a.root = ""
	return nil
}

// noting yields links and records them.
func (a *importer) noting(links iter.Seq2[treeLink, error]) iter.Seq2[treeLink, error] {
	return func(yield func(treeLink, error) bool) {
		for l, err := range links {
			if err == nil {
				err = a.earlier.write(l)
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// yieldAgain finishes the trees that were continued.
func (a *importer) yieldAgain() error {
	for l, err := range a.earlier.read(0, a.earlier.size) {
		if err != nil {
			return err
		}
		root, _, _ := strings.Cut(l.path, "/")
		if !a.finished[root] {
			continue
		}
		if err := a.links.add(l); err != nil {
			return err
		}
	}
	return a.build(a.links.sorted())
}

// build builds the directories of one or more trees from their sorted links.
func (a *importer) build(links iter.Seq2[treeLink, error]) error {
	if a.opts.Wrap {
		if err := a.openDir(a.around); err != nil {
			return err
		}
	}
	if a.opts.DropEmpty {
		links = a.filled(links)
	}
	last := "" // path of the last link that is not a directory
	for l, err := range links {
		if err == nil {
			err = a.ctx.Err()
		}
		if err == nil {
			err = a.place(l, last)
		}
		if err != nil {
			return err
		}
		if !l.isDir() {
			last = l.path
		}
	}
	return a.closeDirs(0)
}

// place puts a link into its directory: it finishes open directories that do not contain the link, and begins those
// that do.
func (a *importer) place(l treeLink, last string) error {
	n := len(a.open)
	for n > 0 && !a.open[n-1].holds(l) {
		n--
	}
	if err := a.closeDirs(n); err != nil {
		return err
	}
	if !l.isDir() && l.path == last {
		return fmt.Errorf("%s occurs twice", l.path)
	}
	at := 0 // where the first path element that is not open begins
	if n > 0 && a.open[n-1].path != "" {
		at = min(len(a.open[n-1].path)+1, len(l.path))
	}
	for at < len(l.path) {
		end := strings.IndexByte(l.path[at:], '/')
		if end < 0 && !l.isDir() {
			break
		}
		if end < 0 {
			end = len(l.path) - at
		}
		dir := l.path[:at+end]
		if dir == last {
			return fmt.Errorf("%s occurs twice: as a directory, and as something else", dir)
		}
		open := treeLink{path: dir}
		if l.isDir() && dir == l.path {
			open = l
		}
		if err := a.openDir(open); err != nil {
			return err
		}
		at += end + 1
	}
	if l.isDir() {
		return nil
	}
	return a.link(l.path, linkedNode{cid: l.cid, size: l.size})
}

// filled yields links without the directories that nothing was given for, but for roots. A directory that then becomes
// empty stays, as in Kubo.
func (a *importer) filled(links iter.Seq2[treeLink, error]) iter.Seq2[treeLink, error] {
	return func(yield func(treeLink, error) bool) {
		var held treeLink // a directory of which the next link decides
		for l, err := range links {
			if held.path != "" && inside(l.path, held.path) && !yield(held, nil) {
				return
			}
			held = treeLink{}
			if err == nil && l.isDir() && (a.opts.Wrap || strings.Contains(l.path, "/")) {
				held = l
			} else if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// inside reports whether a path is in the directory dir or is dir itself.
func inside(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// holds reports whether l is d or inside it.
func (d *openDir) holds(l treeLink) bool {
	return d.path == "" || inside(l.path, d.path) && (len(l.path) > len(d.path) || l.isDir())
}

func (a *importer) openDir(l treeLink) error {
	dir, err := a.opts.directory(a.dag, a.builder, l)
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	a.open = append(a.open, &openDir{path: l.path, dir: dir})
	return nil
}

// closeDirs finishes open directories, the innermost first, until n are left.
func (a *importer) closeDirs(n int) error {
	for len(a.open) > n {
		d := a.open[len(a.open)-1]
		a.open = a.open[:len(a.open)-1]
		node, err := d.dir.GetNode()
		if err != nil {
			return fmt.Errorf("%s: %w", d.path, err)
		}
		if err := a.dag.Add(a.ctx, node); err != nil {
			return fmt.Errorf("%s: %w", d.path, err)
		}
		added, err := event(d.path, node)
		if err != nil {
			return err
		}
		if len(a.open) == 0 {
			return a.finishRoot(added)
		}
		if err := a.link(d.path, node); err != nil {
			return err
		}
		if err := a.emit(added); err != nil {
			return err
		}
	}
	return nil
}

// link puts a node into the innermost open directory.
func (a *importer) link(name string, node ipld.Node) error {
	if err := a.open[len(a.open)-1].dir.AddChild(a.ctx, path.Base(name), node); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// linkedNode is a node reduced to what links need. Its block is written already.
type linkedNode struct {
	ipld.Node
	cid  cid.Cid
	size uint64
}

func (n linkedNode) Cid() cid.Cid          { return n.cid }
func (n linkedNode) Size() (uint64, error) { return n.size, nil }
