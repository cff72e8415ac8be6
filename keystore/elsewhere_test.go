package keystore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// place is somewhere else: it has one key, or hangs, or fails.
type place struct {
	signer ipns.Signer
	hangs  bool
	err    error
}

func (p place) Find(ctx context.Context, label string) (ipns.Signer, error) {
	if !strings.HasPrefix(label, "place:") {
		return nil, keystore.ErrNotFound
	}
	return p.Of(ctx, ipns.Name{})
}

func (p place) Of(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	if p.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.signer != nil && !name.IsZero() {
		if of, _ := ipns.NameOf(p.signer.Public()); of != name {
			return nil, keystore.ErrNotFound
		}
	}
	return p.signer, p.err
}

// TestAPlaceThatHangsDelaysNoOther asks for a key that one place has while another hangs.
func TestAPlaceThatHangsDelaysNoOther(t *testing.T) {
	self, key, other := generate(t), generate(t), generate(t)
	nameOf := func(s ipns.Signer) ipns.Name {
		t.Helper()
		name, err := ipns.NameOf(s.Public())
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	away := ipns.NewSigner(key)
	store, err := keystore.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ring := keystore.NewKeyring(store, nameOf(ipns.NewSigner(self)), self)
		broken := place{err: errors.New("no one listens")}
		ring.Elsewhere = []keystore.Elsewhere{broken, place{hangs: true}, place{signer: away}}
		begin := time.Now()
		s, err := ring.Signer(t.Context(), nameOf(away))
		if err != nil || s != away || time.Since(begin) > 0 {
			t.Errorf("the signer: %v, after %v", err, time.Since(begin))
		}
		if found, err := ring.Find(t.Context(), nameOf(away).String()); err != nil || found.Name != nameOf(away) {
			t.Errorf("found by its name: %v, %v", found, err)
		}
		// What is nowhere is not known while some do not answer: they may have it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = ring.Signer(ctx, nameOf(ipns.NewSigner(other)))
		if errors.Is(err, keystore.ErrNotFound) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no one listens") {
			t.Errorf("a name that is nowhere: %v", err)
		}
		if _, err := ring.Find(ctx, nameOf(ipns.NewSigner(other)).String()); !strings.Contains(err.Error(), "no key by the given name or PeerID was found: k51") {
			t.Errorf("a name that is nowhere: %v", err)
		}
		ring.Elsewhere = []keystore.Elsewhere{place{signer: away}}
		if _, err := ring.Signer(t.Context(), nameOf(ipns.NewSigner(other))); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("a name that no place has: %v", err)
		}
		for label, want := range map[string]error{"place:any": nil, "other:any": keystore.ErrNotFound, "plain": keystore.ErrNotFound} {
			if _, err := ring.Find(t.Context(), label); !errors.Is(err, want) {
				t.Errorf("%s: %v", label, err)
			}
		}
		if ring.Ready(nameOf(away)) || !ring.Ready(nameOf(ipns.NewSigner(self))) {
			t.Error("what is here is not ready, or what is elsewhere is")
		}
	})
}
