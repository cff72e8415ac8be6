package verbs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleNames(m *rpc.Mux) {
	rpc.Handle(m, api.NamePublish, n.namePublish)
	rpc.Handle(m, api.NameRollback, n.nameRollback)
	rpc.Handle(m, api.NameResolve, n.nameResolve)
	rpc.Handle(m, api.NameGet, rpc.One(n.nameGet))
	rpc.Handle(m, api.NamePut, rpc.One(n.namePut))
	rpc.Handle(m, api.NameInspect, rpc.One(n.nameInspect))
	rpc.Handle(m, api.NameLog, rpc.One(n.nameLog))
	rpc.Handle(m, api.NameStatus, rpc.One(n.nameStatus))
	rpc.Handle(m, api.NameRequest, rpc.One(n.nameRequest))
	rpc.Handle(m, api.NameSign, rpc.One(n.nameSign))
	rpc.Handle(m, api.NameDelegate, n.nameDelegate)
}

func bytesReader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// namePut implements the command.
func (n *verbs) namePut(ctx context.Context, req api.NamePutRequest) (api.Published, error) {
	if req.AllowOffline && req.AllowDelegated {
		return api.Published{}, errBothFlags
	}
	wait, err := publisher.ParseWait(req.Wait)
	if err != nil {
		return api.Published{}, err
	}
	asked := publisher.PutRequest{Wait: n.Waits(wait)}
	if req.AllowDelegated {
		asked.Wait = wait
		if asked.Via = n.Roads.Publishers(); asked.Via == nil {
			return api.Published{}, errNoDelegates
		}
	}
	name, err := parseName(req.Name)
	if err != nil {
		return api.Published{}, fmt.Errorf("invalid IPNS name: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(req.Record, ladder.MaxFile+1))
	isLadder := ladder.IsLadder(raw)
	switch {
	case err != nil:
		return api.Published{}, err
	case len(raw) == 0:
		return api.Published{}, errors.New("record is empty")
	case len(raw) > ipns.MaxRecordSize && !isLadder && !req.Force: // forced, it is no record either
		return api.Published{}, fmt.Errorf("record exceeds maximum size of %d bytes", ipns.MaxRecordSize)
	}
	switch {
	case req.AllowDelegated:
	case n.offline(ctx) && !req.AllowOffline:
		return api.Published{}, api.ErrOffline
	case rpc.IsOffline(ctx):
		asked.Via, asked.Wait = nowhere{}, publisher.WaitDefault // whom should it wait for
	}
	if isLadder {
		return n.putLadder(ctx, name, raw, asked, req)
	}
	rec, err := ipns.Open(name, raw, time.Now())
	if err != nil {
		if errors.Is(err, ipns.ErrMalformed) {
			err = fmt.Errorf("invalid IPNS record: %w", err)
		}
		return api.Published{}, fmt.Errorf("record validation failed: %w", err)
	}
	have, err := n.newer(ctx, rec)
	switch {
	case err != nil:
		return api.Published{}, err
	case have != nil && req.Force && have.Sequence() == rec.Sequence():
		// The Book keeps both.
	case have != nil && req.Force:
		// A record that is known is never replaced by an older one: that is all there is to do.
		p := api.Published{Name: name.String(), Value: have.Value(), Outcome: api.Outcome{Sequence: have.Sequence(), Stored: true}}
		p.Warnings = []string{fmt.Sprintf("sequence %d of %s stays: a record that is known is not replaced by one with sequence %d", have.Sequence(), name, rec.Sequence())}
		return p, nil
	case have != nil:
		return api.Published{}, olderError(have.Sequence(), rec)
	}
	res, err := n.Publisher.Put(ctx, rec, asked)
	if errors.Is(err, publisher.ErrOlder) {
		return api.Published{}, n.olderError(ctx, rec)
	}
	if err = n.announced(ctx, err, req.AllowOffline); err != nil {
		return api.Published{}, err
	}
	n.keepTarget(ctx, rec)
	p := published(name.String(), res)
	p.Warnings = append(res.Warnings, n.overtaken(ctx, name)...)
	return p, nil
}

// nameInspect implements the command.
func (n *verbs) nameInspect(_ context.Context, req api.InspectRequest) (api.Inspected, error) {
	return Inspect(req)
}

// Inspect shows the content of a record. It needs no node.
func Inspect(req api.InspectRequest) (api.Inspected, error) {
	raw, err := io.ReadAll(io.LimitReader(req.Record, ipns.MaxRecordSize+1))
	if err != nil {
		return api.Inspected{}, err
	}
	report, err := ipns.Inspect(raw)
	if errors.Is(err, ipns.ErrSize) {
		return api.Inspected{}, err
	}
	if err != nil || report.SignatureType == "Unknown" {
		return api.Inspected{}, ipns.ErrMalformed
	}
	out := api.Inspected{PbSize: report.Size, SignatureType: report.SignatureType}
	kind, sequence, ttl := int64(report.ValidityType), report.Sequence, time.Duration(report.TTL)
	out.Entry = api.InspectedEntry{Value: string(report.Value), ValidityType: &kind, Sequence: &sequence, TTL: &ttl}
	if !report.EOL.IsZero() {
		out.Entry.Validity = &report.EOL
	}
	if req.Verify != "" {
		name, err := parseName(req.Verify)
		if err != nil {
			return api.Inspected{}, err
		}
		v := api.InspectedValidation{Name: name.String()}
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

// entry returns the Book's entry of a name or key.
func (n *verbs) entry(ctx context.Context, text string) (recordstore.Entry, error) {
	name, err := n.nameArgument(ctx, text)
	if err != nil {
		return recordstore.Entry{}, err
	}
	e, err := n.Book.Get(ctx, name)
	if err == nil && e.Record == nil && e.Damaged {
		return e, rpc.Because(api.ReasonDamaged, fmt.Errorf("the stored entry of %s is damaged, and nothing of it is left here", name))
	}
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && e.Record == nil {
		return e, rpc.Because(api.ReasonNotPublished, fmt.Errorf("nothing was published under %s here", name))
	}
	return e, err
}

// nameArgument parses a name or the label of a key; empty means the node's own name.
func (n *verbs) nameArgument(ctx context.Context, text string) (ipns.Name, error) {
	if text == "" || text == keystore.Self {
		return n.Name, nil
	}
	name, err := parseName(text)
	if err == nil {
		return name, nil
	}
	key, err := n.findKey(ctx, text)
	if err == nil || !errors.Is(err, keystore.ErrNotFound) { // an agent or signer may not answer
		return key.Name, err
	}
	return ipns.Name{}, rpc.Because(api.ReasonNoKey, fmt.Errorf("%q is neither a name nor the name of a key", text))
}

// nameLog implements the command.
func (n *verbs) nameLog(ctx context.Context, req api.LogRequest) (api.Log, error) {
	e, err := n.entry(ctx, req.Name)
	if err != nil {
		return api.Log{}, err
	}
	log := api.Log{Name: e.Name.String()}
	for past, err := range n.Book.History(ctx, e.Name) {
		if err != nil {
			return api.Log{}, err
		}
		log.Entries = append(log.Entries, api.LogEntry{
			Sequence: past.Record.Sequence(),
			Value:    past.Record.Value(),
			EOL:      past.Record.EOL(),
			At:       past.At,
			Current:  past.Record.DataHash() == e.Record.DataHash(),
		})
	}
	slices.SortStableFunc(log.Entries, func(a, b api.LogEntry) int {
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

// nameStatus implements the command.
func (n *verbs) nameStatus(ctx context.Context, req api.StatusRequest) (api.Statuses, error) {
	if err := n.Ladders.Load(ctx); err != nil {
		return api.Statuses{}, err
	}
	if req.Name != "" {
		e, err := n.entry(ctx, req.Name)
		if err != nil {
			return api.Statuses{}, err
		}
		var held *api.Held
		if n.Router != nil && !req.Local && !n.offline(ctx) {
			held = n.held(ctx, e.Name)
			if e, err = n.Book.Get(ctx, e.Name); err != nil { // held may have found a newer record
				return api.Statuses{}, err
			}
		}
		s, err := n.status(ctx, e)
		if err == nil {
			err = n.addFuture(ctx, e, &s, req.Local)
		}
		s.Network = held
		if e.Origin == recordstore.Own && !req.Local && !n.Keys.Ready(e.Name) {
			s.Signer = ""
			if _, err := n.Keys.Signer(ctx, e.Name); err != nil {
				s.Signer = err.Error()
			}
		}
		return api.Statuses{One: &s}, err
	}
	out := api.Statuses{Names: []api.Status{}}
	for e, err := range n.Book.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return api.Statuses{}, err
		}
		if e.Record == nil {
			continue
		}
		s, err := n.status(ctx, e)
		if err != nil {
			return api.Statuses{}, err
		}
		out.Names = append(out.Names, s)
	}
	return out, n.addDamaged(ctx, &out)
}

// addDamaged adds own names that a scan leaves out because their entries are damaged.
func (n *verbs) addDamaged(ctx context.Context, to *api.Statuses) error {
	_, damaged, err := n.Repair.OwnNames(ctx)
	for _, name := range damaged {
		listed := func(s api.Status) bool { return s.Name == name.String() }
		if slices.ContainsFunc(to.Names, listed) {
			continue
		}
		e, err := n.Book.Get(ctx, name)
		if err != nil {
			return err
		}
		s := api.Status{Name: name.String(), Origin: recordstore.Own.String(), Damaged: true}
		if e.Record != nil {
			if s, err = n.status(ctx, e); err != nil {
				return err
			}
		} else if key, err := n.Keys.Of(name); err == nil {
			s.Key = key.Label
		}
		to.Names = append(to.Names, s)
	}
	return err
}

func (n *verbs) status(ctx context.Context, e recordstore.Entry) (api.Status, error) {
	now := time.Now()
	s := api.Status{
		Name:     e.Name.String(),
		Value:    e.Record.Value(),
		Sequence: e.Record.Sequence(),
		EOL:      e.Record.EOL(),
		TTL:      e.Record.TTL(),
		Lifetime: e.Span,
		ValidFor: int64(e.Record.EOL().Sub(now).Seconds()),
		Expired:  e.Record.Expired(now),
		Origin:   e.Origin.String(),
		Rivals:   len(e.Rivals),
		Damaged:  e.Damaged,
		Risk:     n.Risk(ctx, e),
	}
	for _, r := range e.Rivals {
		s.RivalValues = append(s.RivalValues, r.Value())
	}
	if e.Rival != nil {
		s.LastRival = &api.Rival{Value: e.Rival.Value(), Sequence: e.Rival.Sequence(), Since: n.cameIn(ctx, e.Rival)}
	}
	if key, err := n.Keys.Of(e.Name); err == nil {
		s.Key = key.Label
	}
	if err := n.Republisher.Unready(e.Name); err != nil {
		s.Signer = err.Error()
	}
	u, err := n.Book.Upkeep(ctx, e.Name)
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
		// The upkeep is that of another record. Only a failure to announce this one yet
		// belongs to it.
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

// held asks other servers for their records of a name.
func (n *verbs) held(ctx context.Context, name ipns.Name) *api.Held {
	found, err := n.Resolver.Held(ctx, name)
	if err != nil {
		n.Log.Warn("cannot store a newer record from the network", "name", name, "err", err)
	}
	h := &api.Held{Road: routing.RoadOf(n.Router), Holders: found.Same, Other: found.Other, Older: found.Older, Answered: found.Answered}
	if found.Newest != nil {
		seq := found.Newest.Sequence()
		h.Sequence, h.Value = &seq, found.Newest.Value()
	}
	for _, a := range found.Besides {
		by := api.HeldBy{Network: a.Network, Road: a.Road, Source: a.Source}
		if a.Record != nil {
			seq := a.Record.Sequence()
			by.Sequence, by.Value = &seq, a.Record.Value()
		}
		h.Besides = append(h.Besides, by)
	}
	if found.Err != nil {
		h.Error = found.Err.Error()
	}
	return h
}
