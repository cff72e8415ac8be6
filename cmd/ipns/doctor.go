package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/dnslink"
	"github.com/goipns/ipns/internal/doctor"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/kubo"
	"github.com/goipns/ipns/internal/reach"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// maxAsked is how many names others are asked for.
const maxAsked = 20

// Exit codes of the doctor.
const (
	exitFindings = 1
	exitFailed   = 2
)

// doctorOutput is what the doctor prints as JSON.
type doctorOutput struct {
	Path     string
	Kubo     bool
	Findings []doctor.Finding
}

// examination is one call of the doctor.
type examination struct {
	*cli
	req       check.Request
	bootstrap []string
	domains   []string
	route     doctor.Route
	facts     doctor.Facts
}

func (c *cli) doctorCmd() *cobra.Command {
	e := &examination{cli: c, req: check.Request{UserAgent: node.Agent}}
	cmd := &cobra.Command{
		Use: "doctor [<path>]", Short: "Explain what is wrong with a repo, ours or Kubo's, and with its names",
		Long: `Explain what is wrong with a repo, ours or Kubo's, and with its names.
Each finding says what it means and which command mends it. Others are asked for
the names, unless --offline is given, and the way into the network is taken step
by step: link, DNS, the bootstrap peers of each operator, UDP, DHT,
reachability, relays of the config. The first step that fails is named.

The exit code is 0 if nothing is wrong, 1 if something is, and 2 if the repo
could not be examined.`,
		Args:    cobra.MaximumNArgs(1),
		Example: examples("ipns doctor --offline", "ipns doctor --offline kubo", "ipns doctor --bootstrap=$PEER"),
	}
	f := cmd.Flags()
	f.StringArrayVar(&e.domains, "domain", nil, "a domain whose DNSLink should lead to one of the names")
	f.StringArrayVar(&e.facts.Contenthashs, "contenthash", nil, "the contenthash of an ENS name that should lead to one of the names")
	f.StringArrayVar(&e.bootstrap, "bootstrap", nil, "peer to join the DHT through (default those of the config, or else the daemon's peers)")
	f.StringArrayVar(&e.req.Routers, "router", nil, "URL of a delegated router to ask as well (default those of the config)")
	f.StringArrayVar(&e.req.Gateways, "gateway", nil, "URL of a gateway to ask as well")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := c.context(cmd)
		defer cancel()
		if err := e.examine(ctx, args); err != nil {
			return &exitError{exitFailed, err}
		}
		found := doctor.Examine(e.facts)
		if err := c.print(doctorOutput{e.facts.Path, e.facts.Kubo, found}, doctor.Text(found)); err != nil {
			return &exitError{exitFailed, err}
		}
		if doctor.Wrong(found) > 0 {
			return &exitError{exitFindings, nil}
		}
		return nil
	}
	return cmd
}

// examine gathers the facts.
func (e *examination) examine(ctx context.Context, args []string) error {
	e.facts.Now = time.Now()
	r, err := e.repository()
	if len(args) == 1 {
		r, err = repo.At(args[0])
	}
	if err != nil {
		return err
	}
	e.facts.Path = string(r)
	var addresses []string
	if e.facts.Kubo = kubo.Is(string(r)); e.facts.Kubo {
		addresses, err = e.lookAtKubo(string(r))
	} else {
		addresses, err = e.lookAtOurs(ctx, r)
	}
	if err != nil {
		return err
	}
	if e.facts.Machine, err = doctor.Look(string(r), addresses); err != nil {
		return err
	}
	if e.offline {
		return nil
	}
	for _, d := range e.domains {
		report, err := dnslink.Check(ctx, d, ipns.Name{}, []dnslink.Source{dnslink.System()})
		if err != nil {
			return err
		}
		e.facts.Domains = append(e.facts.Domains, report)
	}
	return e.ask(ctx)
}

// lookAtKubo reads a Kubo repo, and returns the addresses of its config that are free unless
// another program has them.
func (e *examination) lookAtKubo(path string) ([]string, error) {
	from, err := kubo.Open(path)
	if err != nil {
		e.facts.Closed = err
		return nil, nil
	}
	config, _, err := from.Adopt()
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	e.askAsConfigured(config)
	keys, err := from.Keys()
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	for _, key := range keys {
		n := doctor.Name{Key: key.Label, Name: key.Name}
		if key.Err == nil {
			var rec *ipns.Record
			if rec, key.Err = from.Record(key); rec != nil {
				n.Record = &doctor.Record{Sequence: rec.Sequence(), Value: rec.Value(), EOL: rec.EOL()}
			}
		}
		if key.Err != nil {
			n.Err = key.Err.Error()
		}
		e.facts.Names = append(e.facts.Names, n)
	}
	return listens(config), from.Close()
}

func listens(c repo.Config) []string {
	return append(slices.Clone(c.Addresses.Swarm), c.Addresses.API, c.Addresses.Gateway)
}

// lookAtOurs reads a repo of ours, by its daemon if one runs.
func (e *examination) lookAtOurs(ctx context.Context, r repo.Repo) (addresses []string, err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	config, err := r.Config()
	if err != nil {
		return nil, err
	}
	e.askAsConfigured(config)
	e.route.SwarmKey, e.route.Overrides = r.SwarmKey(), r.LimitOverrides()
	e.repoDir = string(r)
	_, down := r.API()
	if down != nil {
		addresses = listens(config)
	}
	e.facts.InClear = config.Identity.PrivKey != ""
	return addresses, e.withNode(ctx, func(n rpc.Caller) error {
		keys, err := rpc.Do(ctx, n, api.KeyLs, api.KeyListRequest{})
		if err != nil {
			return err
		}
		known, err := rpc.Do(ctx, n, api.NameStatus, api.StatusRequest{Local: true})
		if err != nil {
			return err
		}
		for _, s := range known.Names {
			if s.Risk != "" {
				e.facts.Risks = append(e.facts.Risks, doctor.Risk{Name: s.Name, Why: s.Risk})
			}
		}
		for _, key := range keys.Keys {
			if err := e.addName(key, known.Names); err != nil {
				return err
			}
		}
		if err := e.addElsewhere(ctx, n, known.Names); err != nil {
			return err
		}
		if id, err := rpc.Do(ctx, n, api.ID, rpc.New[api.IDRequest]()); err == nil && down == nil {
			e.facts.Locked = id.KeysLocked
			e.route.Addrs = id.Addresses
		}
		if reach, err := rpc.Do(ctx, n, api.SwarmAddrsAutoNAT, api.SwarmAutoNATRequest{}); err == nil {
			e.facts.Fetch, e.facts.Reachability = reach.Fetch, reach.Meaning
		}
		if len(e.bootstrap) > 0 {
			return nil
		}
		if peers, err := rpc.Do(ctx, n, api.SwarmPeers, api.SwarmPeersRequest{}); err == nil { // it is an error offline
			for _, p := range peers.Peers {
				e.bootstrap = append(e.bootstrap, p.Addr+"/p2p/"+p.Peer)
			}
		}
		return nil
	})
}

// addName adds what a node knows of the name of a key.
func (e *examination) addName(key api.Key, known []api.Status) error {
	n := doctor.Name{Key: key.Name}
	if key.Id == "" {
		n.Err = "its file is damaged"
		e.facts.Names = append(e.facts.Names, n)
		return nil
	}
	var err error
	if n.Name, err = ipns.ParseName(key.Id); err != nil {
		return err
	}
	for _, s := range known {
		if s.Name != key.Id || s.EOL.IsZero() {
			continue
		}
		n.Record = &doctor.Record{Sequence: s.Sequence, Value: s.Value, EOL: s.EOL}
		n.Holders, n.LastError = s.Holders, s.LastError
		n.Rivals = s.Rivals > 0 || s.LastRival != nil
		if s.LastAnnounced != nil {
			n.Announced = *s.LastAnnounced
		}
	}
	e.facts.Names = append(e.facts.Names, n)
	return nil
}

const ownOrigin = "own" // of names with a key, in their status

// addElsewhere adds own names whose keys are not here: an agent or signer has them, or nobody.
func (e *examination) addElsewhere(ctx context.Context, n rpc.Caller, known []api.Status) error {
	status, err := rpc.Do(ctx, n, api.RepublishStatus, api.RepublishStatusRequest{})
	if err != nil {
		return err
	}
	risks := map[string]api.AtRisk{}
	for _, r := range status.AtRisk {
		risks[r.Name] = r
	}
	for _, s := range known {
		here := slices.ContainsFunc(e.facts.Names, func(n doctor.Name) bool { return n.Err == "" && n.Name.String() == s.Name })
		risk := risks[s.Name]
		// A name that has ended and has no key anywhere was given up.
		if here || s.Origin != ownOrigin || s.Expired && risk.NoKey {
			continue
		}
		if err := e.addName(api.Key{Name: s.Name, Id: s.Name}, known); err != nil {
			return err
		}
		e.facts.Names[len(e.facts.Names)-1].Signer = risk.Signer
	}
	return nil
}

// askAsConfigured takes whom to ask from a config, unless options say so.
func (e *examination) askAsConfigured(c repo.Config) {
	e.route.Config = c
	if len(e.bootstrap) == 0 {
		e.bootstrap = c.Bootstrap
	}
	if len(e.req.Routers) == 0 {
		routers, publishers := c.HTTPRouters()
		e.req.Routers = slices.Compact(slices.Sorted(slices.Values(slices.Concat(routers, publishers))))
	}
}

// ask asks others for the names.
func (e *examination) ask(ctx context.Context) (err error) {
	if e.req.Peers, err = host.ParseBootstrap(e.bootstrap); err != nil {
		return err
	}
	e.route.Public = e.facts.Fetch == string(reach.Anyone)
	e.route.Bootstrap = host.ExpandBootstrap(e.bootstrap)
	if e.facts.Network, err = doctor.Probe(ctx, e.route); err != nil {
		return err
	}
	for _, url := range slices.Concat(e.req.Gateways, e.req.Routers) {
		if e.facts.Off == nil {
			e.facts.Off = doctor.ClockOff(ctx, url)
		}
	}
	asked := 0
	for i := range e.facts.Names {
		n := &e.facts.Names[i]
		if n.Err != "" {
			continue
		}
		if asked++; asked > maxAsked {
			display.Fprintf(e.errOut, "note: others were asked for the first %d names only\n", maxAsked)
			return nil
		}
		e.req.Name = n.Name
		sources, err := check.Ask(ctx, e.req)
		if errors.Is(err, check.ErrNobody) {
			display.Fprintln(e.errOut, "note: there is nobody to ask for the names; name servers with --bootstrap, or routers or gateways")
			return nil
		}
		if err != nil {
			e.facts.Unheard = err
			return ctx.Err()
		}
		report := check.Judge(n.Name, sources)
		e.facts.Names[i].Outside = &report
	}
	return nil
}

// exitError ends the program with a code; without err, what there is to say was said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
