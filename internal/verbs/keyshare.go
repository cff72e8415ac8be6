package verbs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/internal/sharedkeys"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/rpc"
)

// sharedLimit bounds how long a list of keys waits for those in the store.
const sharedLimit = 2 * time.Second

// addShared adds the keys that are shared with this daemon and not here.
func (n *verbs) addShared(ctx context.Context, list api.Keys, encode func(ipns.Name) string) api.Keys {
	ctx, cancel := context.WithTimeout(ctx, sharedLimit)
	defer cancel()
	shared, err := n.SharedKeys.List(ctx)
	if err != nil {
		n.Log.Warn("keys that are shared are not listed", "err", err)
		return list
	}
	for _, s := range shared {
		if _, err := n.Keys.Of(s.Name); s.Here && errors.Is(err, keystore.ErrNotFound) {
			list.Keys = append(list.Keys, api.Key{Name: sharedkeys.Prefix + s.Label, Id: encode(s.Name)})
		}
	}
	return list
}

// keyShare implements the command.
func (n *verbs) keyShare(ctx context.Context, req api.KeyShareRequest) (api.SharedKey, error) {
	if len(req.To) == 0 {
		return api.SharedKey{}, errors.New("name at least one recipient: the peer id of a daemon, or its age1…")
	}
	key, label, err := n.keyToShare(ctx, req.Key)
	if err != nil {
		return api.SharedKey{}, err
	}
	var to []string
	for _, text := range req.To {
		recipient, err := n.SharedKeys.Recipient(ctx, text)
		if err != nil {
			return api.SharedKey{}, locked(err)
		}
		to = append(to, recipient)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return api.SharedKey{}, err
	}
	before, err := n.sharedBefore(ctx, name)
	if err != nil {
		return api.SharedKey{}, err
	}
	s, err := n.SharedKeys.Share(ctx, label, key, to)
	if err != nil {
		return api.SharedKey{}, locked(err)
	}
	out, err := n.shown(ctx, s)
	for _, r := range before {
		if !slices.Contains(s.To, r) {
			out.Removed = append(out.Removed, r)
		}
	}
	return out, err
}

// sharedBefore returns the recipients of a key that is shared already.
func (n *verbs) sharedBefore(ctx context.Context, name ipns.Name) ([]string, error) {
	list, err := n.SharedKeys.List(ctx)
	for _, s := range list {
		if s.Name == name {
			return s.To, nil
		}
	}
	return nil, err
}

// keyToShare returns a key that is here, or that others share with this daemon.
func (n *verbs) keyToShare(ctx context.Context, text string) (crypto.PrivKey, string, error) {
	key, err := n.findKey(ctx, text)
	if err != nil {
		return nil, "", err
	}
	if key.Name == n.Name {
		return nil, "", errors.New("the key of the node itself is not shared: two peers with one id disturb each other")
	}
	if of, err := n.Keys.Of(key.Name); err == nil {
		if hosting.IsTenantKey(of.Label) {
			// Others would not know it for one, and renew what the tenant has stopped.
			return nil, "", errors.New("a key that is kept for a tenant is not shared: its names are published and renewed by this daemon alone")
		}
		priv, err := n.Identity.Store.Get(of.Label)
		return priv, of.Label, locked(err)
	}
	priv, s, err := n.SharedKeys.Get(ctx, key.Name)
	if errors.Is(err, keystore.ErrNotFound) {
		err = errors.New("only a key that is in the repo can be shared: this one is elsewhere")
	}
	return priv, s.Label, locked(err)
}

// locked gives a locked key its reason.
func locked(err error) error {
	if errors.Is(err, keystore.ErrLocked) {
		return rpc.Because(api.ReasonLocked, err)
	}
	return err
}

// keyUnshare implements the command.
func (n *verbs) keyUnshare(ctx context.Context, req api.KeyUnshareRequest) (api.SharedKey, error) {
	list, err := n.SharedKeys.List(ctx)
	if err != nil {
		return api.SharedKey{}, err
	}
	key, notFound := n.findKey(ctx, req.Key)
	for _, s := range list {
		if req.Key != s.Name.String() && (notFound != nil || key.Name != s.Name) {
			continue
		}
		if _, err := n.Keys.Of(s.Name); err != nil && !req.Force {
			return api.SharedKey{}, fmt.Errorf("%s: the key is not in this repo, and may be nowhere else: --force removes it all the same", s.Name)
		}
		out, err := n.shown(ctx, s)
		if err == nil {
			err = n.SharedKeys.Unshare(ctx, s.Name)
		}
		return out, err
	}
	return api.SharedKey{}, rpc.Because(api.ReasonNoKey, fmt.Errorf("%w: %q is not shared", keystore.ErrNotFound, req.Key))
}

// keyShared implements the command.
func (n *verbs) keyShared(ctx context.Context, _ api.KeySharedRequest) (api.SharedKeys, error) {
	out := api.SharedKeys{Keys: []api.SharedKey{}, Daemons: []api.KeyDaemon{}}
	list, err := n.SharedKeys.List(ctx)
	if err != nil {
		return out, err
	}
	daemons, err := n.daemons(ctx)
	if err != nil {
		return out, err
	}
	for _, s := range list {
		out.Keys = append(out.Keys, show(s, daemons))
	}
	out.Daemons = daemons
	return out, nil
}

// daemons returns those that have announced a recipient.
func (n *verbs) daemons(ctx context.Context) (list []api.KeyDaemon, err error) {
	found, err := n.SharedKeys.Daemons(ctx)
	list = []api.KeyDaemon{}
	for _, d := range found {
		list = append(list, api.KeyDaemon{Peer: d.Peer, Recipient: d.Recipient, This: d.Peer == n.Name.PeerID().String()})
	}
	return list, err
}

func (n *verbs) shown(ctx context.Context, s sharedkeys.Shared) (api.SharedKey, error) {
	daemons, err := n.daemons(ctx)
	return show(s, daemons), err
}

// show returns a shared key with the peer ids of its recipients, as far as they are known.
func show(s sharedkeys.Shared, daemons []api.KeyDaemon) api.SharedKey {
	out := api.SharedKey{Label: strings.TrimPrefix(s.Label, sharedkeys.Prefix), Name: s.Name.String(), Here: s.Here, Shared: s.At}
	for _, recipient := range s.To {
		d := api.KeyDaemon{Recipient: recipient}
		if i := slices.IndexFunc(daemons, func(d api.KeyDaemon) bool { return d.Recipient == recipient }); i >= 0 {
			d = daemons[i]
		}
		out.To = append(out.To, d)
	}
	return out
}
