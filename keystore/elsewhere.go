package keystore

import (
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns"
)

// Elsewhere has keys that are not in this process, such as those of an ssh-agent. They are
// not in the Keyring's list, and nothing is known of them while it does not answer. It bounds
// the time of a call itself.
type Elsewhere interface {
	// Find returns the signer with a label, which has a prefix and a colon, or
	// [ErrNotFound].
	Find(ctx context.Context, label string) (ipns.Signer, error)
	// Of returns the signer of a name, or [ErrNotFound].
	Of(ctx context.Context, name ipns.Name) (ipns.Signer, error)
}

// findElsewhere returns the signer with a label; [ErrNotFound] may say more, if the label is
// one of a place that has no such key.
func (k *Keyring) findElsewhere(ctx context.Context, label string) (ipns.Signer, error) {
	for _, place := range k.Elsewhere {
		if s, err := place.Find(ctx, label); err != ErrNotFound { // itself: the label is not one of that place
			return s, err
		}
	}
	return nil, ErrNotFound
}

// ofElsewhere asks all places at once for the signer of a name, so that one that hangs delays
// no other. If none has it, and some did not answer, the error is theirs.
func (k *Keyring) ofElsewhere(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	if len(k.Elsewhere) == 0 {
		return nil, ErrNotFound
	}
	type answer struct {
		signer ipns.Signer
		err    error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer)
	for _, place := range k.Elsewhere {
		go func() {
			s, err := place.Of(ctx, name)
			answers <- answer{s, err}
		}()
	}
	var found ipns.Signer
	var failed error
	for range k.Elsewhere { // canceled calls end soon, so all are waited for
		a := <-answers
		switch {
		case a.err == nil && found == nil:
			found = a.signer
			cancel()
		case a.err != nil && !errors.Is(a.err, ErrNotFound):
			failed = errors.Join(failed, a.err)
		}
	}
	cancel()
	switch {
	case found != nil:
		return found, nil
	case failed != nil:
		return nil, fmt.Errorf("keys elsewhere are not known: %w", failed)
	}
	return nil, ErrNotFound
}
