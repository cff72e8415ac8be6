package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// ConfigProfileApply: change the config to what a profile says.
var ConfigProfileApply = rpc.Command[ProfileRequest, ConfigChange]{
	Info: rpc.Info{
		Path: "config/profile/apply", Args: "<profile>",
		Short: "Change the config to what a profile says",
		Long: "Change the config to what a profile says, and print what changed. The config as\n" +
			"it was stays in the repo, as config-pre-PROFILE-…. Changes take effect at the\n" +
			"next start, those of Import at once. Profiles: server, local-discovery, test,\n" +
			"default-networking, lowpower, announce-off, announce-on, randomports,\n" +
			"autoconf-on, autoconf-off, and for the CIDs of what is added unixfs-v0-2015\n" +
			"(also legacy-cid-v0) and unixfs-v1-2025.",
		Examples: []string{`ipns config profile apply unixfs-v1-2025`, `ipns config profile apply --dry-run server`},
		Instant:  true,
		Config:   true,
	},
	Text: ProfileRequest.Text,
}

// ProfileRequest applies a profile.
type ProfileRequest struct {
	Profile string `arg:"profile"`
	DryRun  bool   `opt:"dry-run" help:"only print what would change"`
}

// ConfigChange is a config before and after a change, without secrets.
type ConfigChange struct {
	OldCfg, NewCfg map[string]any
	// Warnings are about new values that have no effect.
	Warnings []string `json:",omitempty"`
}

// Notes implements what the command line prints as warnings.
func (c ConfigChange) Notes() []string { return c.Warnings }

// Text is the new config, with the old value before each one that changed.
func (ProfileRequest) Text(c ConfigChange) string {
	var b strings.Builder
	writeChange(&b, "", c.OldCfg, c.NewCfg)
	return b.String()
}

// writeChange writes one line for each value, and two for one that changed: the old one with <>, the new one with **, as
// with Kubo.
func writeChange(b *strings.Builder, path string, before, after map[string]any) {
	all := maps.Clone(before)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, after)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := before[key]
		is, has := after[key]
		from, ok1 := was.(map[string]any)
		to, ok2 := is.(map[string]any)
		name := path + key
		switch {
		case ok1 && ok2:
			writeChange(b, name+".", from, to)
		case had && has && reflect.DeepEqual(was, is):
			display.Fprintf(b, "   %s: %s\n", name, asJSON(is))
		default:
			if had {
				display.Fprintf(b, "<> %s: %s\n", name, asJSON(was))
			}
			if has {
				display.Fprintf(b, "** %s: %s\n", name, asJSON(is))
			}
		}
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
