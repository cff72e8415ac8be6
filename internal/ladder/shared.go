package ladder

import (
	"context"
	"time"

	"github.com/goipns/ipns"
)

// Leases say which names a process looks after. A *cluster.Member is one.
type Leases interface {
	Holds(ipns.Name) bool
	// Changed returns a channel that receives a value after that has changed.
	Changed() <-chan struct{}
}

// holds reports whether this process looks after a name.
func (k *Keeper) holds(name ipns.Name) bool { return k.Leases == nil || k.Leases.Holds(name) }

// reload has the ladders read again, if others may have taken some since.
func (k *Keeper) reload(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Leases != nil && (now || time.Since(k.readAt) >= reloadEvery) {
		k.loaded, k.readAt = false, time.Now()
	}
}

// retaken reports whether another process has taken a ladder in place of one that has ended
// here, and has it read then.
func (k *Keeper) retaken(ctx context.Context, name ipns.Name) (bool, error) {
	if k.Leases == nil {
		return false, nil
	}
	s, err := k.read(ctx, name)
	if err != nil {
		return false, err
	}
	var held kept
	held.fill(s)
	if end := held.end(); end.IsZero() || k.now().Sub(end) > keepEnded {
		return false, nil
	}
	k.reload(true)
	return true, nil
}

// orphanSince returns since when a step has had no ladder, as far as Load has seen.
func (k *Keeper) orphanSince(key string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if since, ok := k.orphans[key]; ok {
		return since
	}
	return time.Now()
}
