package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/api"
)

// A process that has not listened for signs of life does not say that a daemon is ready which
// may have been killed long ago.
func TestADaemonThatMayHaveEndedIsNotSaidToBeReady(t *testing.T) {
	c := api.Cluster{LeaseTTL: 15 * time.Second, Daemons: []api.ClusterDaemon{
		{ID: "aa", Ready: true, Sectors: []int{0, 1, 2}},
		{ID: "bb", Ready: true},
	}}
	const lost = "may have ended"
	if text := (api.ClusterStatusRequest{}).Text(c); strings.Count(text, lost) != 1 || strings.Index(text, lost) < strings.Index(text, "bb") {
		t.Errorf("without a daemon:\n%s", text)
	}
	c.Self = "aa"
	if text := (api.ClusterStatusRequest{}).Text(c); strings.Contains(text, lost) {
		t.Errorf("by a daemon:\n%s", text)
	}
}
