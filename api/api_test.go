package api_test

import (
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/verbs"
)

// A command that nobody handles, or that says too little of itself, is half of one.
func TestEveryCommandIsWhole(t *testing.T) {
	m := verbs.Mux(nil)
	for _, spec := range api.All {
		info := spec.Describe()
		if _, _, ok := m.Describe(info.Path); !ok {
			t.Errorf("%s has no handler in internal/verbs", info.Path)
		}
		if info.Short == "" || len(info.Examples) == 0 || len(info.Examples) > 3 {
			t.Errorf("%s wants a short description and one to three examples", info.Path)
		}
	}
}
