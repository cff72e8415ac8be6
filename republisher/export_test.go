package republisher

import "context"

// Step does once what Run does each minute, one part after the other.
func (r *Republisher) Step(ctx context.Context) error {
	if err := r.scan(ctx); err != nil {
		return err
	}
	if ask := r.makePlan().ask; len(ask) > 0 {
		r.askAll(ctx, ask)
		if err := r.scan(ctx); err != nil {
			return err
		}
	}
	signing := newSigning(r)
	signing.begin(ctx, r.makePlan().renew)
	signing.wait()
	return r.follow(ctx, r.makePlan())
}

// Touch has the whole store looked at again.
func (r *Republisher) Touch() {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.views {
		r.views[i].dirty = true
	}
}
