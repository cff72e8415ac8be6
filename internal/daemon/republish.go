package daemon

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/rpc"
)

// watchEvery is how often a status that is watched is told.
const watchEvery = time.Second

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

// indexAge is how old a keyIndex may be before it is read again for a name that is
// not in it.
const indexAge = time.Minute

// keyIndex knows which key a name has: to look into every key for each name that
// is to be signed would take longer than to sign it.
type keyIndex struct {
	mu     sync.Mutex // guards all below
	byName map[ipns.Name]string
	read   time.Time
}

// signer returns the signer of a name whose key is here.
func (n *Node) signer(_ context.Context, name ipns.Name) (ipns.Signer, error) {
	if name == n.name {
		return ipns.NewSigner(n.priv), nil
	}
	keyName, err := n.keyName(name)
	if err != nil {
		return nil, err
	}
	key, err := n.keys.Get(keyName)
	if err != nil {
		return nil, err
	}
	if of, err := ipns.NameOf(key.GetPublic()); err != nil || of != name {
		return nil, fmt.Errorf("key %s is no more that of %s", keyName, name)
	}
	return ipns.NewSigner(key), nil
}

func (n *Node) keyName(name ipns.Name) (string, error) {
	x := &n.signers
	x.mu.Lock()
	defer x.mu.Unlock()
	if keyName, ok := x.byName[name]; ok && n.keys.Has(keyName) {
		return keyName, nil
	}
	if time.Since(x.read) >= indexAge {
		list, err := n.keys.List()
		if err != nil {
			return "", err
		}
		x.read, x.byName = time.Now(), make(map[ipns.Name]string, len(list))
		for _, keyName := range list {
			// One bad file must not hide the other keys.
			if of, err := n.nameOfKey(keyName); err == nil {
				x.byName[of] = keyName
			}
		}
	}
	keyName, ok := x.byName[name]
	if !ok {
		return "", fmt.Errorf("there is no key of %s", name)
	}
	return keyName, nil
}
