package api

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// nodeCommands are the commands of this file.
var nodeCommands = []rpc.Spec{Version, ID, Config, ConfigShow, Shutdown}

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
	// Config: show a config value, or set it.
	Config = rpc.Command[ConfigRequest, ConfigValue]{
		Info: rpc.Info{
			Path: "config", Args: "<key> [<value>]",
			Short:    "Show a config value, or set it",
			Examples: []string{`ipns config Addresses.API`, `ipns config Ipns.RepublishPeriod 4h`},
			Instant:  true,
		},
		Text: ConfigRequest.Text,
	}
	// ConfigShow: show the whole config except the private key.
	ConfigShow = rpc.Command[ConfigShowRequest, ConfigTree]{
		Info: rpc.Info{
			Path:     "config/show",
			Short:    "Show the whole config except the private key",
			Examples: []string{`ipns config show`},
			Instant:  true,
		},
		Text: ConfigShowRequest.Text,
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
	_ struct{} `kubo:"offline=false local,L=false"`

	Peer   string `arg:"peerid,optional"`
	Format string `opt:"format,f" help:"print with this template: <id> <aver> <pver> <pubkey> <addrs> <protocols>"`
	Base   string `opt:"peerid-base" default:"b58mh" help:"encoding of the peer id: b58mh, or a multibase for a CID"`
}

// Identity describes a peer. For the node itself, Reachability says whether others can
// connect to it.
type Identity struct {
	ID           string
	PublicKey    string
	Addresses    []string
	AgentVersion string
	Protocols    []string
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

// ConfigRequest reads or sets a config value.
type ConfigRequest struct {
	_ struct{} `kubo:"expand-auto=false"`

	Key   string  `arg:"key"`
	Value *string `arg:"value,optional"`
	Bool  bool    `opt:"bool" help:"the value is a boolean"`
	JSON  bool    `opt:"json" help:"the value is JSON"`
}

// ConfigValue is a config value.
type ConfigValue struct {
	Key   string
	Value any
	// Warnings are about a value that was set but has no effect.
	Warnings []string `json:",omitempty"`
}

// Notes are the warnings.
func (v ConfigValue) Notes() []string { return v.Warnings }

// Text is the value; nothing after setting one.
func (req ConfigRequest) Text(v ConfigValue) string {
	if req.Value != nil {
		return ""
	}
	return configText(v.Value)
}

// ConfigShowRequest returns the whole config.
type ConfigShowRequest struct {
	_ struct{} `kubo:"expand-auto=false"`
}

// ConfigTree is the whole config without the private key.
type ConfigTree map[string]any

// Text is the config as JSON.
func (ConfigShowRequest) Text(t ConfigTree) string { return configText(t) }

// configText prints strings as they are and everything else as JSON.
func configText(v any) string {
	if s, ok := v.(string); ok {
		return display.Sprintf("%s\n", s)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err) // it came from JSON
	}
	return buf.String()
}

// ShutdownRequest asks the node to stop.
type ShutdownRequest struct{}

// Text is empty.
func (ShutdownRequest) Text(rpc.Nothing) string { return "" }
