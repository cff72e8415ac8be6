package republisher

import (
	"context"
)

// Step does once what Run does every minute, one part after the other.
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
	p := r.makePlan()
	p.probe = nil
	signing.begin(ctx, p)
	signing.wait()
	return r.follow(ctx, r.makePlan())
}

// Touch marks all sectors as changed.
func (r *Republisher) Touch() {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.scans {
		r.scans[i].dirty = true
	}
}

// Sign scans and renews, and puts nothing.
func (r *Republisher) Sign(ctx context.Context) error {
	if err := r.scan(ctx); err != nil {
		return err
	}
	signing := newSigning(r)
	p := r.makePlan()
	p.probe = nil
	signing.begin(ctx, p)
	signing.wait()
	return nil
}
