// Command sweep measures how clients put the records of many names again on a
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
	store, json    bool
}

func main() {
	c, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sweep:", err)
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
	flags := flag.NewFlagSet("sweep", flag.ExitOnError)
	flags.IntVar(&c.servers, "servers", 10_000, "servers of the network, dead ones included")
	flags.IntVar(&c.names, "names", 1000, "names to republish")
	profile := flags.String("profile", "real15", "network: ideal, real15 or real30")
	flags.Uint64Var(&c.seed, "seed", 1, "equal seeds give equal tables, but for cpu_s, client_heap_mib and scan_s")
	client := flags.String("client", "", "comma-separated clients; all if empty")
	flags.BoolVar(&c.store, "store", false, "read the records from a store on disk, and note what became of them; only clients that can")
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
	c.contenders, err = contender.Select(*client, func(who contender.Contender) bool { return who.Sweeps && (who.Reads || !c.store) })
	return c, err
}

// A row is one line of the table.
type row struct {
	Bench         string  `json:"bench"`
	Client        string  `json:"client"`
	Profile       string  `json:"profile"`
	Servers       int     `json:"servers"`
	Names         int     `json:"names"`
	MsPerName     float64 `json:"ms_per_name"`
	ExploreRPCs   int64   `json:"explore_rpcs"`
	SelfcheckRPCs int64   `json:"selfcheck_rpcs"`
	RPCsPerName   float64 `json:"rpcs_per_name"`
	Dials         int64   `json:"dials"`
	BytesUp       int64   `json:"bytes_up"`
	BytesDown     int64   `json:"bytes_down"`
	HoldersMean   float64 `json:"holders_mean"`
	HoldersP001   int     `json:"holders_p001"`
	CPU           float64 `json:"cpu_s"`
	ClientHeap    float64 `json:"client_heap_mib"`
	Store         bool    `json:"store,omitempty"`
	Scan          float64 `json:"scan_s,omitempty"` // real time in which the store was read
}

func jsonPrinter(out io.Writer) func(row) error {
	enc := json.NewEncoder(out)
	return func(r row) error { return enc.Encode(r) }
}

func tablePrinter(out io.Writer) func(row) error {
	const format = "%-8v%-9v%8v%9v%12v%10v%11v%11v%9v%10v%10v%9v%6v%8v%9v\n"
	fmt.Fprintf(out, format, "client", "profile", "servers", "names", "ms/name", "explore", "selfcheck", "rpcs/name", "dials", "MB up", "MB down", "holders", "p0.1", "cpu s", "heap MiB")
	return func(r row) error {
		const mega = 1e6
		_, err := fmt.Fprintf(out, format, r.Client, r.Profile, r.Servers, r.Names, r.MsPerName, r.ExploreRPCs, r.SelfcheckRPCs,
			r.RPCsPerName, r.Dials, round(float64(r.BytesUp)/mega, 10), round(float64(r.BytesDown)/mega, 10), r.HoldersMean, r.HoldersP001, r.CPU, r.ClientHeap)
		if r.Store {
			fmt.Fprintf(out, "         the store was read for %v s\n", r.Scan)
		}
		return err
	}
}
