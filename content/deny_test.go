package content

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
)

// listed denies what is put into it.
type listed struct {
	mu   sync.Mutex
	what map[string]bool
}

func (l *listed) put(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.what == nil {
		l.what = map[string]bool{}
	}
	l.what[what] = true
}

func (l *listed) DeniesPath(p string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.what[p]
}

func (l *listed) DeniesCID(c cid.Cid) bool { return l.DeniesPath(c.String()) }

func (l *listed) Changes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.what))
}

func TestWhatIsDeniedIsNeitherReadNorAdded(t *testing.T) {
	deny := &listed{}
	s := openStore(t, Options{DB: openDB(t, vfs.NewMem()), Deny: deny})
	ctx := t.Context()
	tree := func(yield func(Entry, error) bool) {
		_ = yield(Entry{Path: "d/a", Content: strings.NewReader("aaa")}, nil) && yield(Entry{Path: "d/b", Content: strings.NewReader("bbb")}, nil)
	}
	all := add(t, s, tree, AddOptions{CIDVersion: 1, Pin: true})
	root := rootOf(t, all).CID.String()
	a, b := "", ""
	for _, x := range all {
		switch x.Name {
		case "d/a":
			a = x.CID.String()
		case "d/b":
			b = x.CID.String()
		}
	}
	read := func(s *Store, p string) error {
		r, err := s.Cat(ctx, p)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		return err
	}
	before := s.Changes()
	deny.put("/ipfs/" + root + "/b")
	deny.put(a)
	if s.Changes() == before {
		t.Error("nobody can see that the list has changed")
	}
	for _, s := range []*Store{s, s.Offline()} {
		for _, p := range []string{"/ipfs/" + a, "/ipfs/" + root + "/a", "/ipfs/" + root + "/b"} {
			if err := read(s, p); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "blocked and cannot be provided") {
				t.Errorf("%s: %v", p, err)
			}
		}
		if _, err := s.Block(ctx, "/ipfs/"+a); !errors.Is(err, ErrDenied) {
			t.Errorf("block: %v", err)
		}
		if _, err := s.AppendBlock(ctx, nil, cid.MustParse(a)); !errors.Is(err, ErrDenied) {
			t.Errorf("append: %v", err)
		}
		if got, err := s.AppendBlock(ctx, []byte("aaa"), cid.MustParse(b)); err != nil || string(got) != "aaabbb" {
			t.Errorf("append: %q, %v", got, err)
		}
		if _, err := s.Resolve(ctx, "/ipfs/"+root); err != nil {
			t.Errorf("the folder itself: %v", err)
		}
	}
	prefix := cid.MustParse(a).Prefix()
	other, err := prefix.Sum([]byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	deny.put(other.String())
	if _, err := s.PutBlock(ctx, []byte("other"), prefix); !errors.Is(err, ErrDenied) {
		t.Errorf("put: %v", err)
	}
	// It stays pinned, and a collection of garbage walks through it.
	for g := range s.Collect(ctx, iter.Seq2[cid.Cid, error](func(func(cid.Cid, error) bool) {}), Leave{}) {
		t.Errorf("collected %s: %v", g.CID, g.Err)
	}
}

// Bitswap neither asks for denied blocks nor gives them.
func TestWhatIsDeniedIsNotExchanged(t *testing.T) {
	stores, lists := make([]*Store, 2), []*listed{{}, {}}
	var first peer.AddrInfo
	for i := range stores {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		stores[i] = openStore(t, Options{DB: openDB(t, vfs.NewMem()), Host: h, Deny: lists[i]})
		if i == 0 {
			first = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		} else if err := h.Connect(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	file := func(text string) string {
		return rootOf(t, add(t, stores[0], FromReader("f", strings.NewReader(text)), AddOptions{CIDVersion: 1})).CID.String()
	}
	open, mine, theirs := file("open"), file("denied here"), file("denied there")
	lists[1].put(mine)
	lists[0].put(theirs)
	get := func(c string, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := stores[1].Block(ctx, "/ipfs/"+c)
		return err
	}
	if err := get(open, time.Minute); err != nil {
		t.Fatalf("what nobody denies: %v", err)
	}
	if err := get(mine, time.Minute); !errors.Is(err, ErrDenied) {
		t.Errorf("what is denied here: %v", err)
	}
	if err := get(theirs, time.Second); err == nil {
		t.Error("what is denied there was given")
	}
}
