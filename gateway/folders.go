package gateway

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"sync"

	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
)

// Limits of the cached folders, in entries of about 120 bytes.
const (
	maxIndexed  = 128 << 10 // entries of one folder; a larger one is read for each page
	maxKept     = 256 << 10 // entries of all folders
	maxReadings = 4         // folders read at once; others wait
)

// folders caches the sorted entries of the large folders listed last: reading one takes
// seconds, and its pages are requested one by one.
type folders struct {
	reading chan struct{} // holds one element for each folder being read

	mu      sync.Mutex                // guards the fields below
	flights map[cid.Cid]chan struct{} // closed when the reading of a folder has ended
	kept    map[cid.Cid]*list.Element // of *folder
	recent  *list.List                // the same, last used first
	entries int                       // of all kept folders
}

type folder struct {
	cid   cid.Cid
	links []*format.Link
}

func newFolders() *folders {
	return &folders{
		reading: make(chan struct{}, maxReadings),
		flights: map[cid.Cid]chan struct{}{}, kept: map[cid.Cid]*list.Element{}, recent: list.New(),
	}
}

// page returns the first entries after a name, and whether there are more.
func (s *folders) page(ctx context.Context, c cid.Cid, dir uio.Directory, after string) (links []*format.Link, more bool, err error) {
	for {
		all, flight, mine := s.find(c)
		if all != nil {
			links, more = cut(all, after)
			return links, more, nil
		}
		if mine {
			defer s.end(c, flight)
			return s.read(ctx, c, dir, after)
		}
		select {
		case <-flight: // now kept, or failed or too large and read again
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// find returns the entries of a folder, or the running read of it; if there is none,
// the caller starts one.
func (s *folders) find(c cid.Cid) (all []*format.Link, flight chan struct{}, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.kept[c]; e != nil {
		s.recent.MoveToFront(e)
		return e.Value.(*folder).links, nil, false
	}
	if flight = s.flights[c]; flight == nil {
		flight, mine = make(chan struct{}), true
		s.flights[c] = flight
	}
	return nil, flight, mine
}

func (s *folders) end(c cid.Cid, flight chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, c)
	close(flight)
}

func (s *folders) keep(f *folder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[f.cid] = s.recent.PushFront(f)
	s.entries += len(f.links)
	for s.entries > maxKept {
		old := s.recent.Remove(s.recent.Back()).(*folder)
		delete(s.kept, old.cid)
		s.entries -= len(old.links)
	}
}

// read reads a folder in any order, since a sharded one has none. Of a folder too large
// to keep, it holds at most two pages.
func (s *folders) read(ctx context.Context, c cid.Cid, dir uio.Directory, after string) ([]*format.Link, bool, error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var links []*format.Link
	limit, large, dropped := maxIndexed, false, false
	for r := range dir.EnumLinksAsync(reading) {
		if r.Err != nil {
			return nil, false, r.Err
		}
		if large && r.Link.Name <= after && after != "" {
			continue
		}
		if links = append(links, r.Link); len(links) < limit {
			continue
		}
		large, limit = true, 2*maxEntries
		sortLinks(links)
		page, more := cut(links, after)
		links, dropped = slices.Clone(page), dropped || more
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err // it may be incomplete
	}
	sortLinks(links)
	if !large {
		if len(links) > maxEntries { // smaller ones are quick to read
			s.keep(&folder{c, links})
		}
	}
	page, more := cut(links, after)
	return page, more || dropped, nil
}

func sortLinks(links []*format.Link) {
	slices.SortFunc(links, func(a, b *format.Link) int { return cmp.Compare(a.Name, b.Name) })
}

// cut returns the page after a name of sorted links, and whether there are more.
func cut(links []*format.Link, after string) (page []*format.Link, more bool) {
	if after != "" {
		i, found := slices.BinarySearchFunc(links, after, func(l *format.Link, name string) int { return cmp.Compare(l.Name, name) })
		for found && i < len(links) && links[i].Name == after {
			i++
		}
		links = links[i:]
	}
	if len(links) > maxEntries {
		return links[:maxEntries], true
	}
	return links, false
}
