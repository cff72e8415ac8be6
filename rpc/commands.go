package rpc

import (
	"context"
	"iter"
)

// Version implements [Node].
func (c *Client) Version(ctx context.Context, req VersionRequest) (Version, error) {
	return call[Version](ctx, c, "version", req)
}

// ID implements [Node].
func (c *Client) ID(ctx context.Context, req IDRequest) (ID, error) {
	return call[ID](ctx, c, "id", req)
}

// Config implements [Node].
func (c *Client) Config(ctx context.Context, req ConfigRequest) (ConfigValue, error) {
	return call[ConfigValue](ctx, c, "config", req)
}

// ConfigShow implements [Node].
func (c *Client) ConfigShow(ctx context.Context, req ConfigShowRequest) (ConfigTree, error) {
	return call[ConfigTree](ctx, c, "config/show", req)
}

// Shutdown implements [Node].
func (c *Client) Shutdown(ctx context.Context, req ShutdownRequest) (Nothing, error) {
	return call[Nothing](ctx, c, "shutdown", req)
}

// RepoVerify implements [Node].
func (c *Client) RepoVerify(ctx context.Context, req RepoVerifyRequest) iter.Seq2[Finding, error] {
	return streamed[Finding](ctx, c, "repo/verify", req)
}

// NamePublish implements [Node].
func (c *Client) NamePublish(ctx context.Context, req PublishRequest) iter.Seq2[Published, error] {
	return streamed[Published](ctx, c, "name/publish", req)
}

// NameResolve implements [Node].
func (c *Client) NameResolve(ctx context.Context, req ResolveRequest) iter.Seq2[Resolved, error] {
	return streamed[Resolved](ctx, c, "name/resolve", req)
}

// NameGet implements [Node].
func (c *Client) NameGet(ctx context.Context, req NameGetRequest) (Stream, error) {
	return c.bytes(ctx, "name/get", &req)
}

// NamePut implements [Node].
func (c *Client) NamePut(ctx context.Context, req NamePutRequest) (Put, error) {
	return call[Put](ctx, c, "name/put", req)
}

// NameInspect implements [Node].
func (c *Client) NameInspect(ctx context.Context, req InspectRequest) (Inspected, error) {
	return call[Inspected](ctx, c, "name/inspect", req)
}

// NameLog implements [Node].
func (c *Client) NameLog(ctx context.Context, req LogRequest) (Log, error) {
	return call[Log](ctx, c, "name/log", req)
}

// NameRollback implements [Node].
func (c *Client) NameRollback(ctx context.Context, req RollbackRequest) iter.Seq2[Published, error] {
	return streamed[Published](ctx, c, "name/rollback", req)
}

// NameStatus implements [Node].
func (c *Client) NameStatus(ctx context.Context, req StatusRequest) (Statuses, error) {
	return call[Statuses](ctx, c, "name/status", req)
}

// RepublishStatus implements [Node].
func (c *Client) RepublishStatus(ctx context.Context, req RepublishStatusRequest) iter.Seq2[Republishing, error] {
	return streamed[Republishing](ctx, c, "republish/status", req)
}

// RoutingGet implements [Node].
func (c *Client) RoutingGet(ctx context.Context, req RoutingGetRequest) (RoutingValue, error) {
	return call[RoutingValue](ctx, c, "routing/get", req)
}

// RoutingPut implements [Node].
func (c *Client) RoutingPut(ctx context.Context, req RoutingPutRequest) (RoutingValue, error) {
	return call[RoutingValue](ctx, c, "routing/put", req)
}

// KeyGen implements [Node].
func (c *Client) KeyGen(ctx context.Context, req KeyGenRequest) (Key, error) {
	return call[Key](ctx, c, "key/gen", req)
}

// KeyList implements [Node].
func (c *Client) KeyList(ctx context.Context, req KeyListRequest) (KeyList, error) {
	return call[KeyList](ctx, c, "key/list", req)
}

// KeyImport implements [Node].
func (c *Client) KeyImport(ctx context.Context, req KeyImportRequest) (Key, error) {
	return call[Key](ctx, c, "key/import", req)
}

// KeyRename implements [Node].
func (c *Client) KeyRename(ctx context.Context, req KeyRenameRequest) (KeyRenamed, error) {
	return call[KeyRenamed](ctx, c, "key/rename", req)
}

// KeyRemove implements [Node].
func (c *Client) KeyRemove(ctx context.Context, req KeyRemoveRequest) (KeysRemoved, error) {
	return call[KeysRemoved](ctx, c, "key/rm", req)
}

// Add implements [Node].
func (c *Client) Add(ctx context.Context, req AddRequest) iter.Seq2[Added, error] {
	type line struct {
		Added
		Message, Type string // of a failedAdd
	}
	return func(yield func(Added, error) bool) {
		for l, err := range streamed[line](ctx, c, "add", req) {
			if err == nil && l.Type == "error" {
				err = &Error{Message: l.Message}
			}
			if !yield(l.Added, err) || err != nil {
				return
			}
		}
	}
}

// Cat implements [Node].
func (c *Client) Cat(ctx context.Context, req CatRequest) (Stream, error) {
	return c.bytes(ctx, "cat", &req)
}

// PinAdd implements [Node].
func (c *Client) PinAdd(ctx context.Context, req PinAddRequest) (Pins, error) {
	return call[Pins](ctx, c, "pin/add", req)
}

// PinRemove implements [Node].
func (c *Client) PinRemove(ctx context.Context, req PinRemoveRequest) (Pins, error) {
	return call[Pins](ctx, c, "pin/rm", req)
}

// PinList implements [Node].
func (c *Client) PinList(ctx context.Context, req PinListRequest) iter.Seq2[PinList, error] {
	return streamed[PinList](ctx, c, "pin/ls", req)
}

// Provide implements [Node].
func (c *Client) Provide(ctx context.Context, req ProvideRequest) (Provided, error) {
	return call[Provided](ctx, c, "routing/provide", req)
}

// SwarmConnect implements [Node].
func (c *Client) SwarmConnect(ctx context.Context, req SwarmConnectRequest) (Strings, error) {
	return call[Strings](ctx, c, "swarm/connect", req)
}

// SwarmPeers implements [Node].
func (c *Client) SwarmPeers(ctx context.Context, req SwarmPeersRequest) (Peers, error) {
	return call[Peers](ctx, c, "swarm/peers", req)
}

// SwarmAddrs implements [Node].
func (c *Client) SwarmAddrs(ctx context.Context, req SwarmAddrsRequest) (AddrMap, error) {
	return call[AddrMap](ctx, c, "swarm/addrs", req)
}

// SwarmAddrsLocal implements [Node].
func (c *Client) SwarmAddrsLocal(ctx context.Context, req SwarmAddrsLocalRequest) (Strings, error) {
	return call[Strings](ctx, c, "swarm/addrs/local", req)
}

// SwarmAddrsListen implements [Node].
func (c *Client) SwarmAddrsListen(ctx context.Context, req SwarmAddrsListenRequest) (Strings, error) {
	return call[Strings](ctx, c, "swarm/addrs/listen", req)
}

// PubsubState implements [Node].
func (c *Client) PubsubState(ctx context.Context, req PubsubStateRequest) (PubsubState, error) {
	return call[PubsubState](ctx, c, "name/pubsub/state", req)
}

// PubsubSubs implements [Node].
func (c *Client) PubsubSubs(ctx context.Context, req PubsubSubsRequest) (PubsubSubs, error) {
	return call[PubsubSubs](ctx, c, "name/pubsub/subs", req)
}

// PubsubCancel implements [Node].
func (c *Client) PubsubCancel(ctx context.Context, req PubsubCancelRequest) (PubsubCanceled, error) {
	return call[PubsubCanceled](ctx, c, "name/pubsub/cancel", req)
}

// BootstrapList implements [Node].
func (c *Client) BootstrapList(ctx context.Context, req BootstrapListRequest) (BootstrapPeers, error) {
	return call[BootstrapPeers](ctx, c, "bootstrap/list", req)
}

// BootstrapAdd implements [Node].
func (c *Client) BootstrapAdd(ctx context.Context, req BootstrapAddRequest) (BootstrapPeers, error) {
	return call[BootstrapPeers](ctx, c, "bootstrap/add", req)
}

// BootstrapRemove implements [Node].
func (c *Client) BootstrapRemove(ctx context.Context, req BootstrapRemoveRequest) (BootstrapPeers, error) {
	return call[BootstrapPeers](ctx, c, "bootstrap/rm", req)
}
