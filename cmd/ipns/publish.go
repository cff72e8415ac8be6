package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/deploy"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// keyVariable is the environment variable that may hold the key.
const keyVariable = "IPNS_KEY"

// publishOptions say what to publish, and by whom it is signed.
type publishOptions struct {
	what string // folder, CID or CAR file

	Key        string         `opt:"key,k" help:"key of the node that signs: its name, or the IPNS name (default self, unless a key or record is given otherwise)"`
	KeyFile    string         `opt:"key-file" help:"file with the private key that signs"`
	Record     string         `opt:"record" help:"file with a record that was signed elsewhere"`
	Name       string         `opt:"name" help:"name of that record"`
	Hidden     bool           `opt:"hidden,H" help:"also add files whose names begin with a dot"`
	Acks       uint           `opt:"acks" help:"how many servers must take the record (default 10, or all if there are fewer)"`
	Lifetime   *time.Duration `opt:"lifetime,t" help:"how long the record is valid: 36h, 30d (default 48h, or 30d for a key that the node does not have)"`
	TTL        *time.Duration `opt:"ttl" help:"how long others may cache the record (default 5m)"`
	Sequence   *uint64        `opt:"sequence" help:"publish under this sequence number, which must be higher than the last"`
	IfSequence *uint64        `opt:"if-sequence" help:"publish only if this is the last sequence number of the name"`
	Keep       uint           `opt:"keep" help:"how many values of the name stay pinned, for a key of the node (default Ipns.KeepValues, or 3; then as last time)"`
	PinTo      string         `opt:"pin-to" help:"pinning service of the config that must have the content first; see 'ipns pin remote service'"`
	Bootstrap  []string       `opt:"bootstrap" help:"another peer to join the network through, also for the look from outside"`
	Routers    []string       `opt:"router" help:"URL of a delegated router to ask from outside as well"`
}

func (c *cli) publishCmd() *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish <folder, cid or car>",
		Short: "Publish content under a name and check from outside that all of it worked, for CI",
		Long: `Publish content under a name and check from outside that all of it worked, for
CI.

Adds and pins the content, announces it, waits until a host that knows nothing
can find and fetch its root, publishes the name, waits for servers to take the
record, and looks for it from outside. What fails before the name is published
leaves it as it was, and unpins what was added.

It uses the running daemon, or that of --api; otherwise this process is the node
until the end, and makes a repo if there is none. Somebody has to go on serving
the content and the name: a daemon, or for the content a service (--pin-to).

The key is one of the node (--key), or is read from a file (--key-file, - is
standard input) or from the variable ` + keyVariable + `, in any format that
'ipns key import' reads. Such a key stays in this process: it signs here, for 30
days unless --lifetime says otherwise, and the node gets the record alone. With
--record and --name the record was signed elsewhere, and must have the CID of
the content as its value.

--timeout limits each step (10m). Exit codes:
   0  published, and seen from outside; or stored, where there is no network
   1  anything else failed
   2  bad input: an option, the path, or a record for other content
   3  no such key, or it cannot be read
   4  no node: it could not be started, or the daemon does not answer
   5  the content could not be read, stored or pinned
   6  the service of --pin-to did not pin it
   7  nobody outside can find and fetch the root
   8  refused: there is a newer record, or may be
   9  stored, but too few servers took the record
  10  announced, but others do not find the record
 130  interrupted`,
		Example: examples("ipns publish --record=signed.bin --name=$NAME $CID", "ipns publish --key=blog site", "ipns publish --key-file=deploy.pem --json site"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return c.publishFailed(code(deploy.BadInput, usage(cmd, `argument "folder, cid or car" is required`)))
			}
			o.what = args[0]
			return c.publish(cmd, o)
		},
	}
	bind(cmd, &o)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return code(deploy.BadInput, flagError(cmd, err)) })
	return cmd
}

// code gives an error the exit code of an outcome.
func code(o deploy.Outcome, err error) error { return &exitError{o.Code(), err} }

func (c *cli) publish(cmd *cobra.Command, o publishOptions) error {
	ctx := cmd.Context() // --timeout is for each step
	if c.offline {
		ctx = rpc.Offline(ctx)
	}
	plan, err := c.planSigner(o)
	if err != nil {
		return c.publishFailed(err)
	}
	content, err := c.planContent(o)
	if err != nil {
		return c.publishFailed(code(deploy.BadInput, err))
	}
	if plan.Peers, err = host.ParseBootstrap(o.Bootstrap); err != nil {
		return c.publishFailed(code(deploy.BadInput, err))
	}
	plan.Lifetime, plan.TTL, plan.Sequence, plan.IfSequence = o.Lifetime, o.TTL, o.Sequence, o.IfSequence
	if o.Keep > repo.MaxKeepValues {
		return c.publishFailed(code(deploy.BadInput, fmt.Errorf("--keep is at most %d", repo.MaxKeepValues)))
	}
	plan.Keep = int(o.Keep)
	plan.Acks, plan.Service, plan.Routers, plan.Agent, plan.Step = int(o.Acks), o.PinTo, o.Routers, node.Agent, c.timeout
	var done error // what the deploy itself came to
	err = c.deployNode(ctx, cmd, o, plan, func(n rpc.Caller) error {
		plan.Node = n
		if err := c.planOutside(ctx, n, &plan); err != nil {
			return err
		}
		bar := c.progress("publishing")
		defer bar.end()
		plan.Told = bar.step
		plan.Add = content(n)
		report, err := deploy.Run(ctx, plan)
		bar.clear()
		done = c.publishDone(report, err)
		return nil
	})
	switch {
	case done != nil:
		return done
	case err != nil && ctx.Err() != nil:
		return c.publishFailed(code(deploy.Interrupted, fmt.Errorf("interrupted: %w", err)))
	case err != nil:
		return c.publishFailed(err)
	}
	return nil
}

// publishDone prints the report.
func (c *cli) publishDone(r deploy.Report, err error) error {
	for _, w := range r.Warnings {
		display.Fprintf(c.errOut, "warning: %s\n", w)
	}
	if err == nil {
		return c.print(r, publishText(r))
	}
	exit := &exitError{r.Code, err}
	if c.asJSON() {
		exit.err = errors.Join(err, c.print(r, ""))
	}
	return exit
}

// publishFailed prints a report of what failed before the deploy began.
func (c *cli) publishFailed(err error) error {
	exit := new(exitError)
	if !errors.As(err, &exit) {
		exit = &exitError{deploy.NoNode.Code(), err}
	}
	if c.asJSON() {
		if err := c.print(deploy.Report{Outcome: deploy.OutcomeOf(exit.code), Code: exit.code, Error: err.Error()}, ""); err != nil {
			return err
		}
	}
	return exit
}

// publishText is one line.
func publishText(r deploy.Report) string {
	var b strings.Builder
	display.Fprintf(&b, "published %s = /ipfs/%s (sequence %d, ", r.Name, r.CID, *r.Sequence)
	if r.Alone {
		display.Fprintf(&b, "stored only: this node is on no network)\n")
		return b.String()
	}
	display.Fprintf(&b, "taken by %d of %d servers, seen at %d of %d)\n", r.Announced, r.Of, r.Seen, r.SeenOf)
	return b.String()
}

// deployNode calls f with the daemon, or with a node in this process that is on the
// network.
func (c *cli) deployNode(ctx context.Context, cmd *cobra.Command, o publishOptions, plan deploy.Plan, f func(rpc.Caller) error) error {
	if c.api != "" {
		return c.withClient(c.api, f)
	}
	r, err := c.repository()
	if err != nil {
		return err
	}
	if !r.Exists() {
		if plan.Key != "" {
			return code(deploy.NoKey, fmt.Errorf("there is no key %q: no repo is at %s", plan.Key, string(r)))
		}
		if err := c.initSiteRepo(cmd, r, upOptions{}); err != nil {
			return err
		}
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, api, err := c.lockOrAPI(ctx, r)
	if err != nil {
		return err
	}
	if api != "" {
		return c.withClient(api, f)
	}
	passphrase, encrypt, err := c.daemonPassphrase()
	if err != nil {
		return errors.Join(err, lock.Unlock())
	}
	n, err := node.New(ctx, r, node.Config{Offline: c.offline, Brief: true, Bootstrap: o.Bootstrap, Log: c.logger(), Passphrase: passphrase, Encrypt: encrypt})
	if err != nil {
		return errors.Join(err, lock.Unlock())
	}
	return errors.Join(f(verbs.Mux(n)), n.Close(), lock.Unlock())
}

// planOutside adds the peers of the node to those that are asked from outside.
func (c *cli) planOutside(ctx context.Context, n rpc.Caller, plan *deploy.Plan) error {
	if c.offline {
		plan.Peers, plan.Routers = nil, nil
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(plan.Step, deploy.DefaultStep))
	defer cancel()
	list, err := rpc.Do(ctx, n, api.BootstrapList, api.BootstrapListRequest{})
	if err != nil {
		return err
	}
	addrs := list.Peers
	if len(addrs)+len(plan.Peers) == 0 {
		peers, err := rpc.Do(ctx, n, api.SwarmPeers, api.SwarmPeersRequest{})
		if err != nil && !errors.Is(err, api.ErrOffline) && !rpc.HasReason(err, api.ReasonOffline) {
			return err
		}
		for _, p := range peers.Peers {
			addrs = append(addrs, p.Addr+"/p2p/"+p.Peer)
		}
	}
	more, err := host.ParseBootstrap(addrs)
	plan.Peers = append(plan.Peers, more...)
	return err
}
