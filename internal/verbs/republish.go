package verbs

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRepublish(m *rpc.Mux) {
	rpc.Handle(m, api.RepublishStatus, n.republishStatus)
}

// watchEvery is how often the status is sent with --watch.
const watchEvery = time.Second

// republishStatus implements the command.
func (n *verbs) republishStatus(ctx context.Context, req api.RepublishStatusRequest) iter.Seq2[api.Republishing, error] {
	return func(yield func(api.Republishing, error) bool) {
		for {
			var err error
			if n.Router == nil { // and nothing runs that would ask for signers
				err = n.Republisher.Probe(ctx)
			}
			var s republisher.Status
			if err == nil {
				s, err = n.Republisher.Look(ctx)
			}
			if err != nil {
				yield(api.Republishing{}, err)
				return
			}
			out := republishing(s)
			out.KeysLocked = n.Identity.Locked()
			if !yield(out, nil) || !req.Watch || s.Due == 0 {
				return
			}
			select {
			case <-ctx.Done():
				yield(api.Republishing{}, ctx.Err())
				return
			case <-time.After(watchEvery):
			}
		}
	}
}

func republishing(s republisher.Status) api.Republishing {
	out := api.Republishing{
		ScannedAt: s.ScannedAt, Own: s.Own, Hosted: s.Hosted, Expired: s.Expired, Holders: s.Holders,
		Regions: s.Regions, RegionsDone: s.RegionsDone, Due: s.Due, Late: s.Late,
		NamesPerSecond: s.PerSecond, ETA: s.ETA, Survival: s.Survival,
		AtRisk: []api.AtRisk{}, AtRiskCount: s.AtRiskCount, Unready: s.Unready, OtherWriters: s.OtherWriters,
		Puts: s.Puts, Acks: s.Acks, FailedAcks: s.FailedAcks, Bytes: s.Bytes,
		Renewed: s.Renewed, RenewalsFailed: s.RenewalsFailed,
		RPCsPerNameDay: s.RPCsPerNameDay, BytesPerNameDay: s.BytesPerNameDay, Failures: s.Failures,
	}
	if !s.PausedUntil.IsZero() {
		out.PausedUntil = &s.PausedUntil
	}
	for _, a := range s.AtRisk {
		risk := api.AtRisk{Name: a.Name.String(), EOL: a.EOL, Holders: a.Holders, Reason: a.Reason}
		if a.Signer != nil {
			risk.Signer, risk.NoKey = a.Signer.Error(), errors.Is(a.Signer, keystore.ErrNotFound)
		}
		out.AtRisk = append(out.AtRisk, risk)
	}
	return out
}
