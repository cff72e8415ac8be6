// Package rpc is the control interface of a node: [Node] in Go, and the same
// over HTTP by [Client] and [Handler], compatible with Kubo's RPC API under
// /api/v0.
//
// A request is a struct whose tags say how it travels: `arg:"name"` for the
// arguments in order, `opt:"long,alias"` for options, `default:"…"` and
// `help:"…"` beside them, `file:"name"` for an uploaded file. [Options] reads
// the tags; handler, client and command line all go by it, so that a name or a
// default is written once. A response is a struct whose JSON is Kubo's; the
// method Text of the request says what the command prints of it.
//
//	POST /api/v0/name/publish?arg=/ipfs/bafy…&key=self&ttl=5m
//	200  {"Name":"k51…","Value":"/ipfs/bafy…",…}
//	500  {"Message":"…","Code":0,"Type":"error"}     the command failed
//	400  the same with Code 1, or plain text          the request is wrong
//
// A stream is one JSON value a line; an error after the first value travels in
// the trailer X-Stream-Error. Only POST runs a command, and a browser only from
// an allowed origin: see [Guard]. 404 says that there is no such command; one
// that finds nothing answers 500, since clients treat 404 apart.
//
// A reply 200 says that what was asked for happened, nothing less.
package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
)

// Node is a node that can be commanded: a running one in this process, or one
// behind a [Client]. All methods may be called concurrently.
type Node interface {
	Control
	Names
	Keys
	Content
	Network
}

// Control is about the node itself.
type Control interface {
	Version(context.Context, VersionRequest) (Version, error)
	ID(context.Context, IDRequest) (ID, error)
	Config(context.Context, ConfigRequest) (ConfigValue, error)
	ConfigShow(context.Context, ConfigShowRequest) (ConfigTree, error)
	// Shutdown asks the node to stop and returns at once.
	Shutdown(context.Context, ShutdownRequest) (Nothing, error)
	// RepoVerify yields what is damaged in the store of names, and what became of
	// it with Repair. It ends with an error if damage remains.
	RepoVerify(context.Context, RepoVerifyRequest) iter.Seq2[Finding, error]
}

// Names publishes and resolves names.
type Names interface {
	// NamePublish yields how far the publish is, and last the result. With
	// Progress unset it yields the result alone.
	NamePublish(context.Context, PublishRequest) iter.Seq2[Published, error]
	// NameResolve yields better and better answers; the last is the best.
	// With Stream unset it yields that one alone.
	NameResolve(context.Context, ResolveRequest) iter.Seq2[Resolved, error]
	NameGet(context.Context, NameGetRequest) (Stream, error)
	NamePut(context.Context, NamePutRequest) (Put, error)
	NameInspect(context.Context, InspectRequest) (Inspected, error)
	NameLog(context.Context, LogRequest) (Log, error)
	NameRollback(context.Context, RollbackRequest) iter.Seq2[Published, error]
	NameStatus(context.Context, StatusRequest) (Statuses, error)
	// RepublishStatus yields how the names are kept alive; with Watch it goes on,
	// about once a second, until no name is due.
	RepublishStatus(context.Context, RepublishStatusRequest) iter.Seq2[Republishing, error]
	RoutingGet(context.Context, RoutingGetRequest) (RoutingValue, error)
	RoutingPut(context.Context, RoutingPutRequest) (RoutingValue, error)
	PubsubState(context.Context, PubsubStateRequest) (PubsubState, error)
	PubsubSubs(context.Context, PubsubSubsRequest) (PubsubSubs, error)
	PubsubCancel(context.Context, PubsubCancelRequest) (PubsubCanceled, error)
}

// Keys manages the keys that names are made of.
type Keys interface {
	KeyGen(context.Context, KeyGenRequest) (Key, error)
	KeyList(context.Context, KeyListRequest) (KeyList, error)
	KeyImport(context.Context, KeyImportRequest) (Key, error)
	KeyRename(context.Context, KeyRenameRequest) (KeyRenamed, error)
	KeyRemove(context.Context, KeyRemoveRequest) (KeysRemoved, error)
}

// Content adds, pins and reads files and folders.
type Content interface {
	// Add yields progress, if asked for, and each entry once it is added:
	// children before their parents, the root last.
	Add(context.Context, AddRequest) iter.Seq2[Added, error]
	Cat(context.Context, CatRequest) (Stream, error)
	PinAdd(context.Context, PinAddRequest) (Pins, error)
	PinRemove(context.Context, PinRemoveRequest) (Pins, error)
	// PinList yields one element with all pins, or with Stream one for each.
	PinList(context.Context, PinListRequest) iter.Seq2[PinList, error]
	// Provide tells the network that this node has the content.
	Provide(context.Context, ProvideRequest) (Provided, error)
}

// Network is about the peers.
type Network interface {
	SwarmConnect(context.Context, SwarmConnectRequest) (Strings, error)
	SwarmPeers(context.Context, SwarmPeersRequest) (Peers, error)
	SwarmAddrs(context.Context, SwarmAddrsRequest) (AddrMap, error)
	SwarmAddrsLocal(context.Context, SwarmAddrsLocalRequest) (Strings, error)
	SwarmAddrsListen(context.Context, SwarmAddrsListenRequest) (Strings, error)
	BootstrapList(context.Context, BootstrapListRequest) (BootstrapPeers, error)
	BootstrapAdd(context.Context, BootstrapAddRequest) (BootstrapPeers, error)
	BootstrapRemove(context.Context, BootstrapRemoveRequest) (BootstrapPeers, error)
}

// Nothing is the response of a command that has none.
type Nothing struct{}

// Stream is a response of bytes. The caller closes it.
type Stream struct {
	io.ReadCloser
	Type string // media type
	Size int64  // length in bytes, -1 if unknown
}

// Error is a failed command. Client says that the request itself was wrong.
type Error struct {
	Message string
	Client  bool
}

func (e *Error) Error() string { return e.Message }

// Refuse marks an error as the fault of the request: over HTTP it is 400.
func Refuse(err error) error { return &Error{Message: err.Error(), Client: true} }

// ErrOffline is returned by commands that need the network of a running daemon.
var ErrOffline = errors.New("this action must be run in online mode, try running 'ipns daemon' first")

// one makes a stream of a single result.
func one[T any](v T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { yield(v, err) }
}

// Last runs a stream to its end and returns the last value.
func Last[T any](seq iter.Seq2[T, error]) (T, error) {
	var last T
	for v, err := range seq {
		if err != nil {
			return last, err
		}
		last = v
	}
	return last, nil
}
