package api

import (
	"encoding/json"
	"strings"

	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// nodeCommands are the commands of this file.
var nodeCommands = []rpc.Spec{Version, ID, Shutdown}

var (
	// Version: show the version.
	Version = rpc.Command[VersionRequest, NodeVersion]{
		Info: rpc.Info{
			Path:     "version",
			Short:    "Show the version",
			Examples: []string{`ipns version`, `ipns version --all`},
			Local:    true,
			Instant:  true,
		},
		Text: VersionRequest.Text,
	}
	// ID: show who this node is, or another peer.
	ID = rpc.Command[IDRequest, Identity]{
		Info: rpc.Info{
			Path: "id", Args: "[<peer id>]",
			Short:    "Show who this node is, or another peer",
			Examples: []string{`ipns id`, `ipns id --format="<id>"`, `ipns id $NODE`},
		},
		Text: IDRequest.Text,
	}
	// Shutdown: stop the daemon.
	Shutdown = rpc.Command[ShutdownRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path:     "shutdown",
			Short:    "Stop the daemon",
			Examples: []string{`ipns shutdown`},
			Instant:  true,
		},
		Text: ShutdownRequest.Text,
	}
)

// VersionRequest returns the version.
type VersionRequest struct {
	Number bool `opt:"number,n" help:"print only the version number"`
	Commit bool `opt:"commit" help:"print the commit too"`
	Repo   bool `opt:"repo" help:"print only the version of the repo"`
	All    bool `opt:"all" help:"print everything"`
}

// NodeVersion has the versions of program, repo and Go.
type NodeVersion struct {
	Version, Commit, Repo, System, Golang string
}

// Text follows Kubo's options.
func (req VersionRequest) Text(v NodeVersion) string {
	switch {
	case req.All:
		return display.Sprintf("ipns version: %s\nRepo version: %s\nSystem version: %s\nGolang version: %s\n", v.Version, v.Repo, v.System, v.Golang)
	case req.Repo:
		return display.Sprintf("%s\n", v.Repo)
	}
	number := v.Version
	if req.Commit && v.Commit != "" {
		number += "-" + v.Commit
	}
	if req.Number {
		return display.Sprintf("%s\n", number)
	}
	return display.Sprintf("ipns version %s\n", number)
}

// IDRequest describes a peer.
type IDRequest struct {
	Peer   string `arg:"peerid,optional"`
	Format string `opt:"format,f" help:"print with this template: <id> <aver> <pver> <pubkey> <addrs> <protocols>"`
	Base   string `opt:"peerid-base" default:"b58mh" help:"encoding of the peer id: b58mh, or a multibase for a CID"`
}

// Identity describes a peer.
type Identity struct {
	ID           string
	PublicKey    string
	Addresses    []string
	AgentVersion string
	Protocols    []string
	// KeysLocked says that the node's keys are encrypted and that it has no passphrase: ID
	// is then that of this run, and no name is published or renewed.
	KeysLocked bool `json:",omitempty"`
	// Reachability says who can fetch from this node, for people; "": this is another node, or
	// it is offline.
	Reachability string `json:",omitempty"`
}

// Text is indented JSON, or as Format says.
func (req IDRequest) Text(id Identity) string {
	if req.Format == "" {
		b, err := json.MarshalIndent(id, "", "\t")
		if err != nil {
			panic(err) // strings only
		}
		return string(b) + "\n"
	}
	lines := func(list []string) string {
		var b strings.Builder
		for i, s := range list {
			if i > 0 {
				b.WriteString("\n")
			}
			display.Fprint(&b, s)
		}
		return b.String()
	}
	return strings.NewReplacer(
		"<id>", display.Escape(id.ID),
		"<aver>", display.Escape(id.AgentVersion),
		"<pubkey>", display.Escape(id.PublicKey),
		"<addrs>", lines(id.Addresses),
		"<protocols>", lines(id.Protocols),
		`\n`, "\n",
		`\t`, "\t",
	).Replace(req.Format)
}

// ShutdownRequest asks the node to stop.
type ShutdownRequest struct{}

// Text is empty.
func (ShutdownRequest) Text(rpc.Nothing) string { return "" }
