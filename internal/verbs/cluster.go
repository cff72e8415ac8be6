package verbs

import (
	"context"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleCluster(m *rpc.Mux) {
	rpc.Handle(m, api.ClusterStatus, rpc.One(n.clusterStatus))
}

// clusterStatus implements the command.
func (n *verbs) clusterStatus(ctx context.Context, _ api.ClusterStatusRequest) (api.Cluster, error) {
	if n.Cluster == nil {
		return api.Cluster{Alone: true}, nil
	}
	s, err := n.Cluster.Status(ctx)
	if err != nil {
		return api.Cluster{}, err
	}
	out := api.Cluster{Error: s.Error, LeaseTTL: s.TTL, Unheld: cluster.Sectors}
	for _, d := range s.Daemons {
		if d.ID == s.Self {
			out.Self = d.ID
		}
		f := d.Figures
		out.Daemons = append(out.Daemons, api.ClusterDaemon{
			ID: d.ID, Peer: d.Peer, Version: d.Version, Started: d.Started, Silent: d.Silent, Ready: f.Ready, Why: f.Why,
			Sectors: notNil(d.Sectors), Sweeping: notNil(f.Sweeping), Names: f.Names, Due: f.Due, Late: f.Late,
			AtRisk: f.AtRisk, Unready: f.Unready, Elsewhere: f.Elsewhere, Lag: f.Lag,
		})
	}
	for _, l := range s.Sectors {
		if l.Left > 0 {
			out.Unheld--
		}
		out.Sectors = append(out.Sectors, api.ClusterSector{Sector: l.Number, Holder: l.Holder, Epoch: l.Epoch, Left: l.Left})
	}
	return out, nil
}

// notNil returns a list that is [] in JSON if it is empty.
func notNil(list []int) []int { return append([]int{}, list...) }
