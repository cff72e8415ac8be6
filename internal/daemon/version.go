package daemon

import (
	"runtime"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// Release is the version of the program.
const Release = "0.1.0"

// agent is how this node calls itself to others.
const agent = "goipns/" + Release

// Version describes the program.
func Version() rpc.Version {
	return rpc.Version{
		Version: Release,
		Repo:    repo.Version,
		System:  runtime.GOARCH + "/" + runtime.GOOS,
		Golang:  runtime.Version(),
	}
}
