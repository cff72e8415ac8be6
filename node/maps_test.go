package node

import "testing"

// A node that starts again knows the servers it knew before, with nobody to ask.
func TestServersAreRemembered(t *testing.T) {
	nw := servers(t, 25)
	r := newRepo(t)
	n, err := New(t.Context(), r, Options{Bootstrap: nw.Addrs()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	n.waitForPeers(t.Context())
	for _, err := range n.Router.Search(t.Context(), n.Name) {
		if err != nil {
			t.Fatal(err)
		}
	}
	known := n.DHT.LAN.Map().Len()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, r, Options{})
	if got := again.DHT.LAN.Map().Len(); known == 0 || got < known/2 {
		t.Fatalf("%d servers are known after a restart, %d were before", got, known)
	}
}
