package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

func bytesReader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// NamePut implements [rpc.Names].
func (n *Node) NamePut(ctx context.Context, req rpc.NamePutRequest) (rpc.Put, error) {
	if req.AllowOffline && req.AllowDelegated {
		return rpc.Put{}, errBothFlags
	}
	if req.AllowDelegated {
		return rpc.Put{}, errNoDelegates
	}
	name, err := parseName(req.Name)
	if err != nil {
		return rpc.Put{}, fmt.Errorf("invalid IPNS name: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(req.Record, ipns.MaxRecordSize+1))
	switch {
	case err != nil:
		return rpc.Put{}, err
	case len(raw) == 0:
		return rpc.Put{}, errors.New("record is empty")
	case len(raw) > ipns.MaxRecordSize:
		return rpc.Put{}, fmt.Errorf("record exceeds maximum size of %d bytes", ipns.MaxRecordSize)
	}
	if n.host == nil && !req.AllowOffline {
		return rpc.Put{}, rpc.ErrOffline
	}
	rec, err := ipns.Open(name, raw, time.Now())
	if err != nil {
		return rpc.Put{}, fmt.Errorf("record validation failed: %w", err)
	}
	put := publisher.PutRequest{}
	if n.host == nil {
		put.Wait = publisher.WaitStored
	}
	res, err := n.publisher.Put(ctx, rec, put)
	var few *publisher.NotAnnouncedError
	switch {
	case errors.As(err, &few) && req.AllowOffline:
	case errors.As(err, &few):
		return rpc.Put{}, n.notAnnounced(ctx, few)
	case errors.Is(err, publisher.ErrOlder):
		return rpc.Put{}, n.olderError(ctx, rec)
	case err != nil:
		return rpc.Put{}, err
	}
	p := published(name.String(), rec, res.Receipt)
	p.Warnings = res.Warnings
	return rpc.Put{
		Name: p.Name, Value: p.Value, Sequence: p.Sequence, Stored: p.Stored,
		Announced: p.Announced, Of: p.Of, Announcing: p.Announcing, Networks: p.Networks, Warnings: p.Warnings,
	}, nil
}

// olderError says what a record lost against.
func (n *Node) olderError(ctx context.Context, rec *ipns.Record) error {
	e, err := n.book.Get(ctx, rec.Name())
	if err != nil {
		return err
	}
	return fmt.Errorf("existing IPNS record has sequence %d >= new record sequence %d; a record that is known is never replaced by an older one", e.Mark.Sequence, rec.Sequence())
}

// errNoPubsub is the answer to commands about pubsub.
var errNoPubsub = rpc.Refuse(errors.New("IPNS pubsub subsystem is not enabled"))

// PubsubState implements [rpc.Names].
func (n *Node) PubsubState(context.Context, rpc.PubsubStateRequest) (rpc.PubsubState, error) {
	return rpc.PubsubState{}, nil
}

// PubsubSubs implements [rpc.Names].
func (n *Node) PubsubSubs(context.Context, rpc.PubsubSubsRequest) (rpc.PubsubSubs, error) {
	return rpc.PubsubSubs{}, errNoPubsub
}

// PubsubCancel implements [rpc.Names].
func (n *Node) PubsubCancel(context.Context, rpc.PubsubCancelRequest) (rpc.PubsubCanceled, error) {
	return rpc.PubsubCanceled{}, errNoPubsub
}

// NameInspect implements [rpc.Names].
func (n *Node) NameInspect(_ context.Context, req rpc.InspectRequest) (rpc.Inspected, error) {
	return Inspect(req)
}

// Inspect looks into a record. It needs no node.
func Inspect(req rpc.InspectRequest) (rpc.Inspected, error) {
	raw, err := io.ReadAll(io.LimitReader(req.Record, ipns.MaxRecordSize+1))
	if err != nil {
		return rpc.Inspected{}, err
	}
	report, err := ipns.Inspect(raw)
	if errors.Is(err, ipns.ErrSize) {
		return rpc.Inspected{}, err
	}
	if err != nil || report.SignatureType == "Unknown" {
		return rpc.Inspected{}, ipns.ErrMalformed
	}
	out := rpc.Inspected{PbSize: report.Size, SignatureType: report.SignatureType}
	kind, sequence, ttl := int64(report.ValidityType), report.Sequence, time.Duration(report.TTL)
	out.Entry = rpc.InspectedEntry{Value: string(report.Value), ValidityType: &kind, Sequence: &sequence, TTL: &ttl}
	if !report.EOL.IsZero() {
		out.Entry.Validity = &report.EOL
	}
	if req.Verify != "" {
		name, err := parseName(req.Verify)
		if err != nil {
			return rpc.Inspected{}, err
		}
		v := rpc.InspectedValidation{Name: name.String()}
		if _, err := ipns.Open(name, raw, time.Now()); err != nil {
			v.Reason = err.Error()
		} else {
			v.Valid = true
		}
		out.Validation = &v
	}
	if req.Dump {
		out.HexDump = hex.Dump(raw)
	}
	return out, nil
}

// entry finds what the Book has of a name, given as a name, or as a key.
func (n *Node) entry(ctx context.Context, text string) (recordstore.Entry, error) {
	name, err := n.nameArgument(text)
	if err != nil {
		return recordstore.Entry{}, err
	}
	e, err := n.book.Get(ctx, name)
	if err == nil && e.Record == nil && e.Damaged {
		return e, fmt.Errorf("what was stored of %s is damaged, and nothing of it is left here; run 'ipns repo verify --repair'", name)
	}
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && e.Record == nil {
		return e, fmt.Errorf("nothing was published under %s here; 'ipns name status' lists what was", name)
	}
	return e, err
}

// nameArgument reads a name, or the name of a key; empty is the own name.
func (n *Node) nameArgument(text string) (ipns.Name, error) {
	if text == "" || text == keystore.Self {
		return n.name, nil
	}
	name, err := parseName(text)
	if err == nil {
		return name, nil
	}
	if key, kerr := n.findKey(text); kerr == nil {
		return key.Name, nil
	}
	return ipns.Name{}, fmt.Errorf("%q is neither a name nor the name of a key; %s", text, listKeys)
}

// NameLog implements [rpc.Names].
func (n *Node) NameLog(ctx context.Context, req rpc.LogRequest) (rpc.Log, error) {
	e, err := n.entry(ctx, req.Name)
	if err != nil {
		return rpc.Log{}, err
	}
	log := rpc.Log{Name: e.Name.String()}
	for past, err := range n.book.Store.History(ctx, e.Name) {
		if err != nil {
			return rpc.Log{}, err
		}
		log.Entries = append(log.Entries, rpc.LogEntry{
			Sequence: past.Record.Sequence(),
			Value:    past.Record.Value(),
			EOL:      past.Record.EOL(),
			At:       past.At,
			Current:  past.Record.DataHash() == e.Record.DataHash(),
		})
	}
	slices.SortStableFunc(log.Entries, func(a, b rpc.LogEntry) int {
		switch {
		case a.Sequence > b.Sequence:
			return -1
		case a.Sequence < b.Sequence:
			return 1
		}
		return b.At.Compare(a.At)
	})
	return log, nil
}

// NameRollback implements [rpc.Names]: it publishes an old value under a new
// sequence.
func (n *Node) NameRollback(ctx context.Context, req rpc.RollbackRequest) iter.Seq2[rpc.Published, error] {
	return func(yield func(rpc.Published, error) bool) {
		value, last, err := n.pastValue(ctx, req)
		if err != nil {
			yield(rpc.Published{}, err)
			return
		}
		again := rpc.PublishRequest{
			Path: value, Key: req.Name, V1Compat: true, IfSequence: &last,
			AllowOffline: req.AllowOffline, Wait: req.Wait, Progress: req.Progress,
		}
		for p, err := range n.NamePublish(ctx, again) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// pastValue finds the value to go back to, and the sequence that the name has
// now: if another one is published meanwhile, that one stays.
func (n *Node) pastValue(ctx context.Context, req rpc.RollbackRequest) (value string, last uint64, err error) {
	e, err := n.entry(ctx, req.Name)
	if err != nil {
		return "", 0, err
	}
	wantSeq, seqErr := strconv.ParseUint(req.To, 10, 64)
	wantPath, pathErr := parsePath(req.To)
	if seqErr != nil && pathErr != nil {
		return "", 0, fmt.Errorf("%q is neither a sequence nor a CID; 'ipns name log %s' lists them", req.To, req.Name)
	}
	for past, err := range n.book.Store.History(ctx, e.Name) {
		if err != nil {
			return "", 0, err
		}
		if seqErr == nil && past.Record.Sequence() == wantSeq || seqErr != nil && past.Record.Value() == wantPath {
			if past.Record.Value() == e.Record.Value() {
				return "", 0, fmt.Errorf("%s has that value now: there is nothing to go back to", e.Name)
			}
			return past.Record.Value(), e.Record.Sequence(), nil
		}
	}
	return "", 0, fmt.Errorf("%s never had %s here; 'ipns name log %s' lists what it had", e.Name, req.To, req.Name)
}

// NameStatus implements [rpc.Names].
func (n *Node) NameStatus(ctx context.Context, req rpc.StatusRequest) (rpc.Statuses, error) {
	if req.Name != "" {
		e, err := n.entry(ctx, req.Name)
		if err != nil {
			return rpc.Statuses{}, err
		}
		var held *rpc.Held
		if n.router != nil && !req.Local && !n.offline(ctx) {
			held = n.held(ctx, e)
			if e, err = n.book.Get(ctx, e.Name); err != nil { // it may have found a newer one
				return rpc.Statuses{}, err
			}
		}
		s, err := n.status(ctx, e)
		s.Network = held
		return rpc.Statuses{One: &s}, err
	}
	out := rpc.Statuses{Names: []rpc.Status{}}
	for e, err := range n.book.Store.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return rpc.Statuses{}, err
		}
		if e.Record == nil {
			continue
		}
		s, err := n.status(ctx, e)
		if err != nil {
			return rpc.Statuses{}, err
		}
		out.Names = append(out.Names, s)
	}
	return out, n.addDamaged(ctx, &out)
}

// addDamaged adds the own names that a scan does not find because they are damaged.
func (n *Node) addDamaged(ctx context.Context, to *rpc.Statuses) error {
	_, damaged, err := n.ownNames(ctx)
	for _, name := range damaged {
		listed := func(s rpc.Status) bool { return s.Name == name.String() }
		if slices.ContainsFunc(to.Names, listed) {
			continue
		}
		e, err := n.book.Get(ctx, name)
		if err != nil {
			return err
		}
		s := rpc.Status{Name: name.String(), Origin: recordstore.Own.String(), Damaged: true}
		if e.Record != nil {
			if s, err = n.status(ctx, e); err != nil {
				return err
			}
		} else if key, err := n.keys.Of(name); err == nil {
			s.Key = key.Label
		}
		to.Names = append(to.Names, s)
	}
	return err
}

func (n *Node) status(ctx context.Context, e recordstore.Entry) (rpc.Status, error) {
	now := time.Now()
	s := rpc.Status{
		Name:     e.Name.String(),
		Value:    e.Record.Value(),
		Sequence: e.Record.Sequence(),
		EOL:      e.Record.EOL(),
		TTL:      e.Record.TTL(),
		ValidFor: int64(e.Record.EOL().Sub(now).Seconds()),
		Expired:  e.Record.Expired(now),
		Origin:   e.Origin.String(),
		Rivals:   len(e.Rivals),
		Damaged:  e.Damaged,
	}
	for _, r := range e.Rivals {
		s.RivalValues = append(s.RivalValues, r.Value())
	}
	if e.Rival != nil {
		s.LastRival = &rpc.Rival{Value: e.Rival.Value(), Sequence: e.Rival.Sequence()}
	}
	if key, err := n.keys.Of(e.Name); err == nil {
		s.Key = key.Label
	}
	u, err := n.book.Upkeep(ctx, e.Name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if !u.Due.IsZero() {
		s.NextAnnounce = &u.Due
	}
	if u.Announced != e.Record.Hash() {
		// What was noted is another record's. Only that it could not be announced yet
		// is this one's.
		if u.Announced == [32]byte{} {
			s.LastError = u.LastErr
		}
		return s, nil
	}
	if !u.LastPut.IsZero() {
		s.LastAnnounced = &u.LastPut
	}
	s.Holders, s.LastError = u.Holders, u.LastErr
	s.Announced, s.Of = u.Receipt.Announced()
	s.Networks = networks(u.Receipt)
	return s, nil
}

// askLimit bounds how long a status asks the network.
const askLimit = 10 * time.Second

// held asks the other servers of the network what they have of a name. What is newer
// than what is known here enters the Book.
func (n *Node) held(ctx context.Context, e recordstore.Entry) *rpc.Held {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	h := &rpc.Held{}
	var found []*ipns.Record
	for a, err := range n.router.Search(ctx, e.Name) {
		if err != nil {
			h.Error = err.Error()
			break
		}
		if a.Own {
			continue // what this node's own server has says nothing of the others
		}
		h.Answered++
		if a.Record != nil {
			found = append(found, a.Record)
		}
	}
	if len(found) == 0 {
		return h
	}
	best := slices.MaxFunc(found, ipns.Compare)
	for _, rec := range found {
		switch versionOf(rec, best) {
		case sameVersion:
			h.Holders++
		case otherValue:
			h.Other++
		default:
			h.Older++
		}
	}
	seq := best.Sequence()
	h.Sequence, h.Value = &seq, best.Value()
	if ipns.Compare(best, e.Record) > 0 {
		if _, err := n.book.Take(ctx, best, names.Entrance{Origin: recordstore.Seen}); err != nil {
			n.log.Warn("newer record on the network is not kept", "name", e.Name, "err", err)
		}
	}
	return h
}

// version is what a record is to the newest one.
type version int

const (
	olderVersion version = iota // of a lower sequence
	otherValue                  // of the same, with another value: somebody else signs with the key
	sameVersion                 // it says the same, if not for as long
)

func versionOf(rec, newest *ipns.Record) version {
	switch {
	case rec.Sequence() != newest.Sequence():
		return olderVersion
	case rec.Value() != newest.Value():
		return otherValue
	}
	return sameVersion
}

// routingName reads the key of a raw value: only those of names are served.
func routingName(key string) (ipns.Name, error) {
	if len(key) < len("/ipns/") || key[:len("/ipns/")] != "/ipns/" {
		return ipns.Name{}, fmt.Errorf("key %q: only keys that begin with /ipns/ have values", key)
	}
	return ipns.ParseName(key)
}

// RoutingGet implements [rpc.Names].
func (n *Node) RoutingGet(ctx context.Context, req rpc.RoutingGetRequest) (rpc.RoutingValue, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return rpc.RoutingValue{}, err
	}
	rec, err := n.record(ctx, name)
	if err != nil {
		return rpc.RoutingValue{}, err
	}
	return rpc.RoutingValue{Extra: base64.StdEncoding.EncodeToString(rec.Raw()), Type: routingValue}, nil
}

// routingValue is the type of a routing event that carries a value.
const routingValue = 5

// RoutingPut implements [rpc.Names].
func (n *Node) RoutingPut(ctx context.Context, req rpc.RoutingPutRequest) (rpc.RoutingValue, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return rpc.RoutingValue{}, err
	}
	put, err := n.NamePut(ctx, rpc.NamePutRequest{Name: name.String(), Record: req.Value, AllowOffline: req.AllowOffline})
	if err != nil {
		return rpc.RoutingValue{}, err
	}
	return rpc.RoutingValue{Extra: put.Name, Type: routingValue}, nil
}
