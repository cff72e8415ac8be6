package api

import "github.com/goipns/ipns/rpc"

// contentCommands are the commands of this file.
var contentCommands = []rpc.Spec{Add, Cat, Get, Ls}

// Cat: print files.
var Cat = rpc.Command[CatRequest, rpc.Stream]{
	Info: rpc.Info{
		Path: "cat", Args: "<path>...",
		Short:    "Print files",
		Examples: []string{`ipns cat /ipfs/$CID/index.html`},
	},
}

// CatRequest reads files, one after the other as if they were one.
type CatRequest struct {
	Paths    []string `arg:"ipfs-path,stdin"`
	Offset   int64    `opt:"offset,o" help:"first byte to print"`
	Length   *int64   `opt:"length,l" help:"how many bytes to print"`
	Progress *bool    `opt:"progress,p" help:"accepted for compatibility"`
}
