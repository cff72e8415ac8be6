package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// configCommands are the commands of this file.
var configCommands = []rpc.Spec{Config, ConfigShow, ConfigReplace, ConfigReload, ConfigProfileApply}

var (
	// Config: show a config value, or set it.
	Config = rpc.Command[ConfigRequest, ConfigValue]{
		Info: rpc.Info{
			Path: "config", Args: "<key> [<value>]",
			Short: "Show a config value, or set it",
			Long: `Show a config value, or set it.

A change takes effect when the daemon starts again, or, of some keys, when it is
told to reload ('ipns config reload').
Private keys and the secrets of others are neither shown nor set.`,
			Examples: []string{`ipns config Addresses.API`, `ipns config Ipns.RepublishPeriod 4h`},
			Instant:  true,
			Config:   true,
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
			Config:   true,
		},
		Text: ConfigShowRequest.Text,
	}
	// ConfigReplace: replace the config by a file.
	ConfigReplace = rpc.Command[ConfigReplaceRequest, ConfigReplaced]{
		Info: rpc.Info{
			Path: "config/replace", Args: "<file>",
			Short: "Replace the config by a file",
			Long: `Replace the config by a file, such as 'ipns config show' prints.

The private key and the secrets of the API stay; a file that has a private key
is refused.`,
			Examples: []string{`ipns config replace config.json`},
			Config:   true,
		},
	}
	// ConfigReload: make the daemon read its config again.
	ConfigReload = rpc.Command[ConfigReloadRequest, ConfigReloaded]{
		Info: rpc.Info{
			Path:  "config/reload",
			Short: "Make the daemon read its config again",
			Long: `Make the daemon read its config again, and print which keys have changed.

What can change while a daemon runs is in force at once: who may use the API,
what the gateway offers, Hosting, and HTTP. The others are listed, and wait for
the next start, where some of their errors only show, such as an address that
cannot be used. A config with an error that is seen before changes nothing.
'ipns daemon --reload' does the same for the daemon of the repo.`,
			Examples: []string{`ipns config reload`},
			Instant:  true,
			Daemon:   true,
		},
		Text: ConfigReloadRequest.Text,
	}
)

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

// ConfigReplaceRequest replaces the whole config.
type ConfigReplaceRequest struct {
	File io.Reader `file:"file"`
}

// ConfigReplaced is the empty response of a replaced config, with Warnings about keys that
// have no effect.
type ConfigReplaced struct {
	Warnings []string `json:",omitempty"`
}

// Notes are the warnings.
func (r ConfigReplaced) Notes() []string { return r.Warnings }

// ConfigReloadRequest makes the daemon read its config again.
type ConfigReloadRequest struct{}

// ConfigReloaded are the keys that have changed.
type ConfigReloaded struct {
	InForce []string // from now on
	Waiting []string // for the next start
}

// Text is one line for each key.
func (ConfigReloadRequest) Text(r ConfigReloaded) string {
	var b strings.Builder
	for _, key := range r.InForce {
		b.WriteString(display.Sprintf("in force now: %s\n", key))
	}
	for _, key := range r.Waiting {
		b.WriteString(display.Sprintf("waits for a restart: %s\n", key))
	}
	if b.Len() == 0 {
		return "nothing has changed\n"
	}
	return b.String()
}
