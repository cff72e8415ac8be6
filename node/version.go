package node

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/goipns/ipns/internal/repo"
)

// Release is the version of the program.
const Release = "0.1.0"

// Agent is the agent version that other nodes see.
const Agent = "goipns/" + Release

// maxSuffix bounds the suffix of the agent version, in characters.
const maxSuffix = 64

// AgentOf returns the agent version with the suffix of the config, or else the given one.
func AgentOf(c *repo.Config, suffix string) string {
	plain := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return -1
	}, cmp.Or(c.Version.AgentSuffix, suffix)))
	if plain == "" {
		return Agent
	}
	runes := []rune(plain)
	return Agent + "/" + string(runes[:min(len(runes), maxSuffix)])
}
