package verbs

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleFollows(m *rpc.Mux) {
	rpc.Handle(m, api.FollowName, rpc.One(n.followName))
	rpc.Handle(m, api.FollowList, rpc.One(n.followList))
	rpc.Handle(m, api.FollowRm, rpc.One(n.followRm))
}

// followName implements the command.
func (n *verbs) followName(ctx context.Context, req api.FollowRequest) (api.Followed, error) {
	name, err := parseName(req.Name)
	if err != nil {
		return api.Followed{}, err
	}
	if req.Keep < 1 {
		return api.Followed{}, fmt.Errorf("--keep=%d: at least one value is kept", req.Keep)
	}
	size := uint64(0)
	if req.MaxSize != "" {
		if size, err = humanize.ParseBytes(req.MaxSize); err != nil || size == 0 {
			return api.Followed{}, fmt.Errorf("--max-size=%q is no size such as 2GB", req.MaxSize)
		}
	}
	f, err := n.Follows.Add(ctx, name, req.Pin, req.Keep, size)
	return api.Followed{Name: f.Name}, err
}

// followList implements the command.
func (n *verbs) followList(ctx context.Context, _ api.FollowListRequest) (api.Follows, error) {
	list, err := n.Follows.List(ctx)
	if err != nil {
		return api.Follows{}, err
	}
	all := api.Follows{Follows: make([]api.Follow, 0, len(list))}
	for _, s := range list {
		f := api.Follow{
			Name: s.Name, Pin: s.Pin, Keep: s.Keep, MaxSize: s.MaxSize, Since: s.Since,
			Expired: s.Expired, Fetching: s.Fetching, Error: s.Error,
		}
		if s.Record != nil {
			sequence, eol := s.Record.Sequence(), s.Record.EOL()
			f.Sequence, f.Value, f.EOL = &sequence, s.Record.Value(), &eol
		}
		for _, v := range s.Values {
			f.Values = append(f.Values, api.Kept(v))
		}
		all.Follows = append(all.Follows, f)
	}
	return all, nil
}

// followRm implements the command.
func (n *verbs) followRm(ctx context.Context, req api.FollowRmRequest) (api.Followed, error) {
	name, err := parseName(req.Name)
	if err != nil {
		return api.Followed{}, err
	}
	f, err := n.Follows.Remove(ctx, name)
	return api.Followed{Name: f.Name}, err
}
