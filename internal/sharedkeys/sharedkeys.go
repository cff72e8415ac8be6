// Package sharedkeys shares the keys of names among daemons by rows of a store. A row has a
// key only encrypted, in the age format, to the daemons that its operator has chosen.
//
// Each daemon has a recipient, which follows from its own key, and writes it into a row that
// its key has signed: whoever knows a daemon by its peer id gets the recipient of that
// daemon, or none. A recipient in a row gives no access. A key is encrypted to the recipients
// that a command names, on a machine that has the key, and to that machine itself: nothing in
// the store adds one.
//
// Who can write to the store can remove a key that is shared, bring back an earlier row, or
// add one of their own; they cannot read a key, nor have one taken for that of another name.
// Who once got a key may have kept it, also when it is shared with them no longer.
package sharedkeys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/recordstore"
)

// Tables of rows.
const (
	keysTable    = "shared-keys"    // by name
	daemonsTable = "key-recipients" // by peer id
)

// Prefix begins the labels of keys that are shared with this daemon.
const Prefix = "shared:"

// MaxKeys bounds how many shared keys are listed, and searched for a label.
const MaxKeys = 100_000

// Keys are the keys that daemons share in a store.
type Keys struct {
	Rows recordstore.Rows
	// Self is the key of this node; nil: it is locked, and so are the keys shared with it.
	Self crypto.PrivKey
}

var _ keystore.Elsewhere = (*Keys)(nil)

// Shared is a key that is shared.
type Shared struct {
	Label string    // what it is called on all daemons, after Prefix
	Name  ipns.Name // by which the row is found
	To    []string  // recipients
	At    time.Time // when it was shared, by the clock of that machine
	Here  bool      // this daemon is among the recipients
}

// row is the value of a row of keysTable.
type row struct {
	Label string
	To    []string
	At    time.Time
	Key   []byte // in the age format
}

// Daemon is a daemon with which keys can be shared.
type Daemon struct {
	Peer      string
	Recipient string
}

// announcement is the value of a row of daemonsTable.
type announcement struct {
	Recipient string
	Public    []byte // the key of the peer id
	Signature []byte // of signedText
}

func signedText(recipient string) []byte {
	return []byte("ipns recipient for shared keys:" + recipient)
}

// identity returns what decrypts the keys that are shared with this daemon.
func (k *Keys) identity() (*age.Identity, error) {
	if k.Self == nil {
		return nil, keystore.ErrLocked
	}
	return age.IdentityOf(k.Self)
}

// Announce writes the recipient of this daemon for others, unless it is there.
func (k *Keys) Announce(ctx context.Context) error {
	id, err := k.identity()
	if err != nil {
		return err
	}
	a := announcement{Recipient: id.Recipient()}
	name, err := ipns.NameOf(k.Self.GetPublic())
	if err != nil {
		return err
	}
	if a.Public, err = crypto.MarshalPublicKey(k.Self.GetPublic()); err != nil {
		return err
	}
	if a.Signature, err = k.Self.Sign(signedText(a.Recipient)); err != nil {
		return err
	}
	peer := name.PeerID().String()
	if d, err := k.Daemon(ctx, peer); err == nil && d.Recipient == a.Recipient {
		return nil
	}
	return k.put(ctx, daemonsTable, peer, a)
}

// put stores a row, whatever is there.
func (k *Keys) put(ctx context.Context, table, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return recordstore.ChangeRow(ctx, k.Rows, table, key, func([]byte) ([]byte, error) { return value, nil })
}

// Daemon returns the daemon with a peer id, if it has announced its recipient.
func (k *Keys) Daemon(ctx context.Context, peer string) (Daemon, error) {
	r, err := k.Rows.Get(ctx, daemonsTable, peer)
	if errors.Is(err, recordstore.ErrNotFound) {
		return Daemon{}, fmt.Errorf("no daemon with the peer id %s has opened this store", peer)
	}
	if err != nil {
		return Daemon{}, err
	}
	return daemonOf(r)
}

// daemonOf returns the daemon of a row that its key has signed.
func daemonOf(r recordstore.Row) (Daemon, error) {
	bad := fmt.Errorf("the recipient of %.80q is not signed by that daemon: somebody else has written it", r.Key)
	var a announcement
	if err := json.Unmarshal(r.Value, &a); err != nil {
		return Daemon{}, bad
	}
	public, err := crypto.UnmarshalPublicKey(a.Public)
	if err != nil {
		return Daemon{}, bad
	}
	name, err := ipns.NameOf(public)
	if err != nil || name.PeerID().String() != r.Key {
		return Daemon{}, bad
	}
	if ok, err := public.Verify(signedText(a.Recipient), a.Signature); err != nil || !ok || age.CheckRecipient(a.Recipient) != nil {
		return Daemon{}, bad
	}
	return Daemon{Peer: r.Key, Recipient: a.Recipient}, nil
}

// Daemons returns the daemons that have announced a recipient.
func (k *Keys) Daemons(ctx context.Context) (list []Daemon, err error) {
	for r, err := range k.Rows.Range(ctx, daemonsTable, "", "") {
		if err != nil {
			return nil, err
		}
		if d, err := daemonOf(r); err == nil && len(list) < MaxKeys {
			list = append(list, d)
		}
	}
	return list, nil
}

// Recipient returns that of a daemon: of this one, or one that has announced it. The text is
// the peer id or the recipient itself. There are no others: rows can be read by the API of a
// daemon (a dump of names has them), which must not give anybody a key.
func (k *Keys) Recipient(ctx context.Context, text string) (string, error) {
	id, err := k.identity()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(text, "age1") {
		if name, err := ipns.NameOf(k.Self.GetPublic()); err == nil && name.PeerID().String() == text {
			return id.Recipient(), nil
		}
		d, err := k.Daemon(ctx, text)
		return d.Recipient, err
	}
	if text == id.Recipient() {
		return text, nil
	}
	if err := age.CheckRecipient(text); err != nil {
		return "", err
	}
	list, err := k.Daemons(ctx)
	if err == nil && !slices.ContainsFunc(list, func(d Daemon) bool { return d.Recipient == text }) {
		err = fmt.Errorf("no daemon with the recipient %s has opened this store", text)
	}
	return text, err
}

// Share shares a key with recipients and with this daemon, and with no others.
func (k *Keys) Share(ctx context.Context, label string, key crypto.PrivKey, to []string) (Shared, error) {
	id, err := k.identity()
	if err != nil {
		return Shared{}, err
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return Shared{}, err
	}
	to = append([]string{id.Recipient()}, to...)
	slices.Sort(to[1:])
	to = slices.Compact(to)
	to = append(to[:1:1], slices.DeleteFunc(to[1:], func(r string) bool { return r == id.Recipient() })...)
	r := row{Label: label, To: to, At: time.Now().UTC().Round(0)}
	if r.Key, err = age.Seal(key, to); err != nil {
		return Shared{}, err
	}
	if _, err := id.Open(name, r.Key); err != nil {
		return Shared{}, fmt.Errorf("read back the encrypted key: %w", err)
	}
	if err := k.put(ctx, keysTable, name.String(), r); err != nil {
		return Shared{}, fmt.Errorf("share the key of %s: %w", name, err)
	}
	return Shared{Label: label, Name: name, To: to, At: r.At, Here: true}, nil
}

// Unshare removes a key from the store, or returns [keystore.ErrNotFound].
func (k *Keys) Unshare(ctx context.Context, name ipns.Name) error {
	return recordstore.ChangeRow(ctx, k.Rows, keysTable, name.String(), func(value []byte) ([]byte, error) {
		if value == nil {
			return nil, keystore.ErrNotFound
		}
		return nil, nil
	})
}

// List returns all keys that are shared, with this daemon or others.
func (k *Keys) List(ctx context.Context) (list []Shared, err error) {
	recipient := ""
	if id, err := k.identity(); err == nil {
		recipient = id.Recipient()
	}
	for r, err := range k.Rows.Range(ctx, keysTable, "", "") {
		if err != nil {
			return nil, fmt.Errorf("shared keys: %w", err)
		}
		name, err := ipns.ParseName(r.Key)
		var v row
		if err != nil || json.Unmarshal(r.Value, &v) != nil {
			continue // nobody can use it
		}
		if len(list) == MaxKeys {
			return nil, fmt.Errorf("more than %d keys are shared", MaxKeys)
		}
		list = append(list, Shared{Label: v.Label, Name: name, To: v.To, At: v.At, Here: slices.Contains(v.To, recipient)})
	}
	return list, nil
}

// Get returns a key that is shared with this daemon, and its label. It is
// [keystore.ErrNotFound] if none is shared for the name, [age.ErrNotFor] if it is shared with
// others alone.
func (k *Keys) Get(ctx context.Context, name ipns.Name) (key crypto.PrivKey, s Shared, err error) {
	r, err := k.Rows.Get(ctx, keysTable, name.String())
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil, s, keystore.ErrNotFound
	}
	var v row
	if err == nil {
		err = json.Unmarshal(r.Value, &v)
	}
	var id *age.Identity
	if err == nil {
		id, err = k.identity()
	}
	if err == nil {
		key, err = id.Open(name, v.Key)
	}
	if err != nil {
		return nil, s, fmt.Errorf("shared key of %s: %w", name, err)
	}
	return key, Shared{Label: v.Label, Name: name, To: v.To, At: v.At, Here: true}, nil
}

// Of implements keystore.Elsewhere.
func (k *Keys) Of(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	key, _, err := k.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return ipns.NewSigner(key), nil
}

// Find implements keystore.Elsewhere. A label that two keys have finds neither.
func (k *Keys) Find(ctx context.Context, label string) (ipns.Signer, error) {
	label, ok := strings.CutPrefix(label, Prefix)
	if !ok {
		return nil, keystore.ErrNotFound
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s Shared) bool { return s.Label != label })
	switch len(list) {
	case 0:
		return nil, fmt.Errorf("%w: no key %q is shared", keystore.ErrNotFound, label)
	case 1:
		return k.Of(ctx, list[0].Name)
	}
	return nil, fmt.Errorf("%d keys are shared as %q: use the IPNS name", len(list), label)
}
