package verbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

// Media types of files of records.
const (
	requestType = "application/vnd.ipns.request+json"
	ladderType  = "application/vnd.ipns.ladder+json"
)

// nameRequest implements the command.
func (n *verbs) nameRequest(ctx context.Context, req api.NameRequestRequest) (rpc.Stream, error) {
	name, err := n.nameArgument(ctx, req.Name)
	if err != nil {
		return rpc.Stream{}, err
	}
	last, next, err := n.nextOf(ctx, name, req.Sequence != nil)
	if err != nil {
		return rpc.Stream{}, err
	}
	// By the clock of this machine, which has others to compare it with.
	if err := n.Publisher.CheckClock(); err != nil {
		return rpc.Stream{}, rpc.Because(api.ReasonClock, err)
	}
	r := &ladder.Request{Name: name, Made: time.Now().UTC()}
	w := ladder.Want{Sequence: next}
	if signer, err := n.Keys.Signer(ctx, name); err == nil {
		w.V2Only = isRemote(signer)
	}
	lifetime := cmp.Or(n.Publisher.Lifetime, ipns.DefaultLifetime)
	if req.Lifetime != nil {
		lifetime = *req.Lifetime
	}
	switch {
	case req.Path != "":
		w.Value, err = parseContentPath(req.Path)
	case last == nil:
		err = rpc.Because(api.ReasonNotPublished, fmt.Errorf("nothing is known to be published under %s: say to which path it is to lead", name))
	default:
		w.Value = last.Value()
	}
	if err == nil && req.NotBefore != "" {
		w.At, err = notBefore(req.NotBefore)
	}
	if err != nil {
		return rpc.Stream{}, err
	}
	from := r.Made
	if w.At.After(from) {
		from = w.At
	}
	w.EOL = from.Add(lifetime)
	w.TTL = min(cmp.Or(n.Publisher.TTL, ipns.DefaultTTL), lifetime)
	// The same value again is a renewal, which any later publish overtakes.
	if last != nil && last.Value() == w.Value && next == last.Sequence()+1 {
		w.Sequence, w.V2Only = last.Sequence(), last.Form() == ipns.V2Only
		w.TTL = min(last.TTL(), lifetime)
	}
	if req.TTL != nil {
		w.TTL = *req.TTL
	}
	if req.V1Compat != nil {
		w.V2Only = !*req.V1Compat
	}
	if req.Sequence != nil {
		w.Sequence = *req.Sequence
	}
	r.Steps = []ladder.Want{w}
	if err := repeat(r, req.Every, req.Count, req.Lifetime); err != nil {
		return rpc.Stream{}, err
	}
	if first := r.Steps[0]; last != nil && first.Sequence == last.Sequence() && !first.EOL.After(last.EOL()) {
		return rpc.Stream{}, fmt.Errorf("the record of %s is valid until %s, later than the requested one: give it a longer lifetime", name, last.EOL().UTC().Format(time.RFC3339))
	}
	if err := r.Check(); err != nil {
		return rpc.Stream{}, fmt.Errorf("request: %w", err)
	}
	b, err := r.Encode()
	return rpc.Stream{ReadCloser: bytesReader(b), Type: requestType, Size: int64(len(b))}, err
}

// notBefore parses the release of a step.
func notBefore(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, rpc.Refuse(fmt.Errorf("--not-before is no time such as 2027-01-01T00:00:00Z: %q", text))
	}
	return at.UTC().Truncate(time.Second), nil
}

// repeat makes a ladder of a request with one step, if that is asked for.
func repeat(r *ladder.Request, every *time.Duration, count int, lifetime *time.Duration) error {
	if every == nil {
		if count != 1 {
			return rpc.Refuse(errors.New("--count is of a ladder: say how far its steps are apart with --every"))
		}
		return nil
	}
	var of time.Duration
	if lifetime != nil {
		if of = *lifetime; of <= 0 {
			return rpc.Refuse(fmt.Errorf("lifetime must be greater than zero, got %s", of))
		}
	}
	return r.Repeat(*every, count, of)
}

// nextOf returns the last record of a name, nil if there is none, and the sequence after it.
// Of a name that is not known to have its last record here, others are asked.
func (n *verbs) nextOf(ctx context.Context, name ipns.Name, given bool) (last *ipns.Record, next uint64, err error) {
	get := func() (known bool, err error) {
		e, err := n.Book.Get(ctx, name)
		if errors.Is(err, recordstore.ErrNotFound) {
			mark, err := n.Book.Seen(ctx, name)
			if !mark.IsZero() {
				next = mark.Sequence + 1
			}
			return false, err
		}
		if err != nil {
			return false, err
		}
		last, next = e.Record, e.Next
		return n.Book.Known(ctx, e)
	}
	known, err := get()
	if err != nil || known || given {
		return last, next, err
	}
	if n.Router == nil || n.offline(ctx) {
		if last == nil && next == 0 {
			return nil, 0, rpc.Because(api.ReasonNotKnown, fmt.Errorf("nothing is known of %s here, and there is no network to ask: give the --sequence", name))
		}
		return last, next, nil
	}
	found, err := n.Resolver.Held(ctx, name)
	if err == nil && found.Err != nil {
		err = away(rpc.Because(api.ReasonNotKnown, fmt.Errorf("%w: %w", publisher.ErrUnknownSequence, found.Err)))
	}
	if err == nil {
		_, err = get()
	}
	if f := found.Newest; err == nil && f != nil && (last == nil || ipns.Compare(f, last) > 0) {
		last, next = f, max(next, f.Sequence()+1)
	}
	return last, next, err
}

// nameSign implements the command.
func (n *verbs) nameSign(ctx context.Context, req api.SignRequest) (rpc.Stream, error) {
	raw, err := io.ReadAll(io.LimitReader(req.Request, ladder.MaxFile+1))
	if err != nil {
		return rpc.Stream{}, err
	}
	r, err := ladder.DecodeRequest(raw)
	if err != nil {
		return rpc.Stream{}, err
	}
	if req.Every == nil && req.Lifetime != nil {
		return rpc.Stream{}, rpc.Refuse(errors.New("--lifetime is of a ladder: that of a record is in its request"))
	}
	if err := repeat(r, req.Every, req.Count, req.Lifetime); err != nil {
		return rpc.Stream{}, err
	}
	key, err := n.findKey(ctx, cmp.Or(req.Key, r.Name.String()))
	if err != nil {
		return rpc.Stream{}, fmt.Errorf("the request is for %s: %w", r.Name, err)
	}
	signer, err := n.signer(ctx, key.Name)
	if err != nil {
		return rpc.Stream{}, err
	}
	b, err := n.Desk.Sign(ctx, signer, r, req.Force)
	if err != nil {
		return rpc.Stream{}, err
	}
	s := rpc.Stream{ReadCloser: bytesReader(b), Type: ipns.RecordMediaType, Size: int64(len(b))}
	if ladder.IsLadder(b) {
		s.Type = ladderType
	}
	return s, nil
}

// putLadder stores a ladder and publishes the step that is due.
func (n *verbs) putLadder(ctx context.Context, name ipns.Name, raw []byte, asked publisher.PutRequest, req api.NamePutRequest) (api.Published, error) {
	l, recs, err := ladder.Decode(raw)
	if err == nil && l.Name != name {
		err = fmt.Errorf("the ladder is of %s, not of %s", l.Name, name)
	}
	if err != nil {
		return api.Published{}, err
	}
	t, err := n.Ladders.Take(ctx, l, recs)
	if err != nil {
		return api.Published{}, err
	}
	out := api.Published{Name: name.String(), Value: recs[0].Value()}
	out.Sequence, out.Stored = recs[0].Sequence(), true
	rec, err := n.Ladders.Due(ctx, name)
	if err != nil {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the ladder is stored, and the step that is due is not released: %v", err))
	}
	if rec != nil {
		res, err := n.Publisher.Put(ctx, rec, asked)
		if err = n.announced(ctx, err, req.AllowOffline); err != nil {
			return api.Published{}, fmt.Errorf("the ladder is stored; its first step: %w", err)
		}
		n.keepTarget(ctx, rec)
		warnings := out.Warnings
		out = published(name.String(), res)
		out.Warnings = append(warnings, res.Warnings...)
	}
	if t.Replaced > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("this ladder replaces one with %d steps left", t.Replaced))
	}
	if t.Skipped > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d of %d steps have expired, and are not released", t.Skipped, len(recs)))
	}
	s, err := n.Ladders.Status(ctx, name)
	if err == nil && s != nil {
		out.Ladder = ladderStatus(s)
		if s.Overtaken > 0 {
			out.Warnings = append(out.Warnings, n.overtaken(ctx, name)...)
		}
	}
	return out, err
}

// overtaken is the warning that steps of a name's ladder are dropped.
func (n *verbs) overtaken(ctx context.Context, name ipns.Name) []string {
	s, err := n.Ladders.Status(ctx, name)
	if err != nil || s == nil || s.Overtaken == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of the %d steps of the ladder of this name are older than what is published, and dropped; %d are left", s.Overtaken, s.Steps, s.Left)}
}

func ladderStatus(s *ladder.Status) *api.Ladder {
	out := &api.Ladder{
		Taken: s.Taken, Steps: s.Steps, Left: s.Left, NextValue: s.NextValue, End: s.End,
		Overtaken: s.Overtaken, Problems: s.Problems, Waiting: s.Waiting,
	}
	if s.Left > 0 {
		out.Next = &s.Next
	}
	return out
}
