package gateway

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/boxo/ipld/unixfs"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/goipns/ipns/content"
)

// addFolder adds a folder of n files and returns its CID.
func (w *world) addFolder(t *testing.T, n int, more ...string) string {
	t.Helper()
	tree := func(yield func(content.Entry, error) bool) {
		for i := range n {
			if !yield(content.Entry{Path: fmt.Sprintf("many/e%05d&<", i), Content: strings.NewReader("x")}, nil) {
				return
			}
		}
		for _, name := range more {
			if !yield(content.Entry{Path: "many/" + name, Content: strings.NewReader("own page")}, nil) {
				return
			}
		}
	}
	root := ""
	for a, err := range w.store.Add(context.Background(), tree, content.AddOptions{CIDVersion: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		root = a.CID.String() // the last event is the root
	}
	return root
}

var (
	entryRE = regexp.MustCompile(`<a href="[^"]*/(e\d{5})[^"]*">e`)
	nextRE  = regexp.MustCompile(`<a href="(\?after=[^"]*)">Next page</a>`)
)

func TestLargeFolderIsListedInPages(t *testing.T) {
	for _, n := range []int{0, 3, maxEntries, maxEntries + 1, 5000} { // the last is sharded
		w := newWorld(t, Options{})
		dir := at + "/ipfs/" + w.addFolder(t, n, "a.txt") + "/"
		seen := map[string]bool{}
		last, pages := "", 0
		for query := ""; ; {
			r := w.get(dir + query)
			check(t, r, 200, "Content-Type", "text/html")
			body := bodyOf(t, r)
			pages++
			for _, m := range entryRE.FindAllStringSubmatch(body, -1) {
				if m[1] < last || seen[m[1]] && m[1] != last {
					t.Fatalf("%d entries: %s after %s", n, m[1], last)
				}
				seen[m[1]], last = true, m[1]
			}
			next := nextRE.FindStringSubmatch(body)
			if next == nil {
				break
			}
			query = html.UnescapeString(next[1])
		}
		if want := max(1, (n+1+maxEntries-1)/maxEntries); len(seen) != n || pages != want {
			t.Errorf("%d entries on %d pages, want %d on %d", len(seen), pages, n, want)
		}
	}
}

func TestListingLeavesOtherAnswersAlone(t *testing.T) {
	w := newWorld(t, Options{})
	large := w.addFolder(t, maxEntries+1)
	own := w.addFolder(t, maxEntries+1, "index.html")
	if b := bodyOf(t, w.get(at+"/ipfs/"+own+"/")); b != "own page" {
		t.Errorf("a folder with a page of its own shows %q", b)
	}
	check(t, w.get(at+"/ipfs/"+large), 301, "Location", "/ipfs/"+large+"/")
	r := w.do("HEAD", at+"/ipfs/"+large+"/")
	check(t, r, 200)
	if b := bodyOf(t, r); b != "" {
		t.Errorf("HEAD: %q", b)
	}
	// Without the slash, go-get gets a listing too.
	if b := bodyOf(t, w.get(at+"/ipfs/"+large+"?go-get=1")); strings.Count(b, "Next page") != 1 {
		t.Error("a listing without its slash is whole")
	}
	q := url.Values{"after": {"e99999"}}.Encode()
	if b := bodyOf(t, w.get(at+"/ipfs/"+large+"/?"+q)); entryRE.MatchString(b) || nextRE.MatchString(b) {
		t.Error("there is something after the end")
	}
	check(t, w.get(at+"/ipfs/"+large+"/?format=raw"), 200)
}

// unordered is a folder of n entries in no order.
type unordered struct {
	uio.Directory
	n     int
	reads *atomic.Int32
}

func (d unordered) EnumLinksAsync(ctx context.Context) <-chan unixfs.LinkResult {
	d.reads.Add(1)
	out := make(chan unixfs.LinkResult, 1024)
	go func() {
		defer close(out)
		for i := range d.n {
			name := fmt.Sprintf("%07d", i*7919%d.n) // 7919 is prime, and divides no n of the tests
			select {
			case out <- unixfs.LinkResult{Link: &format.Link{Name: name}}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func TestFolderIsReadOnceUnlessItIsTooLargeToKeep(t *testing.T) {
	for _, tt := range []struct{ n, reads int }{{maxEntries + 1, 1}, {maxIndexed - 1, 1}, {maxIndexed + 5000, 3}} {
		s := newFolders()
		d := unordered{n: tt.n, reads: new(atomic.Int32)}
		c := cid.NewCidV1(cid.Raw, []byte{0, 0})
		for _, after := range []int{-1, 17, tt.n - 3} {
			key := ""
			if after >= 0 {
				key = fmt.Sprintf("%07d", after)
			}
			links, more, err := s.page(t.Context(), c, d, key)
			if err != nil {
				t.Fatal(err)
			}
			want := min(maxEntries, tt.n-1-after)
			if len(links) != want || more != (after+want < tt.n-1) {
				t.Fatalf("%d entries after %d: %d and more %v, want %d", tt.n, after, len(links), more, want)
			}
			for i, l := range links {
				if l.Name != fmt.Sprintf("%07d", after+1+i) {
					t.Fatalf("%d entries after %d: %s is the %dth", tt.n, after, l.Name, i)
				}
			}
		}
		if got := int(d.reads.Load()); got != tt.reads {
			t.Errorf("a folder of %d entries was read %d times, want %d", tt.n, got, tt.reads)
		}
	}
}

func TestClientsOfOneFolderShareItsReading(t *testing.T) {
	s := newFolders()
	d := unordered{n: 20_000, reads: new(atomic.Int32)}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // a caller that leaves does not fail the others
	var wg sync.WaitGroup
	for i := range 60 {
		ctx := t.Context()
		if i == 0 {
			ctx = gone
		}
		wg.Go(func() {
			links, _, err := s.page(ctx, cid.NewCidV1(cid.Raw, []byte{0, 0}), d, "")
			if ctx != gone && (err != nil || len(links) != maxEntries) {
				t.Errorf("%d entries, %v", len(links), err)
			}
		})
	}
	wg.Wait()
	if got := d.reads.Load(); got > 2 {
		t.Errorf("read %d times", got)
	}
}

func TestWhatIsKeptOfFoldersIsBounded(t *testing.T) {
	s := newFolders()
	d := unordered{n: maxIndexed / 2, reads: new(atomic.Int32)}
	for i := range 6 {
		if _, _, err := s.page(t.Context(), cid.NewCidV1(uint64(i), []byte{0, 0}), d, ""); err != nil {
			t.Fatal(err)
		}
	}
	if s.entries > maxKept || len(s.kept) != maxKept/d.n || s.recent.Len() != len(s.kept) || len(s.flights) != 0 {
		t.Errorf("%d entries of %d folders are kept", s.entries, len(s.kept))
	}
}
