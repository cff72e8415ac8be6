package verbs

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	golog "github.com/ipfs/go-log/v2"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/repo"
)

// How new roots are announced is logged by the loggers of Kubo that do, for those who have set their levels.
var (
	commandLog = golog.Logger("core/commands")
	provideLog = golog.Logger("core/commands/cmdenv")
)

// announceHow says how new roots are announced, besides their place in the queue of what is announced.
type announceHow struct {
	root bool // at once
	wait bool // before the command ends, which fails if they cannot be
	all  bool // all blocks below them are put into the queue too
}

// announcing reads how a request wants new roots announced, or else the config.
func announcing(req api.FastProvide, c repo.Import) announceHow {
	return announceHow{
		root: or(req.Root, c.FastProvideRoot, true),
		all:  or(req.DAG, c.FastProvideDAG, false),
		wait: or(req.Wait, c.FastProvideWait, false),
	}
}

// announceAdded announces roots that were added as a request, or else the config, says.
func (n *verbs) announceAdded(ctx context.Context, req api.FastProvide, pinned bool, roots ...cid.Cid) error {
	config, err := n.Repo.Config()
	if err != nil {
		return err
	}
	return n.announce(ctx, announcing(req, config.Import), pinned, roots...)
}

// announce announces new roots.
func (n *verbs) announce(ctx context.Context, how announceHow, pinned bool, roots ...cid.Cid) error {
	switch {
	case how.all:
		return n.announceTrees(ctx, roots)
	case !how.root:
		commandLog.Debugw("fast-provide-root: skipped", "reason", "disabled by flag or config")
		if how.wait {
			commandLog.Debugw("fast-provide-root: wait-flag-ignored")
		}
		return nil
	}
	provideLog.Debugw("fast-provide-root: enabled", "wait", how.wait)
	strategy := n.Settings.Provide.Which()
	switch {
	case !repo.On(n.Settings.Provide.Enabled):
		provideLog.Debugw("fast-provide-root: skipped", "reason", "Provide.Enabled is false")
		return nil
	case !strategy.All && !(pinned && (strategy.Pinned || strategy.Roots)):
		provideLog.Debugw("fast-provide-root: skipped", "reason", "strategy does not match content")
		return nil
	}
	for _, c := range roots {
		if err := n.announceRoot(ctx, c, how.wait); err != nil {
			return err
		}
	}
	return nil
}

func (n *verbs) announceRoot(ctx context.Context, c cid.Cid, wait bool) error {
	mode := "async"
	if wait {
		mode = "sync"
	}
	told := func(err error) {
		switch {
		case errors.Is(err, content.ErrOffline):
			provideLog.Debugw("fast-provide-root: skipped", "reason", "DHT not available")
		case err != nil:
			provideLog.Warnw("fast-provide-root: "+mode+" provide failed", "cid", c, "error", err)
		default:
			provideLog.Debugw("fast-provide-root: "+mode+" provide completed", "cid", c)
		}
	}
	if !wait {
		provideLog.Debugw("fast-provide-root: providing asynchronously", "cid", c)
		n.Content.ProvideSoon(c, told)
		return nil
	}
	provideLog.Debugw("fast-provide-root: providing synchronously", "cid", c)
	err := n.Content.Provide(ctx, c)
	told(err)
	if err == nil || errors.Is(err, content.ErrOffline) {
		return nil
	}
	return fmt.Errorf("fast-provide: %w", cause(ctx, err))
}

// announceTrees puts all blocks of trees into the queue of what is announced.
func (n *verbs) announceTrees(ctx context.Context, roots []cid.Cid) error {
	if n.Provider == nil || !repo.On(n.Settings.Provide.Enabled) {
		return nil
	}
	seen, err := content.NewSeen()
	if err != nil {
		return err
	}
	count := 0
	for _, root := range roots {
		err := n.Content.QueueTree(ctx, root, seen, func(c cid.Cid) error {
			count++
			return n.Provider.StartProviding(false, c.Hash())
		})
		if err != nil {
			return fmt.Errorf("fast-provide: %w", err)
		}
	}
	provideLog.Infow("fast-provide-dag: finished", "providedCIDs", count)
	return nil
}
