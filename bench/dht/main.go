// Command dht measures how clients publish and resolve single names on a
// modelled network of thousands of DHT servers, in virtual time, and prints a
// table. bench/README.md explains the columns and keeps the results.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/simnet"
)

type config struct {
	servers, names int
	profile        simnet.Profile
	seed           uint64
	contenders     []contender.Contender
	json           bool
}

func main() {
	c, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "dht:", err)
		os.Exit(2)
	}
	simnet.Main(c.seed, func(out *os.File) error {
		if c.json {
			return c.run(context.Background(), jsonPrinter(out))
		}
		return c.run(context.Background(), tablePrinter(out))
	})
}

func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("dht", flag.ExitOnError)
	flags.IntVar(&c.servers, "servers", 10_000, "servers of the network, dead ones included")
	flags.IntVar(&c.names, "names", 100, "names to publish and to resolve")
	profile := flags.String("profile", "real15", "network: ideal, real15 or real30")
	flags.Uint64Var(&c.seed, "seed", 1, "equal seeds give equal tables")
	client := flags.String("client", "", "comma-separated clients; all if empty")
	flags.BoolVar(&c.json, "json", false, "one JSON object a line")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if c.names < 1 || c.servers < 2*simnet.BucketSize {
		return c, fmt.Errorf("need at least one name and %d servers", 2*simnet.BucketSize)
	}
	var err error
	if c.profile, err = simnet.ProfileByName(*profile); err != nil {
		return c, err
	}
	c.contenders, err = contender.Select(*client, func(c contender.Contender) bool {
		return len(c.PublishAcks) > 0 || len(c.ResolveAcks) > 0
	})
	return c, err
}

// run measures every contender in every state, and prints as it goes.
func (c config) run(ctx context.Context, print func(row) error) error {
	for _, bench := range []string{"publish", "resolve"} {
		for _, who := range c.contenders {
			for _, state := range states(bench, who) {
				for _, conns := range []string{"cold", "warm"} {
					x := experiment{config: c, who: who, bench: bench, state: state, conns: conns}
					rows, err := x.run(ctx)
					if err != nil {
						return fmt.Errorf("%s with %s, map %s, connections %s: %w", bench, who.Name, state, conns, err)
					}
					for _, r := range rows {
						if err := print(r); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// states lists the maps of the network with which a contender can do something.
func states(bench string, who contender.Contender) []string {
	if bench == "publish" && len(who.PublishAcks) == 0 || bench == "resolve" && len(who.ResolveAcks) == 0 {
		return nil
	}
	if who.Explores {
		return []string{"empty", "explored", "aged"}
	}
	return []string{"empty"}
}

// A row is one line of the table.
type row struct {
	Bench       string  `json:"bench"`
	Client      string  `json:"client"`
	Profile     string  `json:"profile"`
	Servers     int     `json:"servers"`
	Map         string  `json:"map"`
	Conns       string  `json:"conns"`
	Acks        int     `json:"acks"`
	P50         float64 `json:"p50_ms"`
	P95         float64 `json:"p95_ms"`
	RPCs        float64 `json:"rpcs"`
	Dials       float64 `json:"dials"`
	HoldersMean float64 `json:"holders_mean"`
	HoldersMin  int     `json:"holders_min"`
}

func jsonPrinter(out io.Writer) func(row) error {
	enc := json.NewEncoder(out)
	return func(r row) error { return enc.Encode(r) }
}

func tablePrinter(out io.Writer) func(row) error {
	const format = "%-8v%-8v%-9v%8v  %-9v%-6v%5v%10v%10v%8v%8v%9v%5v\n"
	fmt.Fprintf(out, format, "bench", "client", "profile", "servers", "map", "conns", "acks", "p50 ms", "p95 ms", "rpcs", "dials", "holders", "min")
	return func(r row) error {
		_, err := fmt.Fprintf(out, format, r.Bench, r.Client, r.Profile, r.Servers, r.Map, r.Conns, r.Acks, r.P50, r.P95, r.RPCs, r.Dials, r.HoldersMean, r.HoldersMin)
		return err
	}
}
