package watch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// shareEvery is how soon a process notices webhooks that another has added or removed, and
// what another has left for a receiver here.
const shareEvery = 2 * time.Second

// Leases say which keys of the key space a process looks after, of several that share the
// store. A *cluster.Member is one.
type Leases interface {
	HoldsKey([32]byte) bool
	// Changed returns a channel that receives a value after that has changed.
	Changed() <-chan struct{}
}

// home returns the key of the sector whose holder serves a webhook: that of its name, or, if
// it is told of several, one that follows from its ID. A webhook has one position among the
// changes, so all that it is told comes from one process.
func (w Webhook) home() [32]byte {
	if names, err := w.names(); err == nil && len(names) == 1 {
		return names[0].Kad()
	}
	return sha256.Sum256([]byte(w.ID))
}

// serves reports whether this process serves a webhook.
func (w *Webhooks) serves(hook Webhook) bool {
	return w.Leases == nil || w.Leases.HoldsKey(hook.home())
}

// share starts and stops serving webhooks as sectors are gained and lost, and as other
// processes add and remove webhooks, until ctx ends.
func (w *Webhooks) share(ctx context.Context) {
	if w.Leases == nil {
		return
	}
	changed := w.Leases.Changed()
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
		if err := w.shareOnce(ctx); err != nil && ctx.Err() == nil {
			w.log().Warn("looking for webhooks", "err", err)
		}
	}
}

func (w *Webhooks) shareOnce(ctx context.Context) error {
	list, err := w.list(ctx)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	var over []*receiver
	w.mu.Lock()
	for _, hook := range list {
		known[hook.ID] = true
		if r := w.receiver[hook.ID]; r == nil && w.serves(hook) {
			w.start(hook)
		}
	}
	for id, r := range w.receiver {
		if !known[id] || !w.serves(r.hook) {
			delete(w.receiver, id)
			r.cancel()
			over = append(over, r)
		}
	}
	w.mu.Unlock()
	for _, r := range over {
		<-r.over
		if known[r.hook.ID] {
			continue
		}
		if _, err := w.get(ctx, r.hook.ID); err == nil {
			continue // it was added after the list was read, and is served again soon
		} else if !errors.Is(err, ErrNoWebhook) {
			return err
		}
		// What was written after another process has removed it.
		if err := w.clear(ctx, r.hook.ID); err != nil {
			return err
		}
	}
	return nil
}

// mayWrite returns recordstore.ErrLease if another process may serve the webhook by now.
func (r *receiver) mayWrite() error {
	if !r.all.serves(r.hook) {
		return recordstore.ErrLease
	}
	return nil
}

// adopt takes over what other processes have left for the receiver since it was loaded, and
// forgets what they have sent.
func (r *receiver) adopt(ctx context.Context) error {
	stored := make(map[string]bool, len(r.waiting))
	for row, err := range r.all.Rows.Range(ctx, waitingTable, r.hook.ID+"/", r.hook.ID+"0") {
		if err != nil {
			return err
		}
		_, name := splitKey(row.Key)
		stored[name] = true
		if old, waits := r.waiting[name]; waits && old.version == row.Version {
			continue
		}
		var l letter
		if err := json.Unmarshal(row.Value, &l); err != nil {
			return err
		}
		l.version = row.Version
		r.waiting[name] = l
	}
	maps.DeleteFunc(r.waiting, func(name string, _ letter) bool { return !stored[name] })
	return nil
}
