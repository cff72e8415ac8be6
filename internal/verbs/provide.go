package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p-kad-dht/provider/stats"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleProvide(m *rpc.Mux) {
	rpc.Handle(m, api.RoutingProvide, n.routingProvide)
	rpc.Handle(m, api.RoutingReprovide, rpc.One(n.reprovide))
	rpc.Handle(m, api.ProvideOnce, n.provideOnce)
	rpc.Handle(m, api.ProvideClear, n.provideClear)
	rpc.Handle(m, api.ProvideStat, rpc.One(n.provideStat))
}

// Texts of Kubo's.
var (
	errProvideOff     = errors.New("invalid configuration: Provide.Enabled is set to 'false'")
	errProvideOnceOff = errors.New("cannot provide: Provide.Enabled is false")
	errNoPeers        = errors.New("cannot provide, no connected peers")
	errOnceNoPeers    = errors.New("cannot provide: no connected peers")
	errNotAgain       = errors.New("invalid configuration: Provide.DHT.Interval is set to '0'")
	errLan            = errors.New("LAN stats only available for Sweep provider with Dual DHT")
)

// canProvide returns off if the config says that nothing is announced, and alone if nobody
// is there to be told.
func (n *verbs) canProvide(off, alone error) error {
	switch {
	case n.Host == nil:
		return api.ErrNotOnline
	case !repo.On(n.Settings.Provide.Enabled):
		return off
	case len(n.Host.Network().Conns()) == 0 && n.Settings.Routing.Type != "custom":
		return alone
	}
	return nil
}

// here parses CIDs whose blocks are here.
func (n *verbs) here(ctx context.Context, text string) (cid.Cid, error) {
	c, err := parseCID(text)
	if err != nil {
		return cid.Undef, err
	}
	has, err := n.Content.Has(ctx, c)
	if err == nil && !has {
		err = fmt.Errorf("block %s not found locally, cannot provide", c)
	}
	return c, err
}

// routingProvide implements the command.
func (n *verbs) routingProvide(ctx context.Context, req api.ProvideRequest) iter.Seq2[api.QueryEvent, error] {
	return func(yield func(api.QueryEvent, error) bool) {
		err := n.canProvide(errProvideOff, errNoPeers)
		var cids []cid.Cid
		for _, text := range req.CIDs {
			if err != nil {
				break
			}
			var c cid.Cid
			if c, err = n.here(ctx, text); err == nil {
				cids = append(cids, c)
			}
		}
		if err != nil {
			yield(api.QueryEvent{}, err)
			return
		}
		events(ctx, func(ctx context.Context) error { return n.provideAll(ctx, cids, req.Recursive) })(yield)
	}
}

// provideAll announces CIDs, and waits for it; with recursive, what is below them is
// queued.
func (n *verbs) provideAll(ctx context.Context, cids []cid.Cid, recursive bool) error {
	seen, err := content.NewSeen()
	if err != nil {
		return err
	}
	for _, c := range cids {
		if recursive {
			err = n.Content.QueueTree(ctx, c, seen, func(c cid.Cid) error { return n.Provider.StartProviding(true, c.Hash()) })
			if err != nil {
				return err
			}
		}
		if err := n.Content.Provide(ctx, c); err != nil {
			return fmt.Errorf("error providing cid: %w", err)
		}
	}
	return nil
}

// reprovide implements the command.
func (n *verbs) reprovide(ctx context.Context, _ api.ReprovideRequest) (rpc.Nothing, error) {
	switch {
	case n.Host == nil:
		return rpc.Nothing{}, api.ErrNotOnline
	case !repo.On(n.Settings.Provide.Enabled):
		return rpc.Nothing{}, errProvideOff
	case n.Provider.Interval() == 0:
		return rpc.Nothing{}, errNotAgain
	}
	return rpc.Nothing{}, n.Provider.Reprovide(ctx)
}

// provideOnce implements the command.
func (n *verbs) provideOnce(ctx context.Context, req api.ProvideOnceRequest) iter.Seq2[api.Queued, error] {
	return func(yield func(api.Queued, error) bool) {
		seen, err := content.NewSeen()
		if err == nil {
			err = n.canProvide(errProvideOnceOff, errOnceNoPeers)
		}
		if err != nil {
			yield(api.Queued{}, err)
			return
		}
		gone := errors.New("the client has left")
		queue := func(c cid.Cid) error {
			if err := n.Provider.ProvideOnce(c.Hash()); err != nil {
				return err
			}
			if !yield(api.Queued{Queued: c.String()}, nil) {
				return gone
			}
			return nil
		}
		for _, text := range req.CIDs {
			c, err := n.here(ctx, text)
			switch {
			case err != nil:
			case req.Recursive:
				err = n.Content.QueueTree(ctx, c, seen, queue)
			case seen.Visit(c):
				err = queue(c)
			}
			if errors.Is(err, gone) {
				return
			}
			if err != nil {
				yield(api.Queued{}, err)
				return
			}
		}
	}
}

// provideClear implements the command. With quiet it says nothing.
func (n *verbs) provideClear(_ context.Context, req api.ProvideClearRequest) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if cleared := n.Provider.Clear(); !req.Quiet {
			yield(cleared, nil)
		}
	}
}

// provideStat implements the command.
func (n *verbs) provideStat(ctx context.Context, req api.ProvideStatRequest) (api.ProvideStats, error) {
	if n.Host == nil {
		return api.ProvideStats{}, api.ErrNotOnline
	}
	sweep, legacy, err := n.Provider.Stats(ctx, req.Lan)
	switch {
	case err != nil:
		return api.ProvideStats{}, err
	case sweep != nil:
		return api.ProvideStats{Sweep: sweepStats(sweep)}, nil
	case req.Lan:
		return api.ProvideStats{}, errLan
	case legacy == nil:
		return api.ProvideStats{}, errors.New("stats not available: nothing is announced with the current routing and Provide.Enabled")
	}
	return api.ProvideStats{Legacy: &api.LegacyStats{
		TotalReprovides: legacy.TotalReprovides, LastReprovideBatchSize: legacy.LastReprovideBatchSize,
		ReprovideInterval: legacy.ReprovideInterval, AvgReprovideDuration: legacy.AvgReprovideDuration,
		LastReprovideDuration: legacy.LastReprovideDuration, LastRun: legacy.LastRun,
	}}, nil
}

func sweepStats(s *stats.Stats) *api.SweepStats {
	return &api.SweepStats{
		Closed: s.Closed, Connectivity: api.SweepConnectivity(s.Connectivity), Queues: api.SweepQueues(s.Queues),
		Schedule: api.SweepSchedule{
			Keys: s.Schedule.Keys, Regions: s.Schedule.Regions, AvgPrefixLength: s.Schedule.AvgPrefixLength,
			NextReprovideAt: s.Schedule.NextReprovideAt, NextReprovidePrefix: string(s.Schedule.NextReprovidePrefix),
		},
		Workers: api.SweepWorkers(s.Workers), Timing: api.SweepTiming(s.Timing),
		Operations: api.SweepOperations{Ongoing: api.SweepOngoing(s.Operations.Ongoing), Past: api.SweepPast(s.Operations.Past)},
		Network:    api.SweepNetwork(s.Network),
	}
}
