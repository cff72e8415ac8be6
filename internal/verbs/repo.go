package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repair"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRepo(m *rpc.Mux) {
	rpc.Handle(m, api.RepoVerify, n.repoVerify)
	rpc.Handle(m, api.RepoGC, n.repoGC)
	rpc.Handle(m, api.RepoDump, rpc.One(n.repoDump))
	rpc.Handle(m, api.RepoStat, rpc.One(n.repoStat))
	rpc.Handle(m, api.StatsRepo, rpc.One(n.repoStat))
	rpc.Handle(m, api.RepoVersion, rpc.One(n.repoVersion))
	rpc.Handle(m, api.RepoLs, func(ctx context.Context, req api.RefsLocalRequest) iter.Seq2[api.Ref, error] {
		return n.blocksHere(ctx, req.CIDBase)
	})
}

// repoVerify implements the command. It ends with an error if damage remains.
func (n *verbs) repoVerify(ctx context.Context, req api.RepoVerifyRequest) iter.Seq2[api.Finding, error] {
	return func(yield func(api.Finding, error) bool) {
		if err := n.checkVerify(req); err != nil {
			yield(api.Finding{}, err)
			return
		}
		more := true
		if s := n.Salvaged; s != nil {
			if more = yield(salvaged(s), nil); !more {
				return
			}
		}
		aside := 0
		if dir, ok := pebble.Aside(&pebble.Disk{Dir: n.Repo.Database()}); ok {
			aside = 1
			if more = yield(api.Finding{Msg: "damaged: the database had lost its list of files, and what it had is in " + dir + "; the repair without a daemon reads it"}, nil); !more {
				return
			}
		}
		left, err := n.Repair.Verify(ctx, req.Repair, func(f repair.Finding) bool {
			more = yield(api.Finding{Msg: f.Msg, Name: f.Name, Repaired: f.Repaired}, nil)
			return more
		})
		left += aside
		if !more {
			return
		}
		blocks := blockCheck{verbs: n, req: req}
		if err == nil {
			err = blocks.run(ctx, func(f api.Finding) bool {
				more = yield(f, nil)
				return more
			})
		}
		verdict, corrupt := blocks.verdict()
		switch {
		case !more:
		case err != nil:
			yield(api.Finding{}, err)
		case left > 0 && !req.Repair:
			yield(api.Finding{}, errors.Join(rpc.Because(api.ReasonDamaged, fmt.Errorf("%d damaged", left)), corrupt))
		case left > 0:
			yield(api.Finding{}, errors.Join(fmt.Errorf("%d damaged and not repaired: restore the repo from a backup", left), corrupt))
		case corrupt != nil:
			yield(api.Finding{}, corrupt)
		default:
			_ = yield(api.Finding{Msg: "verify complete, all names are whole."}, nil) && yield(api.Finding{Msg: verdict}, nil)
		}
	}
}

// salvaged tells that the database was replaced by what could be read of it.
func salvaged(s *pebble.Salvaged) api.Finding {
	msg := fmt.Sprintf("the database was damaged: a new one has the %d values that could be read, the old one is in %s; the network is asked for each name before it is published or announced again", s.Read, s.Old)
	if len(s.Lost) > 0 {
		msg += "; not read to their end: " + strings.Join(s.Lost, ", ")
	}
	return api.Finding{Msg: msg, Repaired: true}
}
