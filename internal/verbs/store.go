package verbs

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleStore(m *rpc.Mux) {
	rpc.Handle(m, api.StoreStatus, rpc.One(n.storeStatus))
}

// storeStatus implements the command.
func (n *verbs) storeStatus(ctx context.Context, _ api.StoreStatusRequest) (api.StoreState, error) {
	s := api.StoreState{Kind: "pebble", Place: records.Place(n.Settings.Ipns.Store)}
	if n.Records.Shared != nil {
		s.Kind, s.Left = "postgres", true
	}
	gen, err := n.Records.Generation(ctx)
	if err != nil {
		return s, fmt.Errorf("store of names: %w", err)
	}
	s.Generation = hex.EncodeToString(gen[:])
	for e, err := range n.Book.Scan(ctx, recordstore.Region{}) {
		switch {
		case err != nil:
			return s, err
		case e.Origin == recordstore.Own:
			s.Own++
		default:
			s.Hosted++
		}
	}
	return s, nil
}
