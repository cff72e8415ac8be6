package verbs

import (
	"context"
	"time"

	"github.com/goipns/ipns"
)

// rivalDepth is how far back in the history of a name the last rival is looked for.
const rivalDepth = 1000

// cameIn returns when a record entered the Book, as the history of its name has it. Zero:
// not known.
func (n *verbs) cameIn(ctx context.Context, rec *ipns.Record) time.Time {
	looked := 0
	for p, err := range n.Book.History(ctx, rec.Name()) {
		if looked++; err != nil || looked > rivalDepth {
			break
		}
		if p.Record.DataHash() == rec.DataHash() {
			return p.At
		}
	}
	return time.Time{}
}
