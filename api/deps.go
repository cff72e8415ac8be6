package api

import (
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// depsCommands are the commands of this file.
var depsCommands = []rpc.Spec{VersionDeps}

// VersionDeps: list the modules that this program was built of.
var VersionDeps = rpc.Command[VersionDepsRequest, Dependency]{
	Info: rpc.Info{
		Path:     "version/deps",
		Short:    "List the modules that this program was built of",
		Examples: []string{`ipns version deps`},
		Chunked:  true,
		Local:    true,
		Instant:  true,
	},
	Text: VersionDepsRequest.Text,
}

// VersionDepsRequest lists modules.
type VersionDepsRequest struct{}

// Dependency is a Go module of a version.
type Dependency struct {
	Path, Version string
	ReplacedBy    string // path@version
	Sum           string // as in go.sum
}

// Text is a line for each.
func (VersionDepsRequest) Text(d Dependency) string {
	if d.ReplacedBy != "" {
		return display.Sprintf("%s@%s => %s\n", d.Path, d.Version, d.ReplacedBy)
	}
	return display.Sprintf("%s@%s\n", d.Path, d.Version)
}
