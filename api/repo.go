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

// RepoVerifyRequest reads and verifies everything stored about names.
type RepoVerifyRequest struct {
	_ struct{} `kubo:"drop=false heal=false heal-timeout=30s"`

	Repair bool `opt:"repair" help:"repair what is damaged"`
}

// Finding is one damage, or the end of the check.
type Finding struct {
	Msg      string
	Name     string `json:",omitempty"` // the name of the damaged entry, if its key is here
	Repaired bool   `json:",omitempty"`
}

// Text is the message.
func (RepoVerifyRequest) Text(f Finding) string { return display.Sprintf("%s\n", f.Msg) }
