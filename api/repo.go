package api

import (
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// repoCommands are the commands of this file.
var repoCommands = []rpc.Spec{RepoVerify}

// RepoVerify: find and repair damaged records of names.
var RepoVerify = rpc.Command[RepoVerifyRequest, Finding]{
	Info: rpc.Info{
		Path:     "repo/verify",
		Short:    "Find and repair damaged records of names",
		Examples: []string{`ipns repo verify`, `ipns repo verify --repair`},
	},
	Text: RepoVerifyRequest.Text,
}

// RepoVerifyRequest has all that is stored of names read and verified.
type RepoVerifyRequest struct {
	_ struct{} `kubo:"drop=false heal=false heal-timeout=30s"`

	Repair bool `opt:"repair" help:"repair what is damaged"`
}

// Finding is something that is damaged, or the end of the search for it.
type Finding struct {
	Msg    string
	Name   string `json:",omitempty"` // whose entry it is, if it is that of a key here
	Mended bool   `json:",omitempty"`
}

// Text is the message.
func (RepoVerifyRequest) Text(f Finding) string { return display.Sprintf("%s\n", f.Msg) }
