package daemon

import (
	"context"
	"iter"
	"time"

	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing/dht"
	"github.com/goipns/ipns/rpc"
)

// watchEvery is how often a status that is watched is told.
const watchEvery = time.Second

const (
	joinLook = 250 * time.Millisecond // how often it is looked whether a network is joined
	joinLost = 5 * time.Second        // for how long it was not, to be joined again
)

// tellJoined tells the republisher each time that a network was joined of which the
// node had nobody.
func (n *Node) tellJoined(ctx context.Context, joined chan<- struct{}) {
	look := time.NewTicker(joinLook)
	defer look.Stop()
	last := make([]time.Time, 2) // when each was seen to be joined
	for {
		now, news := time.Now(), false
		for i, r := range []*dht.Router{n.dht.LAN, n.dht.WAN} {
			if r.Joined() {
				news = news || now.Sub(last[i]) > joinLost
				last[i] = now
			}
		}
		if news {
			select {
			case joined <- struct{}{}:
			default: // it has not looked since it was told last
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// RepublishStatus implements [rpc.Names].
func (n *Node) RepublishStatus(ctx context.Context, req rpc.RepublishStatusRequest) iter.Seq2[rpc.Republishing, error] {
	return func(yield func(rpc.Republishing, error) bool) {
		for {
			s, err := n.republisher.Look(ctx)
			if err != nil {
				yield(rpc.Republishing{}, err)
				return
			}
			if !yield(republishing(s), nil) || !req.Watch || s.Due == 0 {
				return
			}
			select {
			case <-ctx.Done():
				yield(rpc.Republishing{}, ctx.Err())
				return
			case <-time.After(watchEvery):
			}
		}
	}
}

func republishing(s republisher.Status) rpc.Republishing {
	out := rpc.Republishing{
		ScannedAt: s.ScannedAt, Own: s.Own, Hosted: s.Hosted, Expired: s.Expired, Holders: s.Holders,
		Regions: s.Regions, RegionsDone: s.RegionsDone, Due: s.Due, Late: s.Late,
		NamesPerSecond: s.PerSecond, ETA: s.ETA, Survival: s.Survival,
		AtRisk: []rpc.AtRisk{}, AtRiskCount: s.AtRiskCount, OtherWriters: s.OtherWriters,
		Puts: s.Puts, Acks: s.Acks, FailedAcks: s.FailedAcks, Bytes: s.Bytes,
		Renewed: s.Renewed, RenewalsFailed: s.RenewalsFailed,
		RPCsPerNameDay: s.RPCsPerNameDay, BytesPerNameDay: s.BytesPerNameDay, Failures: s.Failures,
	}
	if !s.PausedUntil.IsZero() {
		out.PausedUntil = &s.PausedUntil
	}
	for _, a := range s.AtRisk {
		out.AtRisk = append(out.AtRisk, rpc.AtRisk{Name: a.Name.String(), EOL: a.EOL, Holders: a.Holders, Reason: a.Reason})
	}
	return out
}
