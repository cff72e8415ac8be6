package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/routing/routingtest"
	"github.com/goipns/ipns/rpc"
)

var root = cid.MustParse("bafybeidcwunibt6rleupjym5eagpksewayvd2hjctrgfefrap3gu6bx3iy")

// fake is a node with the key blog, and what is outside of it. It writes down what is done
// with it.
type fake struct {
	t     *testing.T
	key   crypto.PrivKey
	name  ipns.Name
	done  []string
	fail  map[string]error  // what a step comes to
	after func(step string) // is called with each step; nil: nothing
	pins  []string
	acks  int
	last  *api.ResolvedHop // what is known of the name before; nil: nothing
	put   *ipns.Record     // what came by name/put
	seen  *ipns.Record     // what others have in the end

	remote bool          // the service has the content
	hidden bool          // the node does not have the key
	slow   time.Duration // it takes to resolve a name
	lost   bool          // what put answers, which has stored the record, is not waited for
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, key: routingtest.NewKey(t), fail: map[string]error{}, acks: 20}
	rec := routingtest.Sign(t, f.key, ipns.Fields{Value: "/ipfs/" + root.String(), Sequence: 7})
	f.name, f.seen = rec.Name(), rec
	return f
}

func (f *fake) did(step string) error {
	f.done = append(f.done, step)
	if f.after != nil {
		f.after(step)
	}
	return f.fail[step]
}

func (f *fake) published(value string, sequence uint64) api.Published {
	p := api.Published{Name: f.name.String(), Value: value}
	p.Stored, p.Sequence, p.Announced, p.Of = true, sequence, f.acks, 20
	return p
}

func (f *fake) node() rpc.Caller {
	m := new(rpc.Mux)
	rpc.Handle(m, api.KeyLs, rpc.One(func(context.Context, api.KeyListRequest) (api.Keys, error) {
		keys := []api.Key{{Name: "damaged"}, {Name: "blog", Id: f.name.String()}}
		if f.hidden {
			keys = keys[:1]
		}
		return api.Keys{Keys: keys}, f.fail["keys"]
	}))
	rpc.Handle(m, api.PinLs, func(context.Context, api.PinListRequest) iter.Seq2[api.PinListing, error] {
		return func(yield func(api.PinListing, error) bool) {
			for _, p := range f.pins {
				yield(api.PinListing{Cid: p, Type: "recursive"}, nil)
			}
		}
	})
	rpc.Handle(m, api.PinRm, rpc.One(func(_ context.Context, req api.PinRemoveRequest) (api.Pins, error) {
		return api.Pins{Pins: req.Paths}, f.did("unpin")
	}))
	rpc.Handle(m, api.RoutingProvide, rpc.One(func(context.Context, api.ProvideRequest) (api.QueryEvent, error) {
		return api.QueryEvent{}, f.did("provide")
	}))
	rpc.Handle(m, api.PinRemoteAdd, rpc.One(func(_ context.Context, req api.PinRemoteAddRequest) (api.RemotePin, error) {
		return api.RemotePin{}, f.did("hand on to " + req.Service)
	}))
	rpc.Handle(m, api.PinRemoteLs, func(context.Context, api.PinRemoteListRequest) iter.Seq2[api.RemotePin, error] {
		return func(yield func(api.RemotePin, error) bool) {
			if err := f.fail["list"]; f.remote || err != nil {
				yield(api.RemotePin{Cid: root.String()}, err)
			}
		}
	})
	rpc.Handle(m, api.PinRemoteRm, rpc.One(func(_ context.Context, req api.PinRemoteRemoveRequest) (rpc.Nothing, error) {
		return rpc.Nothing{}, f.did("take back " + req.CIDs[0][:5] + " from " + req.Service)
	}))
	rpc.Handle(m, api.NamePublish, rpc.One(func(_ context.Context, req api.PublishRequest) (api.Published, error) {
		return f.published(req.Path, 7), f.did("publish " + req.Wait)
	}))
	rpc.Handle(m, api.NameResolve, rpc.One(func(context.Context, api.ResolveRequest) (api.Resolved, error) {
		time.Sleep(f.slow)
		if f.last == nil {
			return api.Resolved{}, cmp.Or(f.fail["resolve"], rpc.Because(api.ReasonNotFound, errors.New("none")))
		}
		return api.Resolved{Hops: []api.ResolvedHop{*f.last}}, f.fail["resolve"]
	}))
	rpc.Handle(m, api.NameStatus, rpc.One(func(context.Context, api.StatusRequest) (api.Statuses, error) {
		if f.put != nil {
			return api.Statuses{One: &api.Status{Sequence: f.put.Sequence(), Value: f.put.Value()}}, nil
		}
		return api.Statuses{One: &api.Status{Sequence: 41, Value: "/ipfs/bafkqaaa"}}, nil
	}))
	rpc.Handle(m, api.NamePut, rpc.One(func(ctx context.Context, req api.NamePutRequest) (api.Published, error) {
		raw, err := io.ReadAll(req.Record)
		if err == nil {
			f.put, err = ipns.Open(f.name, raw, time.Now())
		}
		if err != nil {
			return api.Published{}, err
		}
		f.seen = f.put
		if err = f.did("put " + req.Wait); f.lost { // as over HTTP, where the caller went away
			<-ctx.Done()
			err = ctx.Err()
		}
		if err != nil {
			return api.Published{}, err
		}
		return f.published(f.put.Value(), f.put.Sequence()), nil
	}))
	return m
}

// plan publishes root under blog.
func (f *fake) plan() Plan {
	return Plan{
		Node: f.node(), Key: "blog", Peers: make([]peer.AddrInfo, 1), Step: time.Minute,
		Add: func(_ context.Context, _ string, onlyHash bool) (cid.Cid, error) {
			if onlyHash {
				return root, f.did("hash")
			}
			return root, f.did("add")
		},
		content: func(context.Context, check.ContentRequest) (check.ContentReport, error) {
			err := f.did("reach")
			return check.ContentReport{OK: err == nil, Verdict: fmt.Sprint(err), Providers: make([]check.Provider, 1)}, nil
		},
		records: func(context.Context, check.Request) ([]check.Source, error) {
			s := check.Source{Network: check.LAN, Found: f.seen}
			s.Record = &check.Record{Sequence: f.seen.Sequence(), Value: f.seen.Value()}
			return []check.Source{s}, f.did("look")
		},
	}
}
