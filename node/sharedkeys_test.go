package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/sharedkeys"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// announced waits until a node has said with which recipient keys are shared with it.
func announced(t *testing.T, n *Node) {
	t.Helper()
	eventually(t, "a daemon has announced its recipient", func() bool {
		_, err := n.SharedKeys.Daemon(t.Context(), n.Name.PeerID().String())
		return err == nil
	})
}

// TestKeysAreSharedByADatabase has three nodes on one database. The first shares a key with the
// second: both publish with it, the third cannot, and the database never has it in clear.
func TestKeysAreSharedByADatabase(t *testing.T) {
	ctx, server := t.Context(), pgtest.Start(t)
	url := server.Database(t)
	a, b, c := open(t, shared(t, url)), open(t, shared(t, url)), open(t, shared(t, url))
	for _, n := range []*Node{a, b, c} {
		announced(t, n)
	}
	key, err := a.Keys.Create(ctx, "blog", ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	priv, err := a.Identity.Store.Get("blog")
	if err != nil {
		t.Fatal(err)
	}
	value := func(n int) publisher.Request { return publisher.Request{Value: fmt.Sprintf("/ipns/example.com/%d", n)} }
	_, err = b.Publish(ctx, key.Name.String(), value(0))
	if err == nil {
		t.Fatal("a key that is not shared was used")
	}
	recipient := func(n *Node) string {
		r, err := a.SharedKeys.Recipient(ctx, n.Name.PeerID().String())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if _, err := a.SharedKeys.Share(ctx, "blog", priv, []string{recipient(b)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(ctx, sharedkeys.Prefix+"blog", value(0)); err != nil {
		t.Fatal(err)
	}

	// The third says why it signs nothing, and so it renews nothing.
	if _, err := c.Publish(ctx, key.Name.String(), value(1)); err == nil || !strings.Contains(err.Error(), age.ErrNotFor.Error()) {
		t.Errorf("the third: %v", err)
	}
	if c.Keys.Ready(key.Name) {
		t.Error("the third takes the key for ready")
	}

	onlyOneWins(t, a, b, key.Name, value)

	raw, err := priv.Raw()
	if err != nil {
		t.Fatal(err)
	}
	dump, err := server.Command("pg_dump", "-d", url).Output()
	if err != nil || len(dump) < 1000 {
		t.Fatalf("pg_dump: %d bytes, %v", len(dump), err)
	}
	for _, secret := range [][]byte{raw[:32], []byte(hex.EncodeToString(raw[:32]))} {
		if bytes.Contains(dump, secret) {
			t.Error("the database has the key in clear")
		}
	}
	if row, err := a.Records.Rows().Get(ctx, "shared-keys", key.Name.String()); err != nil || !bytes.Contains(dump, []byte(hex.EncodeToString(row.Value))) {
		t.Errorf("the dump does not have the encrypted key either: %v", err)
	}

	// Named no longer, the second has it no longer.
	if _, err := a.SharedKeys.Share(ctx, "blog", priv, []string{recipient(c)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keys.Signer(ctx, key.Name); !errors.Is(err, age.ErrNotFor) {
		t.Errorf("the second: %v", err)
	}
	if _, err := c.Publish(ctx, key.Name.String(), value(2)); err != nil {
		t.Errorf("the third: %v", err)
	}
	if err := a.SharedKeys.Unshare(ctx, key.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Keys.Signer(ctx, key.Name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the third, when it is shared no longer: %v", err)
	}
}

// onlyOneWins publishes through two nodes at once: every sequence is signed for one value.
func onlyOneWins(t *testing.T, a, b *Node, name ipns.Name, value func(int) publisher.Request) {
	t.Helper()
	const rounds = 20
	var mu sync.Mutex
	won := map[uint64]string{}
	var wg sync.WaitGroup
	for i, n := range []*Node{a, b} {
		wg.Go(func() {
			for round := range rounds {
				req := value(100 + 2*round + i)
				p, err := n.Publish(t.Context(), name.String(), req)
				if err != nil {
					continue // the other was first, and this one is told
				}
				mu.Lock()
				if was, twice := won[p.Record.Sequence()]; twice {
					t.Errorf("sequence %d was acknowledged for %s and for %s", p.Record.Sequence(), was, req.Value)
				}
				won[p.Record.Sequence()] = req.Value
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(won) < rounds {
		t.Errorf("only %d of %d publishes were made", len(won), 2*rounds)
	}
	e, err := a.Book.Get(t.Context(), name)
	if err != nil || e.Forks != 0 || e.Rival != nil || len(e.Rivals) > 0 {
		t.Errorf("forks: %d, %v", e.Forks, err)
	}
	stored := map[uint64]string{}
	for p, err := range a.Book.History(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		if was, twice := stored[p.Record.Sequence()]; twice {
			t.Errorf("sequence %d has two values: %s and %s", p.Record.Sequence(), was, p.Record.Value())
		}
		stored[p.Record.Sequence()] = p.Record.Value()
	}
	for seq, v := range won {
		if stored[seq] != v {
			t.Errorf("sequence %d was acknowledged for %s, and is stored with %q", seq, v, stored[seq])
		}
	}
}

// TestWritingToTheDatabaseGivesNoKeys has somebody write rows there who has no key.
func TestWritingToTheDatabaseGivesNoKeys(t *testing.T) {
	ctx := t.Context()
	url := pgtest.Start(t).Database(t)
	a, b, stranger := open(t, shared(t, url)), open(t, shared(t, url)), open(t, shared(t, url))
	for _, n := range []*Node{a, b, stranger} {
		announced(t, n)
	}
	peer := b.Name.PeerID().String()
	rows := a.Records.Rows()
	row, err := rows.Get(ctx, "key-recipients", peer)
	if err != nil {
		t.Fatal(err)
	}
	own, err := rows.Get(ctx, "key-recipients", stranger.Name.PeerID().String())
	if err != nil {
		t.Fatal(err)
	}
	was, err := a.SharedKeys.Daemon(ctx, peer)
	if err != nil {
		t.Fatal(err)
	}
	his, err := a.SharedKeys.Daemon(ctx, stranger.Name.PeerID().String())
	if err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string][]byte{
		"his whole row": own.Value,
		"his recipient": bytes.ReplaceAll(row.Value, []byte(was.Recipient), []byte(his.Recipient)),
		"nothing":       []byte("{}"),
		"no JSON":       []byte("x"),
	} {
		row.Value = value
		if row, err = rows.Swap(ctx, row); err != nil {
			t.Fatal(err)
		}
		if d, err := a.SharedKeys.Daemon(ctx, peer); err == nil {
			t.Errorf("%s in the row of another: %v", what, d)
		}
	}

	// A row that names him as recipient of a key changes nothing of whom it is encrypted to,
	// and sharing anew encrypts to those alone who are named.
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.SharedKeys.Share(ctx, "blog", priv, []string{was.Recipient})
	if err != nil {
		t.Fatal(err)
	}
	shared, err := rows.Get(ctx, "shared-keys", s.Name.String())
	if err != nil {
		t.Fatal(err)
	}
	shared.Value = bytes.ReplaceAll(shared.Value, []byte(was.Recipient), []byte(his.Recipient))
	if _, err := rows.Swap(ctx, shared); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Keys.Signer(ctx, s.Name); !errors.Is(err, age.ErrNotFor) {
		t.Errorf("the stranger: %v", err)
	}
	again, err := a.SharedKeys.Share(ctx, "blog", priv, []string{was.Recipient})
	if err != nil || strings.Contains(strings.Join(again.To, " "), his.Recipient) {
		t.Errorf("shared with %v, %v", again.To, err)
	}
	// A row under the name of another key is refused.
	other, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := stranger.SharedKeys.Share(ctx, "blog", other, []string{was.Recipient})
	if err != nil {
		t.Fatal(err)
	}
	planted, err := rows.Get(ctx, "shared-keys", mine.Name.String())
	if err != nil {
		t.Fatal(err)
	}
	target, err := rows.Get(ctx, "shared-keys", s.Name.String())
	if err != nil {
		t.Fatal(err)
	}
	target.Value = planted.Value
	if _, err := rows.Swap(ctx, target); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keys.Signer(ctx, s.Name); err == nil {
		t.Error("another key was taken for that of the name")
	}
	if _, err := b.Keys.Find(ctx, "shared:blog"); err == nil {
		t.Error("a label that two keys have finds one")
	}
}
