package verbs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/backup"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repair"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// repoDump implements the command.
func (n *verbs) repoDump(ctx context.Context, _ api.RepoDumpRequest) (rpc.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffered := bufio.NewWriterSize(w, 64<<10)
		err := backup.Dump(ctx, buffered, backup.Store{Book: n.Book, Rows: n.Records.Rows(), Pins: n.pinsToDump(ctx), Damage: n.damageToDump(ctx)})
		w.CloseWithError(errors.Join(err, buffered.Flush()))
	}()
	return rpc.Stream{ReadCloser: &ending{r, cancel, done}, Type: "application/x-ndjson", Size: -1}, nil
}

// damageToDump yields what of the store of names cannot be read.
func (n *verbs) damageToDump(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		more := true
		_, err := n.Repair.Verify(ctx, false, func(f repair.Finding) bool {
			more = yield(f.Msg, nil)
			return more
		})
		if more && err != nil {
			yield("", err)
		}
	}
}

// pinsToDump yields the pins that someone has made.
func (n *verbs) pinsToDump(ctx context.Context) iter.Seq2[backup.Pin, error] {
	return func(yield func(backup.Pin, error) bool) {
		for _, t := range []content.PinType{content.Recursive, content.Direct} {
			for p, err := range n.Content.Pins(ctx, t) {
				if !yield(backup.Pin{CID: p.CID.String(), Recursive: t == content.Recursive, Name: p.Name}, err) || err != nil {
					return
				}
			}
		}
	}
}

// OpenNames opens the store of names in the database of a repo whose lock the caller holds,
// for a restore.
func OpenNames(ctx context.Context, r repo.Repo, f func(backup.Names) error) error {
	return records.With(ctx, r, records.Options{}, func(s *records.Store) error {
		return f(backup.Names{Store: s, Notes: s, Marks: s, Rows: s.Rows()})
	})
}
