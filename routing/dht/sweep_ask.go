package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

var _ routing.Asker = (*Router)(nil)

// Ask queries for the names with one visit to each server that should hold a record of
// any of them, just as Sweep puts. A name's Finding is complete when four fifths of its
// servers have answered. Ask puts nothing. If there are only a few names and the region
// is unexplored, it searches for them one by one.
func (r *Router) Ask(ctx context.Context, region keyspace.Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[routing.Finding, error] {
	if closest <= 0 || closest > replicas {
		closest = replicas
	}
	return func(yield func(routing.Finding, error) bool) {
		next, stop := iter.Pull(names)
		defer stop()
		for {
			batch := take(next, sweepBatch)
			if len(batch) == 0 {
				return
			}
			err := error(nil)
			if len(batch) <= r.fewRecords(region) && !r.explored(region) {
				err = passFindings(routing.FindEach(ctx, r, slices.Values(batch)), yield)
			} else {
				err = r.askBatch(ctx, region, batch, closest, yield)
			}
			if err != nil {
				if !errors.Is(err, errStopped) {
					yield(routing.Finding{}, fmt.Errorf("asking for names of region %v: %w", region, err))
				}
				return
			}
		}
	}
}

func passFindings(findings iter.Seq2[routing.Finding, error], yield func(routing.Finding, error) bool) error {
	for f, err := range findings {
		if err != nil {
			return err
		}
		if !yield(f, nil) {
			return errStopped
		}
	}
	return nil
}

// askBatch queries for the names of one batch.
func (r *Router) askBatch(ctx context.Context, region keyspace.Region, batch []ipns.Name, closest int, yield func(routing.Finding, error) bool) error {
	if err := r.exploreOnce(ctx, region); err != nil {
		return err
	}
	items := make([]item, len(batch))
	for i, name := range batch {
		frame, err := encodeFrame(pb.NewMessage(pb.Message_GET_VALUE, name.RoutingKey(), 0))
		if err != nil {
			return err
		}
		items[i] = item{name: name, frame: frame}
	}
	s := r.newSweep(ctx, items, closest)
	if err := s.run(func(routing.Ack, error) bool { return true }); err != nil {
		return err
	}
	for i := range s.items {
		if !yield(s.found(&s.items[i]), nil) {
			return errStopped
		}
	}
	return nil
}

// found returns the finding for a name.
func (s *sweep) found(it *item) routing.Finding {
	f := routing.Finding{Name: it.name, Record: it.best, Answers: it.took}
	if s.r.standing() == spare {
		if it.took == 0 {
			f.Err = routing.ErrNoTargets
		}
		return f
	}
	if 5*it.took < 4*s.of || it.took == 0 {
		f.Err = &routing.IncompleteError{Asked: max(s.of, 1), Answered: it.took}
	}
	return f
}
