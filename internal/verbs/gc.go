package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
)

// repoGC implements the command.
func (n *verbs) repoGC(ctx context.Context, req api.RepoGCRequest) iter.Seq2[api.Removed, error] {
	return func(yield func(api.Removed, error) bool) {
		var failures []string
		for g := range n.Garbage.Collect(ctx) {
			removed := api.Removed{Key: g.CID}
			switch {
			case g.Err != nil:
				failures = append(failures, g.Err.Error())
				if !req.StreamErrors {
					continue
				}
				removed.Error = g.Err.Error()
			case req.Silent && !req.StreamErrors:
				continue
			}
			if !yield(removed, nil) {
				return
			}
		}
		switch {
		case len(failures) == 0:
		case req.StreamErrors:
			yield(api.Removed{}, errors.New("encountered errors during gc run"))
		default:
			yield(api.Removed{}, errors.New(strings.Join(failures, "; ")))
		}
	}
}

// repoStat implements the command.
func (n *verbs) repoStat(ctx context.Context, req api.RepoStatRequest) (api.RepoSizes, error) {
	out := api.RepoSizes{RepoSize: n.Content.Size()}
	var err error
	if out.StorageMax, err = n.Settings.Datastore.Max(); err != nil || req.SizeOnly {
		return out, err
	}
	for _, err := range n.Content.Blocks(ctx) {
		if err != nil {
			return api.RepoSizes{}, err
		}
		out.NumObjects++
	}
	out.RepoPath, out.Version = n.Repo.Real(), "fs-repo@"+strconv.Itoa(repo.Version)
	return out, nil
}

// repoVersion implements the command.
func (n *verbs) repoVersion(context.Context, api.RepoVersionRequest) (api.RepoVersionNumber, error) {
	return api.RepoVersionNumber{Version: strconv.Itoa(repo.Version)}, nil
}

// blockCheck is a check of all blocks.
type blockCheck struct {
	*verbs
	req                                                   api.RepoVerifyRequest
	read, corrupt, removed, notRemoved, healed, notHealed int
}

// run reads all blocks, and tells of each that is damaged. It stops when tell returns false.
func (b *blockCheck) run(ctx context.Context, tell func(api.Finding) bool) error {
	for c, err := range b.Content.Blocks(ctx) {
		if err != nil {
			return err
		}
		why := b.Content.CheckBlock(ctx, c)
		if ipld.IsNotFound(why) {
			if has, err := b.Content.Has(ctx, c); err == nil && !has {
				continue // deleted meanwhile
			}
		}
		if why != nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.corrupt++
			if !tell(api.Finding{Msg: fmt.Sprintf("block %s was corrupt (%s)%s", c, why, b.treat(ctx, c))}) {
				return nil
			}
		}
		b.read++
		if !tell(api.Finding{Progress: b.read}) {
			return nil
		}
	}
	return nil
}

// treat does with a damaged block what was asked for, and says what that was.
func (b *blockCheck) treat(ctx context.Context, c cid.Cid) string {
	if !b.req.Drop && !b.req.Heal {
		return ""
	}
	if err := b.Content.DropBlock(ctx, c); err != nil {
		b.notRemoved++
		return fmt.Sprintf(", failed to remove (%s)", err)
	}
	b.removed++
	if !b.req.Heal {
		return ", removed"
	}
	if b.req.HealTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.req.HealTimeout)
		defer cancel()
	}
	if _, err := b.Content.Block(ctx, "/ipfs/"+c.String()); err != nil {
		b.notHealed++
		return fmt.Sprintf(", removed, failed to heal (%s)", err)
	}
	b.healed++
	return ", removed, healed"
}

// verdict sums up. Damage that was found and treated is no failure.
func (b *blockCheck) verdict() (string, error) {
	if b.corrupt == 0 {
		return "verify complete, all blocks validated.", nil
	}
	text := fmt.Sprintf("verify complete, %d blocks corrupt", b.corrupt)
	for _, part := range []struct {
		n    int
		what string
	}{{b.removed, "removed"}, {b.notRemoved, "failed to remove"}, {b.healed, "healed"}, {b.notHealed, "failed to heal"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if b.notRemoved > 0 || b.notHealed > 0 || b.removed == 0 {
		return "", errors.New(text)
	}
	return text, nil
}

// checkVerify returns an error if a repair cannot be done.
func (n *verbs) checkVerify(req api.RepoVerifyRequest) error {
	switch {
	case req.HealTimeout < 0:
		return errors.New("heal-timeout must be >= 0")
	case req.Heal && n.Host == nil:
		return api.ErrOffline
	}
	return nil
}
