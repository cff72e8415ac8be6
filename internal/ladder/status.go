package ladder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Status is how far a ladder is.
type Status struct {
	Taken time.Time
	Steps int // in all
	Left  int // that are still to be released
	Next  time.Time
	// NextValue is the value of the next step.
	NextValue string
	End       time.Time // when its last step expires
	// Overtaken are steps that will not be released, because something newer was published.
	Overtaken int
	// Problems say which steps were removed or changed since the ladder was taken.
	Problems []string
	Waiting  string // why a step that is due is not released; "": none is
	Risk     string // as [Keeper.Outlook]
}

// Status reads and verifies the ladder of a name; nil: it has none.
func (k *Keeper) Status(ctx context.Context, name ipns.Name) (*Status, error) {
	if err := k.Load(ctx); err != nil {
		return nil, err
	}
	if !k.has(name) {
		return nil, nil
	}
	s, err := k.read(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have, err := k.mark(ctx, name)
	if err != nil {
		return nil, err
	}
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.kept[name]
	if held == nil {
		return nil, nil
	}
	held.problem, held.cut = s.problem(), s.cut
	out := &Status{Taken: s.taken, Steps: len(held.steps), End: held.end(), Problems: s.problems, Waiting: held.waiting}
	for i, step := range held.steps {
		switch rec := s.at(i, step); {
		case !step.at.After(now): // released, or superseded by one that is
		case step.mark.Compare(have) <= 0:
			out.Overtaken++
		case rec != nil:
			if out.Left++; out.Left == 1 {
				out.Next, out.NextValue = step.at, rec.Value()
			}
		}
	}
	out.Risk = held.outlook(have, now).Risk
	return out, nil
}

// has reports whether a name has a ladder, as far as is known in memory.
func (k *Keeper) has(name ipns.Name) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept[name] != nil
}

// end is when the last step expires.
func (h *kept) end() time.Time {
	if len(h.steps) == 0 {
		return time.Time{}
	}
	return h.steps[len(h.steps)-1].mark.EOL
}

// Outlook says what becomes of a name.
type Outlook struct {
	// Ladder says that its next records are signed already, or that there is no key here and
	// its ladder has ended: it is neither renewed nor removed.
	Ladder bool
	// Risk is why the name may be lost although its record is valid; "": nothing is known.
	// Ends says that this is because the ladder ends, which a key could mend.
	Risk string
	Ends bool
}

// Outlook returns what a name's ladder makes of its future, as far as is known in memory.
func (k *Keeper) Outlook(e recordstore.Entry) Outlook {
	k.init()
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.kept[e.Name]
	if held == nil {
		return Outlook{}
	}
	out := held.outlook(e.Mark, k.now())
	out.Ladder = out.Ladder || out.Risk != "" && e.Origin == recordstore.Hosted
	return out
}

// outlook returns the Outlook of a name whose highest known version is have.
func (h *kept) outlook(have recordstore.Mark, now time.Time) Outlook {
	if len(h.steps) == 0 {
		return Outlook{Risk: "its ladder: " + h.problem}
	}
	last := h.steps[len(h.steps)-1]
	if have.Compare(last.mark) > 0 && !h.cut {
		return Outlook{} // overtaken
	}
	end := last.mark.EOL
	out := Outlook{Ladder: last.at.After(now) && last.mark.Compare(have) > 0}
	warning := min(maxWarning, end.Sub(h.steps[0].at)/4)
	switch left := end.Sub(now); {
	case h.problem != "":
		out.Risk = "its ladder: " + h.problem
	case h.waiting != "":
		out.Risk = "a step of its ladder is due and not released: " + h.waiting
	case left <= 0:
		out.Ends = true
		out.Risk = fmt.Sprintf("its ladder ended %s", end.Format(time.RFC3339))
	case left < warning:
		out.Ends = true
		out.Risk = fmt.Sprintf("its ladder ends %s: sign another one", end.Format(time.RFC3339))
	}
	return out
}
