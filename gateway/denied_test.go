package gateway

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/recordstore"
)

// listed denies what is in it.
type listed struct {
	paths, cids map[string]bool
	changes     atomic.Uint64
}

func (l *listed) DeniesPath(p string) bool { return l.paths[p] }
func (l *listed) DeniesCID(c cid.Cid) bool { return l.cids[c.String()] }
func (l *listed) Changes() uint64          { return l.changes.Load() }

func (l *listed) set(paths, cids []string) {
	l.paths, l.cids = map[string]bool{}, map[string]bool{}
	for _, p := range paths {
		l.paths[p] = true
	}
	for _, c := range cids {
		l.cids[c] = true
	}
	l.changes.Add(1)
}

func TestWhatIsDeniedIsGone(t *testing.T) {
	for _, fetch := range []bool{false, true} {
		deny := &listed{}
		w := newWorldWith(t, Options{NoFetch: !fetch}, deny)
		w.Deny = w.store.Denied
		name := w.name.String()
		other, _ := w.publish(t, recordstore.Hosted, "/ipfs/"+w.root)
		byName, byOther, byCID, file := at+"/ipns/"+name+"/index.html", at+"/ipns/"+other.String()+"/index.html", at+"/ipfs/"+w.root+"/index.html", at+"/ipfs/"+w.file
		notes := "/notes/list.txt"
		all := []string{
			byName, byOther, byCID, file, "http://example.com/index.html", "http://" + name + ".ipns.localhost/index.html",
			at + "/ipns/" + name + notes, at + "/ipfs/" + w.root + notes, file + "?format=raw", at + "/ipfs/" + w.root + "?format=car", at + "/ipns/" + name + "?format=ipns-record",
		}
		for _, c := range []struct {
			paths, cids []string
			gone        []string
		}{
			{},
			{paths: []string{"/ipns/" + name + "/index.html"}, gone: []string{byName, "http://example.com/index.html", "http://" + name + ".ipns.localhost/index.html"}},
			{paths: []string{"/ipns/" + name}, gone: []string{at + "/ipns/" + name + "?format=ipns-record"}},
			{paths: []string{"/ipns/example.com/index.html"}, gone: []string{"http://example.com/index.html"}},
			{paths: []string{"/ipfs/" + w.root + "/index.html"}, gone: []string{byName, byOther, byCID, "http://example.com/index.html", "http://" + name + ".ipns.localhost/index.html"}},
			{cids: []string{w.file}, gone: []string{byName, byOther, byCID, file, "http://example.com/index.html", "http://" + name + ".ipns.localhost/index.html", file + "?format=raw"}},
			{},
		} {
			deny.set(c.paths, c.cids)
			gone := map[string]bool{}
			for _, url := range c.gone {
				gone[url] = true
			}
			for range 2 {
				for _, url := range all {
					r := w.get(url)
					want := 200
					if gone[url] {
						want = 410
					}
					if len(c.cids) > 0 && url == at+"/ipfs/"+w.root+"?format=car" {
						continue // it breaks off
					}
					check(t, r, want)
				}
			}
		}
	}
}

// The page for a denied name must not say where it leads.
func TestPageOfADeniedName(t *testing.T) {
	deny := &listed{}
	w := newWorldWith(t, Options{}, deny)
	w.Deny = w.store.Denied
	name := "/ipns/" + w.name.String()
	deny.set([]string{name}, nil)
	r := w.get(at+name, "Accept", "text/html")
	check(t, r, 410, "Content-Type", "text/html; charset=utf-8")
	page := bodyOf(t, r)
	for _, told := range []string{w.root, "Last known value", "Newest record", "Without an answer"} {
		if strings.Contains(page, told) {
			t.Errorf("it has %q:\n%s", told, page)
		}
	}
}
