package verbs

import (
	"context"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
	"github.com/goipns/ipns/watch"
)

func (n *verbs) handleWebhooks(m *rpc.Mux) {
	rpc.Handle(m, api.WebhookAdd, rpc.One(n.webhookAdd))
	rpc.Handle(m, api.WebhookList, rpc.One(n.webhookList))
	rpc.Handle(m, api.WebhookDead, rpc.One(n.webhookDead))
	rpc.Handle(m, api.WebhookReplay, rpc.One(n.webhookReplay))
	rpc.Handle(m, api.WebhookRm, rpc.One(n.webhookRm))
}

// nameArguments returns the names of arguments.
func (n *verbs) nameArguments(ctx context.Context, texts []string) (list []ipns.Name, err error) {
	for _, text := range texts {
		name, err := n.nameArgument(ctx, text)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, nil
}

// webhookAdd implements the command.
func (n *verbs) webhookAdd(ctx context.Context, req api.WebhookAddRequest) (api.WebhookAdded, error) {
	names, err := n.nameArguments(ctx, req.Names)
	if err != nil {
		return api.WebhookAdded{}, err
	}
	hook := watch.Webhook{URL: req.URL, Private: req.Private}
	for _, name := range names {
		hook.Names = append(hook.Names, name.String())
	}
	if hook, err = n.Webhooks.Add(ctx, hook); err != nil {
		return api.WebhookAdded{}, err
	}
	return api.WebhookAdded{ID: hook.ID, URL: hook.URL, Secret: hook.SecretText()}, nil
}

// webhookList implements the command.
func (n *verbs) webhookList(ctx context.Context, _ api.WebhookListRequest) (api.Webhooks, error) {
	list, err := n.Webhooks.List(ctx)
	if err != nil {
		return api.Webhooks{}, err
	}
	all := api.Webhooks{Webhooks: make([]api.Webhook, 0, len(list))}
	for _, s := range list {
		w := api.Webhook{
			ID: s.ID, URL: s.URL, Names: s.Names, Tenant: s.Tenant, Private: s.Private, Created: s.Created,
			Waiting: s.Waiting, Dead: s.Dead, Failures: s.Failures, Error: s.Error,
		}
		if !s.Paused.IsZero() {
			w.Paused = &s.Paused
		}
		all.Webhooks = append(all.Webhooks, w)
	}
	return all, nil
}

// webhookDead implements the command.
func (n *verbs) webhookDead(ctx context.Context, req api.WebhookDeadRequest) (api.DeadLetters, error) {
	list, err := n.Webhooks.Dead(ctx, req.Webhook)
	if err != nil {
		return api.DeadLetters{}, err
	}
	all := api.DeadLetters{DeadLetters: make([]api.DeadLetter, 0, len(list))}
	for _, d := range list {
		all.DeadLetters = append(all.DeadLetters, api.DeadLetter(d))
	}
	return all, nil
}

// webhookReplay implements the command.
func (n *verbs) webhookReplay(ctx context.Context, req api.WebhookReplayRequest) (api.WebhookReplayed, error) {
	names, err := n.nameArguments(ctx, req.Names)
	if err != nil {
		return api.WebhookReplayed{}, err
	}
	count, err := n.Webhooks.Replay(ctx, req.Webhook, names...)
	return api.WebhookReplayed{Replayed: count}, err
}

// webhookRm implements the command.
func (n *verbs) webhookRm(ctx context.Context, req api.WebhookRmRequest) (api.WebhookRemoved, error) {
	hook, err := n.Webhooks.Remove(ctx, req.Webhook)
	return api.WebhookRemoved{ID: hook.ID, URL: hook.URL}, err
}
