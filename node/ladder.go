package node

import (
	"context"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/delegation"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
)

// openLadders connects what was signed in advance with the Book and the networks.
func (n *Node) openLadders(life context.Context) {
	n.Desk = &ladder.Desk{Book: n.Book, Rows: n.Records.Rows()}
	n.Ladders = &ladder.Keeper{
		Book: n.Book, Rows: n.Records.Rows(), Clock: n.Publisher.CheckClock, Log: n.Log,
		Put: func(ctx context.Context, rec *ipns.Record) error {
			_, err := n.Publisher.Put(ctx, rec, publisher.PutRequest{Wait: publisher.WaitStored})
			return err
		},
		Ask: func(ctx context.Context, name ipns.Name) error {
			found, err := n.Resolver.Held(ctx, name)
			if err == nil {
				err = found.Err
			}
			return err
		},
	}
	n.Republisher.Outlook = func(e recordstore.Entry) republisher.Outlook {
		return republisher.Outlook{Signed: n.Ladders.Outlook(e).Ladder, Risk: n.Risk(life, e)}
	}
}

// Risk says why a name may be lost although its record is valid: its ladder ends, or a name
// to which it leads does; "": nothing is known.
func (n *Node) Risk(ctx context.Context, e recordstore.Entry) string {
	if why := n.ladderRisk(e); why != "" {
		return why
	}
	return delegation.Risk(ctx, n.Book, e, time.Now(), n.ladderRisk)
}

// ladderRisk is why the ladder of a name puts it at risk. That it ends does not, if the key
// is here to renew it.
func (n *Node) ladderRisk(e recordstore.Entry) string {
	l := n.Ladders.Outlook(e)
	if l.Ends && !n.Identity.Locked() {
		if _, err := n.Keys.Of(e.Name); err == nil {
			return ""
		}
	}
	return l.Risk
}
