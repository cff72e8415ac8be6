package nat

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"testing"
)

var hold = flag.String("hold", "", "start homes of these kinds, such as cone,sym, with both programs in each, and keep them until ctrl-c")

// TestHold is a network to try things on. It prints how.
func TestHold(t *testing.T) {
	if *hold == "" {
		t.Skip("it is for trying things: -hold says which homes")
	}
	need(t)
	net := newInternet(t, "hold", publicServers)
	homes, err := kindsOf(*hold)
	if err != nil {
		t.Fatal(err)
	}
	all := net.newNeighbourhood(t, "h", homes...)
	net.startRelay(t, slices.DeleteFunc(all.all(), func(n *node) bool { return !n.home.relay }))
	each(t, all.all(), startAtOnce, (*node).start)
	for i := range homes {
		for _, n := range []*node{all.ours[i], all.kubo[i]} {
			fmt.Printf("%v: ip netns exec %s env %s=%s %s id\n", n, n.home.machine, n.prog.pathVar, n.repo, n.bin)
		}
	}
	fmt.Printf("bootstrap: %s\nthe public network: ip netns exec %s sh\n", net.bootstrap(4), net.bridge)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
}
