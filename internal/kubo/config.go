package kubo

import "github.com/goipns/ipns/internal/repo"

// Adopt returns the config of a node of ours that asks for what the config of this one asks
// for. left says line by line what it does not.
func (r *Repo) Adopt() (c repo.Config, left []string, err error) { return repo.Adopt(r.config) }
