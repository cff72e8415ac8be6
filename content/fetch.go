package content

import (
	"context"
	"fmt"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
)

// Fetch fetches what is missing of a tree, and pins nothing: unlike [Store.Pin] it does not keep collections of garbage
// away, so that a tree nobody has keeps none away either. [Track] tells how far it is.
func (s *Store) Fetch(ctx context.Context, c cid.Cid) error {
	if err := merkledag.FetchGraph(ctx, c, s.dag, merkledag.Concurrency(fetchConcurrency)); err != nil {
		return fmt.Errorf("fetch %s: %w", c, err)
	}
	return nil
}
