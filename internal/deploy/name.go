package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/rpc"
)

// LongLifetime is that of a record whose key the node does not have: nobody signs it again.
const LongLifetime = 30 * 24 * time.Hour

// enough is how many servers must take a record unless told otherwise, or all if there are
// fewer.
const enough = 10

// publish makes the record and announces it, or announces the one that was signed elsewhere.
func (p *Plan) publish(ctx context.Context, r *Report, name ipns.Name) error {
	p.Told("publishing")
	ctx, cancel := context.WithTimeout(ctx, p.Step)
	defer cancel()
	var done api.Published
	var err error
	if p.Record == nil && p.Signer == nil {
		done, err = p.byKey(ctx, r)
	} else {
		done, err = p.byRecord(ctx, r, name)
	}
	if done.Stored {
		seq := done.Sequence
		r.Sequence, r.stored = &seq, true
	}
	r.Announced, r.Of = done.Announced, done.Of
	r.Warnings = append(r.Warnings, done.Warnings...)
	if err != nil && !r.stored && ctx.Err() != nil {
		p.stored(ctx, r, name)
	}
	switch {
	case rpc.HasReason(err, api.ReasonUnannounced):
		r.stored = true
		return because(FewAcks, err)
	case rpc.HasReason(err, api.ReasonRival):
		r.stored = false // it gave way
		return because(Refused, err)
	case err != nil && r.stored:
		return because(FewAcks, fmt.Errorf("wait for acks: %w", err))
	case rpc.HasReason(err, api.ReasonNoKey):
		return because(NoKey, err)
	case err != nil:
		return because(Refused, err)
	case !done.Stored:
		return because(Refused, fmt.Errorf("the node does not say that it has the record of %s", name))
	case done.Value != "" && !leadsTo(done.Value, r.root):
		return because(Refused, fmt.Errorf("%s has %s", name, done.Value))
	case !p.alone() && p.Acks == 0 && done.Announced < min(enough, max(done.Of, 1)):
		return because(FewAcks, fmt.Errorf("only %d of %d servers took the record; the node keeps trying", done.Announced, done.Of))
	}
	return nil
}

// stored asks the node whether it has the record, whose announcement it goes on with, if
// its answer was not waited for.
func (p *Plan) stored(ctx context.Context, r *Report, name ipns.Name) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoLimit)
	defer cancel()
	res, err := rpc.Do(ctx, p.Node, api.NameStatus, api.StatusRequest{Name: name.String(), Local: true})
	if err != nil || res.One == nil || !leadsTo(res.One.Value, r.root) {
		return
	}
	if seq := res.One.Sequence; r.Sequence == nil || seq >= *r.Sequence {
		r.Sequence, r.stored = &seq, true
	}
}

// wait is what to wait for.
func (p *Plan) wait() string {
	if p.Acks == 0 || p.alone() {
		return ""
	}
	return fmt.Sprint(p.Acks)
}

// keeps reports whether the node keeps the last values of the name, which it does for its own keys.
func (p *Plan) keeps() bool { return p.Record == nil && p.Signer == nil }

// byKey has the node sign.
func (p *Plan) byKey(ctx context.Context, r *Report) (last api.Published, err error) {
	req := api.PublishRequest{
		Path: "/ipfs/" + r.CID, Key: p.Key, AllowOffline: p.alone(), Lifetime: p.Lifetime, TTL: p.TTL,
		Sequence: p.Sequence, IfSequence: p.IfSequence, Wait: p.wait(), Progress: true, Keep: &p.Keep,
	}
	for done, err := range rpc.Call(ctx, p.Node, api.NamePublish, req) {
		if err != nil {
			return last, err
		}
		last = done
	}
	return last, nil
}

// byRecord signs here, unless that was done, and has the node announce the record.
func (p *Plan) byRecord(ctx context.Context, r *Report, name ipns.Name) (api.Published, error) {
	rec := p.Record
	var err error
	if rec == nil {
		rec, err = p.sign(ctx, r, name)
	} else {
		err = p.follows(ctx, rec)
	}
	if err != nil {
		return api.Published{}, err
	}
	seq := rec.Sequence()
	r.Sequence = &seq
	req := api.NamePutRequest{Name: name.String(), Record: bytes.NewReader(rec.Raw()), AllowOffline: p.alone(), Wait: p.wait()}
	return rpc.Do(ctx, p.Node, api.NamePut, req)
}

// sign makes the record that follows the last one.
func (p *Plan) sign(ctx context.Context, r *Report, name ipns.Name) (*ipns.Record, error) {
	last, err := p.last(ctx, name)
	f := ipns.Fields{Value: "/ipfs/" + r.CID, TTL: ipns.DefaultTTL}
	lifetime := LongLifetime
	if p.Lifetime != nil {
		lifetime = *p.Lifetime
	}
	f.TTL = min(f.TTL, lifetime)
	if p.TTL != nil {
		f.TTL = *p.TTL
	}
	f.EOL = time.Now().Add(lifetime)
	switch {
	case err != nil && p.Sequence == nil:
		return nil, fmt.Errorf("the last sequence of %s is unknown: %w", name, err)
	case p.IfSequence != nil && (last == nil || last.Sequence != *p.IfSequence):
		return nil, fmt.Errorf("the last sequence of %s should be %d, and is %s", name, *p.IfSequence, last)
	case p.Sequence != nil && last != nil && *p.Sequence <= last.Sequence:
		return nil, fmt.Errorf("the last sequence of %s is %s: sequence %d is not above it", name, last, *p.Sequence)
	case p.Sequence != nil:
		f.Sequence = *p.Sequence
	case last == nil:
	case leadsTo(last.Value, r.root) && f.EOL.After(last.EOL):
		f.Sequence = last.Sequence // the same again, with a later end
	default:
		f.Sequence = last.Sequence + 1
	}
	return ipns.Sign(ctx, p.Signer, f, ipns.V1V2)
}

// follows refuses a record that the name has a newer one of. Whoever signed it knew the
// sequence: if nobody here does, it is not refused. Under the same sequence, the node takes
// the same record again, and refuses another.
func (p *Plan) follows(ctx context.Context, rec *ipns.Record) error {
	last, err := p.last(ctx, rec.Name())
	switch {
	case ctx.Err() != nil:
		return err
	case p.IfSequence != nil && (last == nil || last.Sequence != *p.IfSequence):
		return fmt.Errorf("the last sequence of %s should be %d, and is %s", rec.Name(), *p.IfSequence, last)
	case last != nil && last.Sequence > rec.Sequence():
		return fmt.Errorf("the last sequence of %s is %s: a record with sequence %d does not follow it", rec.Name(), last, rec.Sequence())
	}
	return nil
}

// lastRecord is the newest record of a name; nil: there is none.
type lastRecord check.Record

func (l *lastRecord) String() string {
	if l == nil {
		return "none"
	}
	return fmt.Sprint(l.Sequence)
}

// last returns the newest record of a name, by what the node and its networks know. An error
// means that there may be a newer one.
func (p *Plan) last(ctx context.Context, name ipns.Name) (*lastRecord, error) {
	req := rpc.New[api.ResolveRequest]()
	req.Name, req.NoCache, req.RecordCount, req.Recursive, req.Verbose = name.String(), true, 0, false, true
	res, err := rpc.Do(ctx, p.Node, api.NameResolve, req)
	switch {
	case rpc.HasReason(err, api.ReasonNotFound):
		return nil, nil
	case rpc.HasReason(err, api.ReasonExpired):
		known, err2 := rpc.Do(ctx, p.Node, api.NameStatus, api.StatusRequest{Name: name.String(), Local: true})
		if err2 != nil || known.One == nil {
			return nil, errors.Join(err, err2)
		}
		return &lastRecord{known.One.Sequence, known.One.EOL, known.One.Value}, nil
	case err != nil:
		return nil, err
	case len(res.Hops) == 0 || res.Hops[0].Sequence == nil || res.Hops[0].EOL == nil:
		return nil, errors.New("the node does not say it")
	}
	hop := res.Hops[0]
	if hop.Stale {
		err = errors.New("too few servers could be asked whether there is a newer one")
	}
	return &lastRecord{*hop.Sequence, *hop.EOL, hop.Value}, err
}

// look asks from outside for the record.
func (p *Plan) look(ctx context.Context, r *Report, name ipns.Name) error {
	p.Told("looking for the record from outside")
	return because(NotSeen, p.again(ctx, func(ctx context.Context) error {
		sources, err := p.records(ctx, check.Request{Name: name, Peers: p.Peers, Routers: p.Routers, UserAgent: p.Agent})
		if err != nil {
			return fmt.Errorf("look for %s from outside: %w", name, err)
		}
		r.Seen, r.SeenOf = 0, 0
		for _, s := range sources {
			if s.Error == "" {
				r.SeenOf++
			}
			if s.Record != nil && s.Record.Sequence == *r.Sequence && leadsTo(s.Record.Value, r.root) {
				r.Seen++
			}
		}
		report := check.Judge(name, sources)
		switch newest := report.Newest; {
		case newest == nil:
			return fmt.Errorf("%s is not seen from outside: %s", name, report.Verdict)
		case newest.Sequence != *r.Sequence || !leadsTo(newest.Value, r.root):
			return fmt.Errorf("others see sequence %d of %s, with %s, and not sequence %d", newest.Sequence, name, newest.Value, *r.Sequence)
		}
		return nil
	}))
}
