package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

// maxListed bounds how many past values a refused rollback lists.
const maxListed = 10

// nameRollback implements the command: it publishes an old value under a new
// sequence.
func (n *verbs) nameRollback(ctx context.Context, req api.RollbackRequest) iter.Seq2[api.Published, error] {
	return func(yield func(api.Published, error) bool) {
		// What is found here must still be here when it is published.
		ctx, release, err := n.Content.Hold(ctx)
		if err != nil {
			yield(api.Published{}, err)
			return
		}
		defer release()
		again, err := n.rollback(ctx, req)
		if err != nil {
			yield(api.Published{}, err)
			return
		}
		again.Progress = true
		var last api.Published
		for p, err := range n.namePublish(ctx, again) {
			release() // it is stored
			if last = p; err != nil {
				yield(p, err)
				return
			}
			if req.Progress && !yield(p, nil) {
				return
			}
		}
		if !req.Progress {
			yield(last, nil)
		}
	}
}

// rollback returns the publish that goes back.
func (n *verbs) rollback(ctx context.Context, req api.RollbackRequest) (api.PublishRequest, error) {
	e, err := n.entry(ctx, req.Name)
	if err != nil {
		return api.PublishRequest{}, err
	}
	if req.To == "" {
		list, err := n.pastValues(ctx, e)
		if err == nil {
			err = rpc.Refuse(fmt.Errorf("say which value to go back to, by its sequence or its CID: %s", list))
		}
		return api.PublishRequest{}, err
	}
	value, err := n.pastValue(ctx, e, req.To)
	if err != nil {
		return api.PublishRequest{}, err
	}
	if err := checkAnchor(e, value); err != nil && !req.Force {
		return api.PublishRequest{}, err
	}
	last := e.Record.Sequence() // a record published meanwhile is not replaced
	if req.IfSequence != nil {
		last = *req.IfSequence
	}
	again := api.PublishRequest{
		Path: value, Key: req.Name, IfSequence: &last,
		AllowOffline: req.AllowOffline, Wait: req.Wait, Progress: req.Progress,
	}
	here, err := n.served(ctx, value)
	if err != nil {
		return again, err
	}
	if !here && !req.Force {
		list, err := n.pastValues(ctx, e)
		if err == nil {
			err = fmt.Errorf("%s cannot be served from here: not all of it is stored any more; --force publishes it all the same. %s", value, list)
		}
		return again, err
	}
	if here && contentRoot(value).Defined() && n.keeps(ctx, e) {
		again.Keep = new(int)
	}
	return again, nil
}

// keeps reports whether values of a name are kept by pins: it was said how many, or the value of today is.
func (n *verbs) keeps(ctx context.Context, e recordstore.Entry) bool {
	name := e.Name.String()
	if _, said, err := n.Content.Keep(ctx, name); err != nil || said {
		return err == nil
	}
	root := contentRoot(e.Record.Value())
	if !root.Defined() {
		return false
	}
	p, err := n.Content.PinOf(ctx, root, content.Recursive)
	by, ok := p.KeptBy()
	return err == nil && ok && by == name
}

// contentRoot is the block at which a value begins that is content; undefined: it is none.
func contentRoot(value string) cid.Cid {
	rest, ok := strings.CutPrefix(value, "/ipfs/")
	if !ok {
		return cid.Undef
	}
	root, _, _ := strings.Cut(rest, "/")
	c, err := cid.Decode(root)
	if err != nil {
		return cid.Undef
	}
	return c
}

// pastValue returns a value that a name had.
func (n *verbs) pastValue(ctx context.Context, e recordstore.Entry, to string) (string, error) {
	wantSeq, seqErr := strconv.ParseUint(to, 10, 64)
	wantPath, pathErr := parseContentPath(to)
	if seqErr != nil && pathErr != nil {
		return "", rpc.Because(api.ReasonNeverHad, fmt.Errorf("%q is neither a sequence nor a CID", to))
	}
	now := false
	for past, err := range n.Book.History(ctx, e.Name) {
		if err != nil {
			return "", err
		}
		if seqErr == nil && past.Record.Sequence() == wantSeq || seqErr != nil && past.Record.Value() == wantPath {
			if past.Record.Value() != e.Record.Value() {
				return past.Record.Value(), nil
			}
			now = true // a rival of it may have had the same sequence
		}
	}
	if now {
		return "", fmt.Errorf("%s already has that value", e.Name)
	}
	return "", rpc.Because(api.ReasonNeverHad, fmt.Errorf("%s never had %s here", e.Name, to))
}

// pastValues says which past values of a name can still be served, the newest first.
func (n *verbs) pastValues(ctx context.Context, e recordstore.Entry) (string, error) {
	var can, cannot []string
	seen := map[string]bool{e.Record.Value(): true}
	for past, err := range n.Book.History(ctx, e.Name) {
		if err != nil {
			return "", err
		}
		value := past.Record.Value()
		if seen[value] || len(can)+len(cannot) == maxListed {
			continue
		}
		seen[value] = true
		here, err := n.served(ctx, value)
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("%d (%s)", past.Record.Sequence(), value)
		if here {
			can = append(can, text)
		} else {
			cannot = append(cannot, strconv.FormatUint(past.Record.Sequence(), 10))
		}
	}
	text := "no past value can be served from here"
	if len(can) > 0 {
		text = "these can be served from here: " + strings.Join(can, ", ")
	}
	if len(cannot) > 0 {
		text += "; these cannot: " + strings.Join(cannot, ", ")
	}
	return text, nil
}

// served reports whether all content of a value is here. A value that is another name is served by who has that.
func (n *verbs) served(ctx context.Context, value string) (bool, error) {
	rest, ok := strings.CutPrefix(value, "/ipfs/")
	if !ok {
		return true, nil
	}
	root, _, _ := strings.Cut(rest, "/")
	c, err := cid.Decode(root)
	if err != nil {
		return false, nil
	}
	if _, err := n.Content.PinOf(ctx, c, content.Recursive); !errors.Is(err, content.ErrNotPinned) {
		return err == nil, err
	}
	_, all, err := n.Content.Local(ctx, c)
	return all, err
}
