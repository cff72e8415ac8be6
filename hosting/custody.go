package hosting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
)

// Custodial is a name of a tenant whose key is kept here.
type Custodial struct {
	Tenant string
	Label  string // what the tenant calls it
	Name   string
	Value  string // published last, or to be published when it is no longer Stopped
	// Sequence is the one under which Value was published; 0: it was not, or under 0.
	Sequence uint64 `json:",omitempty"`
	Stopped  bool   // it is not renewed
	Created  time.Time
	Changed  time.Time
}

const (
	maxLabel   = 64 // bytes of a label: with tenant and prefix it is one of the Keyring
	maxImports = 8  // at once
)

// ErrLabelTaken means that the tenant has a name with the label already.
var ErrLabelTaken = errors.New("there is a name with this label already")

func custodyKey(tenant, label string) string { return tenant + "/" + label }

// keyPrefix begins the labels of keys that are kept for tenants.
const keyPrefix = "hosted@"

func keyLabel(tenant, label string) string { return keyPrefix + tenant + "@" + label }

// tenantOf returns whose key has a label of the Keyring; ok is false if it is none of a tenant.
func tenantOf(keyLabel string) (tenant, label string, ok bool) {
	rest, ok := strings.CutPrefix(keyLabel, keyPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "@")
}

// Has reports whether a tenant has the name of an entry, with its key here or without.
func (h *Host) Has(tenant string, e recordstore.Entry) bool {
	if e.Origin != recordstore.Own || h.Keys == nil {
		return e.Origin == recordstore.Hosted && e.Tenant == tenant
	}
	key, err := h.Keys.Of(e.Name)
	whose, _, ok := tenantOf(key.Label)
	return err == nil && ok && whose == tenant
}

func checkLabel(label string) error {
	bad := func(r rune) bool { return r == '/' || unicode.IsControl(r) }
	if label == "" || len(label) > maxLabel || !utf8.ValidString(label) || strings.ContainsFunc(label, bad) {
		return refuse(Invalid, "label %.80q: use 1 to %d bytes without slashes and control characters", label, maxLabel)
	}
	return nil
}

// custodian refuses what a caller may not do with a label.
func (h *Host) custodian(c Caller, label string) error {
	switch {
	case h.Keys == nil || h.Publisher == nil:
		return refuse(Forbidden, "this node keeps no keys of tenants")
	case c.Tenant == "" || IsAnonymous(c.Tenant):
		return refuse(Unauthorized, "a token is needed")
	case !c.MayPublish(label):
		return refuse(Forbidden, "the token does not allow to publish under the label %q", label)
	}
	return nil
}

// CustodialRequest asks for a name whose key is kept here.
type CustodialRequest struct {
	Label   string
	Value   string         // a path
	Key     crypto.PrivKey // nil: one is made
	Stopped bool           // nothing is published yet
}

// CreateCustodial makes a name for a tenant, and publishes it unless it is to be stopped. When it
// returns without an error, the key, the name and its record are durable. After an error there is no such
// name, unless it is [recordstore.ErrDoubt].
func (h *Host) CreateCustodial(ctx context.Context, c Caller, req CustodialRequest) (Custodial, error) {
	v, err := h.createCustodial(ctx, c, req)
	if err != nil {
		err = settle(err)
	}
	return v, h.count(c.Tenant, err)
}

func (h *Host) createCustodial(ctx context.Context, c Caller, req CustodialRequest) (Custodial, error) {
	if err := h.custodian(c, req.Label); err != nil {
		return Custodial{}, err
	}
	if err := checkLabel(req.Label); err != nil {
		return Custodial{}, err
	}
	if h.Encrypted == nil || !h.Encrypted() {
		return Custodial{}, refuse(Forbidden, "the keys of this node are not encrypted, and only then it keeps those of tenants")
	}
	if req.Key != nil && !req.Stopped {
		// The network is searched for what was published before, which can take long.
		if h.imports.Add(1) > maxImports {
			h.imports.Add(-1)
			return Custodial{}, refuseFor(retryPut, Busy, "too many keys are imported at once")
		}
		defer h.imports.Add(-1)
	}
	end, err := h.Begin(ctx, c)
	if err != nil {
		return Custodial{}, err
	}
	v, name, made, err := h.makeCustodial(ctx, c, req)
	end()
	if err != nil || req.Stopped {
		return v, err
	}
	if _, err := h.publishCustodial(ctx, c, name, req.Value); err != nil {
		var rival *publisher.RivalError
		if !errors.Is(err, recordstore.ErrDoubt) && !errors.As(err, &rival) {
			err = errors.Join(err, h.undoCustodial(context.WithoutCancel(ctx), c, v, made))
		}
		return v, err
	}
	return v, nil
}

// makeCustodial makes key and row; made says that the key was not here before. A key that is here without
// its row is never destroyed: a crash came in between, or the rows were restored from an older backup than
// the keys, and then the key may be the only one of a name that is in use. It is taken up.
func (h *Host) makeCustodial(ctx context.Context, c Caller, req CustodialRequest) (v Custodial, name ipns.Name, made bool, err error) {
	h.custody.Lock()
	defer h.custody.Unlock()
	if _, err := h.Custodial(ctx, c.Tenant, req.Label); !errors.Is(err, recordstore.ErrNotFound) {
		if err == nil {
			err = &Refusal{Why: Forbidden, Err: ErrLabelTaken}
		}
		return v, name, false, err
	}
	label := keyLabel(c.Tenant, req.Label)
	key, err := h.leftKey(ctx, label, req.Key)
	if errors.Is(err, keystore.ErrNotFound) {
		made = true
		if req.Key == nil {
			key, err = h.Keys.Create(ctx, label, ipns.Ed25519, 0)
		} else {
			key, err = h.importKey(ctx, label, req.Key)
		}
	}
	if err != nil {
		return v, name, false, err
	}
	now := h.now().UTC()
	v = Custodial{
		Tenant: c.Tenant, Label: req.Label, Name: key.Name.String(),
		Value: req.Value, Stopped: req.Stopped, Created: now, Changed: now,
	}
	if err := h.addCustodial(ctx, c, v, key.Name); err != nil {
		if made && !errors.Is(err, recordstore.ErrDoubt) {
			_, undo := h.Keys.Remove(label)
			err = errors.Join(err, undo)
		}
		return v, name, false, err
	}
	return v, key.Name, made, nil
}

// leftKey returns the key that is here under a label which no name has, or keystore.ErrNotFound. If the
// tenant brings another, it refuses: only the operator can say which of them goes.
func (h *Host) leftKey(ctx context.Context, label string, brought crypto.PrivKey) (keystore.Key, error) {
	key, err := h.Keys.Labelled(label)
	if err != nil {
		return key, err
	}
	same := brought == nil
	if brought != nil {
		name, err := ipns.NameOf(brought.GetPublic())
		same = err == nil && name == key.Name
	}
	if key.Err != nil || !same {
		h.log().Warn("a key of a tenant is in the way of a name", "key", label, "name", key.Name, "err", key.Err)
		return key, refuse(Forbidden, "another key is here under this label: the operator can move it with 'ipns key rename %q OTHER'", label)
	}
	return key, h.DeniedName(ctx, key.Name)
}

// importKey takes a key that a tenant brings, unless it is here for somebody else.
func (h *Host) importKey(ctx context.Context, label string, priv crypto.PrivKey) (keystore.Key, error) {
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		return keystore.Key{}, refuse(Invalid, "the key: %w", err)
	}
	if err := h.DeniedName(ctx, name); err != nil {
		return keystore.Key{}, err
	}
	if _, err := h.Keys.Of(name); !errors.Is(err, keystore.ErrNotFound) {
		if err == nil {
			err = refuse(Forbidden, "the key of %s is here already", name)
		}
		return keystore.Key{}, err
	}
	return h.Keys.Import(label, priv)
}

// addCustodial stores a name, within the quota of its tenant.
func (h *Host) addCustodial(ctx context.Context, c Caller, v Custodial, name ipns.Name) error {
	release, err := h.reserve(ctx, c.Tenant, ipns.Name{}, 0)
	if err != nil {
		return err
	}
	defer release()
	err = change(ctx, h.Rows, custodyTable, custodyKey(v.Tenant, v.Label), func(_ Custodial, had bool) (*Custodial, error) {
		if had {
			return nil, &Refusal{Why: Forbidden, Err: ErrLabelTaken}
		}
		return &v, nil
	})
	if err != nil {
		return fmt.Errorf("keep the key of %s: %w", name, err)
	}
	h.usage.mu.Lock()
	of(h.usage.tenants, c.Tenant).Custodial++
	h.usage.mu.Unlock()
	return h.Audit(ctx, c.line("key-create", name))
}

// undoCustodial removes a name that nobody was told of, unless another request has done so.
func (h *Host) undoCustodial(ctx context.Context, c Caller, v Custodial, made bool) error {
	h.custody.Lock()
	defer h.custody.Unlock()
	now, err := h.Custodial(ctx, v.Tenant, v.Label)
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && (now.Name != v.Name || !now.Created.Equal(v.Created)) {
		return nil
	}
	if err == nil {
		err = h.DropCustodial(ctx, c, v.Label)
	}
	if err == nil && made {
		_, err = h.Keys.Remove(keyLabel(v.Tenant, v.Label))
	}
	return err
}

// publishCustodial publishes a value under a name, as the operator's names are published: it returns the
// sequence when the record is stored, and that is announced in the background.
func (h *Host) publishCustodial(ctx context.Context, c Caller, name ipns.Name, value string) (sequence uint64, err error) {
	signer, err := h.Keys.Signer(ctx, name)
	if errors.Is(err, keystore.ErrLocked) {
		return 0, refuseFor(time.Minute, Busy, "the keys of this node are locked until its operator opens them")
	}
	if err != nil {
		return 0, err
	}
	res, err := h.Publisher.Publish(ctx, signer, publisher.Request{Value: value, Wait: publisher.WaitStored})
	var rival *publisher.RivalError
	switch {
	case errors.As(err, &rival):
		return 0, &Refusal{Why: Outdated, Current: rival.Rival, Err: err}
	case errors.Is(err, publisher.ErrUnknownSequence), errors.Is(err, publisher.ErrClock):
		return 0, &Refusal{Why: Busy, RetryAfter: time.Minute, Err: err}
	case err != nil:
		return 0, err
	}
	line := c.line("publish", name)
	line.Sequence, line.Value = res.Record.Sequence(), value
	return line.Sequence, h.Audit(ctx, line)
}

// ChangeCustodial gives a name another value, if that is not empty, and stops or continues it, if enabled
// is not nil. A name that is stopped is not published: it gets the value when it continues.
func (h *Host) ChangeCustodial(ctx context.Context, c Caller, label, value string, enabled *bool) (Custodial, error) {
	v, err := h.changeCustodial(ctx, c, label, value, enabled)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		err = settle(err)
	}
	return v, h.count(c.Tenant, err)
}

func (h *Host) changeCustodial(ctx context.Context, c Caller, label, value string, enabled *bool) (Custodial, error) {
	if err := h.custodian(c, label); err != nil {
		return Custodial{}, err
	}
	v, err := h.Custodial(ctx, c.Tenant, label)
	if err != nil {
		return v, err
	}
	name, err := ipns.ParseName(v.Name)
	if err != nil {
		return v, err
	}
	if err := h.DeniedName(ctx, name); err != nil {
		return v, err
	}
	end, err := h.Begin(ctx, c)
	if err != nil {
		return v, err
	}
	end() // a publish may search the network, which nobody else is to wait for
	stopped, publish := v.Stopped, value != ""
	if enabled != nil {
		stopped = !*enabled
		publish = publish || v.Stopped
	}
	if value == "" {
		value = v.Value
	}
	published, sequence := publish && !stopped, uint64(0)
	if published {
		if sequence, err = h.publishCustodial(ctx, c, name, value); err != nil {
			return v, err
		}
	}
	// A crash here leaves a name with a newer record than its row says: the Book is right.
	err = change(ctx, h.Rows, custodyTable, custodyKey(c.Tenant, label), func(now Custodial, had bool) (*Custodial, error) {
		if !had {
			return nil, recordstore.ErrNotFound
		}
		now.Stopped, now.Changed = stopped, h.now().UTC()
		// Of two changes at once, the one published last has the last word.
		if !published || sequence >= now.Sequence {
			now.Value, now.Sequence = value, max(sequence, now.Sequence)
		}
		v = now
		return &now, nil
	})
	if err == nil && stopped && enabled != nil {
		err = h.Audit(ctx, c.line("stop", name))
	}
	return v, err
}

// Custodial returns a name of a tenant by its label, or recordstore.ErrNotFound.
func (h *Host) Custodial(ctx context.Context, tenant, label string) (Custodial, error) {
	if checkLabel(label) != nil {
		return Custodial{}, recordstore.ErrNotFound
	}
	v, _, err := read[Custodial](ctx, h.Rows, custodyTable, custodyKey(tenant, label))
	return v, err
}

// Custodials returns the names of a tenant whose keys are kept here, by label.
func (h *Host) Custodials(ctx context.Context, tenant string) ([]Custodial, error) {
	var list []Custodial
	for v, err := range all[Custodial](ctx, h.Rows, custodyTable, tenant+"/", tenant+"0") { // 0 follows /
		if err != nil {
			return nil, fmt.Errorf("names of %s: %w", tenant, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// DropCustodial notes that the key of a name is no longer kept here. The caller removes the
// key afterwards.
func (h *Host) DropCustodial(ctx context.Context, c Caller, label string) error {
	if err := h.Count(ctx); err != nil {
		return err
	}
	var was *Custodial
	err := change(ctx, h.Rows, custodyTable, custodyKey(c.Tenant, label), func(v Custodial, had bool) (*Custodial, error) {
		if was = nil; had {
			was = &v
		}
		return nil, nil
	})
	if err != nil || was == nil {
		return err
	}
	u := &h.usage
	u.mu.Lock()
	t := of(u.tenants, c.Tenant)
	t.Custodial--
	u.clear(t)
	u.mu.Unlock()
	name, err := ipns.ParseName(was.Name)
	if err != nil {
		return err
	}
	return h.Audit(ctx, c.line("key-remove", name))
}
