package republisher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// hasEnded reports whether an entry is hosted and its record has expired. If its owner
// wants it kept, they will send a newer record.
func hasEnded(e recordstore.Entry, now time.Time) bool {
	return e.Origin == recordstore.Hosted && len(e.Staged) == 0 && e.Record != nil && e.Record.Expired(now)
}

// endHosted removes hosted names whose record has expired, several at a time so that
// they share disk writes. The next scan finds those that failed.
func (r *Republisher) endHosted(ctx context.Context, ended []ipns.Name) {
	var g errgroup.Group
	g.SetLimit(forgetAtOnce)
	var failed atomic.Bool
	for _, name := range ended {
		if failed.Load() {
			break
		}
		g.Go(func() error {
			lease, held := r.lease(sectorOf(name))
			if !held {
				return nil
			}
			e, err := r.Book.Get(ctx, name)
			if err == nil && hasEnded(e, r.now()) && !r.outlook(e).Signed {
				err = r.Book.Forget(ctx, e, lease)
			}
			r.touch(name)
			if err == nil || errors.Is(err, recordstore.ErrLease) || errors.Is(err, recordstore.ErrNotFound) || errors.Is(err, recordstore.ErrConflict) {
				return nil
			}
			failed.Store(true)
			return fmt.Errorf("forget an expired name: %w", err)
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		r.log().Warn("republisher", "error", err)
	}
}
