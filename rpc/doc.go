// Package rpc carries commands between a program and a node. It knows no particular
// command: a [Command] is a value that package api declares, a [Mux] holds the function
// of each one, and a [Caller] runs one: a Mux in this process, or a [Client] over HTTP.
// Both return the same responses.
//
// # Requests
//
// A request is a struct. The tags of its fields say how they are sent:
//
//	arg:"name"           an argument; ",optional" and ",stdin" may follow
//	opt:"long,alias"     an option, with default:"…" and help:"…" beside it
//	file:"name,stdin"    a small uploaded file, an io.Reader
//
// Package internal/request describes them all. A request that uploads more than a small
// file implements [Body].
//
// # Wire
//
// The wire is Kubo's RPC API:
//
//	POST /api/v0/name/publish?arg=/ipfs/bafy…&key=self&ttl=5m
//	200  {"Name":"k51…","Value":"/ipfs/bafy…",…}
//	500  {"Message":"…","Code":0,"Type":"error"}     the command failed
//	400  the same with Code 1, or plain text          the request is wrong
//
// Responses are JSON values, one per line, or bytes if the response is a [Stream]. An
// error after the first value is sent in the trailer X-Stream-Error. Status 200 without
// that trailer means that the command did all it was asked to.
package rpc
