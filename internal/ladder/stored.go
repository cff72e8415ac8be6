package ladder

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// table has a row for each ladder, under its name, and one for each step, under the name, a
// slash and the hash of the step. The row of a ladder is written last and lists the hashes, so
// a ladder is there whole or not at all.
const table = "ladder"

// header is the row of a ladder.
type header struct {
	Format    string
	Steps     []string // the hashes in hex
	Signature []byte
	Taken     time.Time
	// Generation is that of the store when the ladder was taken.
	Generation []byte
}

// stepRow is the row of a step.
type stepRow struct {
	At     time.Time
	Record []byte
}

func stepKey(name ipns.Name, hash string) string { return name.String() + "/" + hash }

// Taken says what became of a ladder that was given to [Keeper.Take].
type Taken struct {
	Same     bool // it was here already
	Replaced int  // steps that an earlier ladder of the name still had
	Skipped  int  // steps that have expired
}

// Take stores a ladder that [Decode] has returned. When it returns, the ladder is durable,
// and no publish on this node uses one of its sequences. If something newer is known, the
// error is ErrOlder. It replaces an older ladder of the name.
func (k *Keeper) Take(ctx context.Context, l *Ladder, recs []*ipns.Record) (t Taken, err error) {
	if err := k.Load(ctx); err != nil {
		return t, err
	}
	done, err := k.Book.Turn(ctx, l.Name)
	if err != nil {
		return t, err
	}
	defer done()
	last, now := recs[len(recs)-1], k.now()
	for _, r := range recs {
		if r.Expired(now) {
			t.Skipped++
		}
	}
	if t.Skipped == len(recs) {
		return t, fmt.Errorf("ladder of %s: its last step: %w since %s", l.Name, ipns.ErrExpired, last.EOL().Format(time.RFC3339))
	}
	have, err := k.mark(ctx, l.Name)
	if err != nil {
		return t, err
	}
	if have.Compare(recordstore.MarkOf(last)) > 0 {
		return t, fmt.Errorf("ladder of %s: %w: sequence %d until %s, and its last step is sequence %d until %s", l.Name, ErrOlder,
			have.Sequence, have.EOL.Format(time.RFC3339), last.Sequence(), last.EOL().Format(time.RFC3339))
	}
	row, before, err := k.header(ctx, l.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) && !errors.Is(err, ErrChanged) {
		return t, err
	}
	gen, err := k.Book.Store.Generation(ctx)
	if err != nil {
		return t, err
	}
	next := header{Format: ladderFormat, Signature: l.Signature, Taken: now.UTC(), Generation: gen[:]}
	for _, h := range l.hashes() {
		next.Steps = append(next.Steps, hex.EncodeToString(h[:]))
	}
	t.Same = slices.Equal(before.Steps, next.Steps)
	if err := k.room(l.Name, recs, &t); err != nil {
		return t, err
	}
	// Others here must not use its sequences even if the ladder is not stored after a crash.
	if err := k.Book.Spend(ctx, l.Name, last.Sequence(), names.Entrance{Origin: recordstore.Hosted}); err != nil {
		return t, err
	}
	var g errgroup.Group
	g.SetLimit(writers)
	for i, s := range l.Steps {
		g.Go(func() error { return k.writeStep(ctx, stepKey(l.Name, next.Steps[i]), stepRow(s)) })
	}
	if err := g.Wait(); err != nil {
		return t, fmt.Errorf("store the ladder of %s: %w", l.Name, err)
	}
	if row.Value, err = json.Marshal(next); err != nil {
		return t, err
	}
	if _, err := k.Rows.Swap(ctx, row); err != nil {
		return t, fmt.Errorf("store the ladder of %s: %w", l.Name, err)
	}
	k.mu.Lock()
	k.kept[l.Name] = &kept{steps: summaries(l, recs), asked: true}
	k.mu.Unlock()
	k.notify()
	for _, hash := range before.Steps { // a crash leaves them to Load
		if !slices.Contains(next.Steps, hash) {
			if err := k.deleteRow(ctx, stepKey(l.Name, hash)); err != nil {
				return t, nil
			}
		}
	}
	return t, nil
}

// room checks that a ladder may replace what is kept of its name, and that there is room.
func (k *Keeper) room(name ipns.Name, recs []*ipns.Record, t *Taken) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, last := len(recs), recordstore.MarkOf(recs[len(recs)-1])
	for of, held := range k.kept {
		if of != name {
			all += len(held.steps)
		}
	}
	if all > MaxKept {
		return ErrFull
	}
	held := k.kept[name]
	if held == nil || t.Same {
		return nil
	}
	var end recordstore.Mark // zero: its list cannot be read
	if len(held.steps) > 0 {
		end = held.steps[len(held.steps)-1].mark
	}
	if end.Compare(last) > 0 {
		return fmt.Errorf("ladder of %s: %w: the ladder here ends with sequence %d until %s", name, ErrOlder, end.Sequence, end.EOL.Format(time.RFC3339))
	}
	t.Replaced = max(0, len(held.steps)-1-max(held.due(k.now()), held.over-1))
	return nil
}

func summaries(l *Ladder, recs []*ipns.Record) []summary {
	all := make([]summary, len(recs))
	for i, r := range recs {
		all[i] = summary{l.Steps[i].At, recordstore.MarkOf(r)}
	}
	return all
}

// writeStep writes the row of a step; one that is there and right stays.
func (k *Keeper) writeStep(ctx context.Context, key string, s stepRow) error {
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	row, err := k.Rows.Get(ctx, table, key)
	if err == nil && slices.Equal(row.Value, value) {
		return nil
	}
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return err
	}
	_, err = k.Rows.Swap(ctx, recordstore.Row{Table: table, Key: key, Value: value, Version: row.Version})
	return err
}

func (k *Keeper) deleteRow(ctx context.Context, key string) error {
	row, err := k.Rows.Get(ctx, table, key)
	if err == nil {
		row.Value = nil
		_, err = k.Rows.Swap(ctx, row)
	}
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil
	}
	return err
}

// forget deletes a ladder. After a crash, Load deletes what is left of its steps.
func (k *Keeper) forget(ctx context.Context, name ipns.Name) error {
	done, err := k.Book.Turn(ctx, name) // or a ladder that is taken meanwhile would go too
	if err != nil {
		return err
	}
	defer done()
	row, h, err := k.header(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) && !errors.Is(err, ErrChanged) {
		return err
	}
	if row.Version != 0 {
		if again, err := k.retaken(ctx, name); err != nil || again {
			return err
		}
	}
	if row.Version != 0 {
		row.Value = nil
		if _, err := k.Rows.Swap(ctx, row); err != nil {
			return err
		}
	}
	k.mu.Lock()
	delete(k.kept, name)
	k.mu.Unlock()
	for _, hash := range h.Steps {
		if err := k.deleteRow(ctx, stepKey(name, hash)); err != nil {
			return err
		}
	}
	return nil
}

// header reads the row of a ladder. If it cannot be read, the error is ErrChanged.
func (k *Keeper) header(ctx context.Context, name ipns.Name) (row recordstore.Row, h header, err error) {
	row, err = k.Rows.Get(ctx, table, name.String())
	if err != nil {
		return recordstore.Row{Table: table, Key: name.String()}, h, err
	}
	if err := json.Unmarshal(row.Value, &h); err != nil || h.Format != ladderFormat {
		return row, h, fmt.Errorf("the ladder's list of steps: %w", ErrChanged)
	}
	return row, h, nil
}

// stored is a ladder as it was read and verified.
type stored struct {
	ats      []time.Time
	recs     []*ipns.Record // of each step; nil: it is missing, or not as it was signed
	problems []string
	cut      bool // the list of steps is not as it was signed, or none can be read
	taken    time.Time
}

// problem is what is wrong with the stored ladder; "": nothing.
func (s *stored) problem() string {
	switch n := len(s.problems); n {
	case 0, 1:
		return strings.Join(s.problems, "")
	default:
		return fmt.Sprintf("%s, and %d more", s.problems[0], n-1)
	}
}

// read reads and verifies a stored ladder: the signature over the list of its steps, and of
// each step the hash and the record.
func (k *Keeper) read(ctx context.Context, name ipns.Name) (*stored, error) {
	_, h, err := k.header(ctx, name)
	if errors.Is(err, ErrChanged) {
		return &stored{problems: []string{err.Error()}, cut: true}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &stored{taken: h.Taken, ats: make([]time.Time, len(h.Steps)), recs: make([]*ipns.Record, len(h.Steps))}
	hashes := make([]Hash, len(h.Steps))
	var any *ipns.Record
	for i, text := range h.Steps {
		b, err := hex.DecodeString(text)
		if err != nil || copy(hashes[i][:], b) != len(hashes[i]) || len(b) != len(hashes[i]) {
			s.problems = append(s.problems, fmt.Sprintf("the ladder's list of steps was changed at step %d of %d", i+1, len(h.Steps)))
			continue
		}
		row, err := k.Rows.Get(ctx, table, stepKey(name, text))
		if errors.Is(err, recordstore.ErrNotFound) {
			s.problems = append(s.problems, fmt.Sprintf("step %d of %d was removed", i+1, len(h.Steps)))
			continue
		}
		if err != nil {
			return nil, err
		}
		var f stepRow
		var rec *ipns.Record
		err = json.Unmarshal(row.Value, &f)
		step := Step{f.At.UTC(), f.Record}
		if err == nil && step.Hash() != hashes[i] {
			err = ErrChanged
		}
		if err == nil {
			rec, err = ipns.Reopen(name, f.Record)
		}
		if err != nil {
			s.problems = append(s.problems, fmt.Sprintf("step %d of %d was changed", i+1, len(h.Steps)))
			continue
		}
		s.ats[i], s.recs[i], any = step.At, rec, rec
	}
	s.cut = any == nil
	if any != nil {
		if err := verifySignature(name, any, hashes, h.Signature); err != nil {
			s.problems, s.cut = append([]string{err.Error()}, s.problems...), true
		}
	}
	return s, nil
}

// Load reads what is stored, once. Rows of steps that belong to no ladder are those of a
// Take that a crash has ended, and are deleted; where others share the store, only after
// orphanFor, for one of them may be taking it.
func (k *Keeper) Load(ctx context.Context) error {
	k.init()
	select {
	case k.loading <- struct{}{}:
		defer func() { <-k.loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	k.mu.Lock()
	loaded := k.loaded
	k.mu.Unlock()
	if loaded {
		return nil
	}
	gen, err := k.Book.Store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("load ladders: %w", err)
	}
	listed := map[string]bool{}
	all := map[ipns.Name]*kept{}
	var steps []string
	for row, err := range k.Rows.Range(ctx, table, "", "") {
		if err != nil {
			return fmt.Errorf("load ladders: %w", err)
		}
		text, _, isStep := strings.Cut(row.Key, "/")
		if isStep {
			steps = append(steps, row.Key)
			continue
		}
		name, err := ipns.ParseName(text)
		if err != nil {
			continue
		}
		var h header
		_ = json.Unmarshal(row.Value, &h) // read says so
		for _, hash := range h.Steps {
			listed[stepKey(name, hash)] = true
		}
		all[name] = &kept{asked: string(h.Generation) == string(gen[:])}
	}
	for name, held := range all {
		s, err := k.read(ctx, name)
		if errors.Is(err, recordstore.ErrNotFound) { // another process has just removed it
			delete(all, name)
			continue
		}
		if err != nil {
			return fmt.Errorf("load the ladder of %s: %w", name, err)
		}
		held.fill(s)
		if held.problem != "" {
			k.log().Error("a stored ladder is damaged", "name", name.String(), "problem", held.problem)
		}
	}
	orphans := map[string]time.Time{}
	for _, key := range steps {
		// Those of a damaged ladder stay: they may be of use to who repairs it.
		text, _, _ := strings.Cut(key, "/")
		name, err := ipns.ParseName(text)
		if held := all[name]; listed[key] || err != nil || held != nil && held.problem != "" {
			continue
		}
		if since := k.orphanSince(key); k.Leases != nil && time.Since(since) < orphanFor {
			orphans[key] = since
			continue
		}
		if err := k.deleteRow(ctx, key); err != nil {
			return fmt.Errorf("load ladders: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.orphans, k.loaded = all, orphans, true
	return nil
}

// fill sets what is kept in memory. A step that cannot be read counts as released with the
// one before it, so that it is never waited for.
func (h *kept) fill(s *stored) {
	h.problem, h.cut, h.steps = s.problem(), s.cut, nil
	last := summary{}
	for i, rec := range s.recs {
		if rec != nil {
			last = summary{s.ats[i], recordstore.MarkOf(rec)}
		}
		h.steps = append(h.steps, last)
	}
}
