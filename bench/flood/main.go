// Command flood measures what a node keeps, and how fast its own publishes are, while
// others put as much on its DHT server as they can. bench/README.md explains the
// columns and keeps the results.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/routing/dht"
)

// config is one flood.
type config struct {
	peers, values, providers       int
	limitOfValues, limitOfProvided dht.Limit
	idle                           time.Duration // how long publishes are timed without a flood

	// attack floods the node; what it returns is what was taken.
	attack func(context.Context, config, peer.AddrInfo) (taken, error)
}

// taken is what a flood came to.
type taken struct{ Values, Refused, Providers int }

func main() {
	c := config{
		limitOfValues: dht.DefaultValueLimit, limitOfProvided: dht.DefaultProviderLimit,
		idle: 10 * time.Second, attack: elsewhere,
	}
	flag.IntVar(&c.values, "values", 1_000_000, "values to put")
	flag.IntVar(&c.providers, "providers", 100_000, "provider records to put")
	flag.IntVar(&c.peers, "peers", 1, "peers that put them")
	target := flag.String("target", "", "the node to flood, and nothing else: for the flood's own process")
	flag.Parse()
	if err := run(context.Background(), c, *target); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, target string) error {
	if target != "" {
		node, err := peer.AddrInfoFromString(target)
		if err != nil {
			return err
		}
		t, err := flood(ctx, c, *node)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(t)
	}
	dir, err := os.MkdirTemp("", "flood")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := measure(ctx, c, dir)
	if err != nil {
		return err
	}
	fmt.Println("| peers | values | taken | held | of budget | providers | held | of budget | disk | heap | idle p50 / p99 | flood p50 / p99 | own lost | s |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	fmt.Println(r)
	return nil
}

// elsewhere floods from another process, which gives way to this one: it stands for
// machines of others.
func elsewhere(ctx context.Context, c config, node peer.AddrInfo) (taken, error) {
	self, err := os.Executable()
	if err != nil {
		return taken{}, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", self, "-target", fmt.Sprintf("%s/p2p/%s", node.Addrs[0], node.ID),
		"-values", strconv.Itoa(c.values), "-providers", strconv.Itoa(c.providers), "-peers", strconv.Itoa(c.peers))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return taken{}, fmt.Errorf("the flood: %w", err)
	}
	var t taken
	return t, json.NewDecoder(bytes.NewReader(out)).Decode(&t)
}
