// Package rpc carries commands between a program and a node. It knows no
// command: a [Command] is a value that package api declares, a [Mux] holds what
// each one does, and a [Caller] runs one, either a Mux in this process or a
// [Client] that speaks HTTP to another. Both give the same answers.
//
// # Requests
//
// A request is a struct. The tags of its fields say how they travel:
//
//	arg:"name"           an argument; ",optional" and ",stdin" may follow
//	opt:"long,alias"     an option, with default:"…" and help:"…" beside it
//	file:"name,stdin"    a small uploaded file, an io.Reader
//
// Package internal/request says all of them. A request that uploads more than a small file
// implements [Body].
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
// Responses are JSON values, one a line, or bytes if the response is a [Stream].
// An error after the first value travels in the trailer X-Stream-Error. A reply
// of 200 says that what was asked for happened, nothing less.
package rpc
