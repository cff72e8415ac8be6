package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
)

// daemonOptions are the options of the command daemon that are not node.Config.
type daemonOptions struct {
	init        bool
	config      string // a file for init
	profiles    string // for init
	store       string // for init
	routing     string
	usePubsub   bool
	routingOnly bool
}

// kubosDaemonOptions are those of Kubo's that do not do here what they say, with what the
// daemon says of them, and the value that asks for what happens anyway.
var kubosDaemonOptions = []struct{ name, taken, why string }{
	{"migrate", "", "a repo of an older version is made one of this version without it"},
	{"mount", "false", "nothing is mounted; programs read over the gateway"},
	{"mount-ipfs", "", "nothing is mounted; programs read over the gateway"},
	{"mount-ipns", "", "nothing is mounted; programs read over the gateway"},
	{"mount-mfs", "", "nothing is mounted, and there is no MFS"},
	{"writable", "false", "the gateway is read only; content is added by the API"},
	{"unrestricted-api", "false", "the API serves no content; the gateway does"},
	{"disable-transport-encryption", "false", "connections to peers are always encrypted"},
	{"manage-fdlimit", "true", "the limit of open files is always raised as far as the system allows"},
	{"enable-pubsub-experiment", "false", "there are no pubsub commands; names travel over pubsub with Ipns.UsePubsub"},
	{"enable-mplex-experiment", "", "there is no mplex, connections use yamux or QUIC"},
}

func (c *cli) daemonCmd() *cobra.Command {
	var o daemonOptions
	var n node.Config
	var reload bool
	cmd := &cobra.Command{
		Use:     "daemon",
		Short:   "Run the node of the repo until interrupted",
		Example: examples("ipns daemon", "ipns daemon --init --routing-only", "ipns daemon --bootstrap=$PEER"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reload {
				return c.reload(cmd)
			}
			r, err := c.repository()
			if err != nil {
				return err
			}
			display.Fprintln(c.out, "Initializing daemon...")
			o.store = n.Store
			if err := c.initForDaemon(cmd, r, o); err != nil {
				return err
			}
			c.noteIdleOptions(cmd.Flags())
			if o.routingOnly {
				return c.runRouting(cmd, r, node.Config{Bootstrap: n.Bootstrap, AgentSuffix: n.AgentSuffix})
			}
			if n.Routing, err = routingType(o.routing); err != nil {
				return err
			}
			n.Offline = c.offline
			if cmd.Flags().Changed("enable-namesys-pubsub") {
				n.Pubsub = &o.usePubsub
			}
			return c.runDaemon(cmd.Context(), r, n)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.init, "init", false, "make the repo if it does not exist")
	f.StringVar(&o.config, "init-config", "", "config file for --init, as of ipns init")
	f.StringVar(&o.profiles, "init-profile", "", "profiles for --init")
	f.StringSliceVar(&n.Bootstrap, "bootstrap", nil, "another peer to join the network through: a multiaddr with a peer id")
	f.StringVar(&n.Store, "store", "", storeUsage+"; overrides Ipns.Store of the config, and becomes it with --init")
	f.StringVar(&o.routing, "routing", "", "overrides Routing.Type of the config: "+strings.Join(repo.RoutingTypes, ", "))
	f.BoolVar(&o.usePubsub, "enable-namesys-pubsub", false, "publish and resolve names by pubsub, too; overrides Ipns.UsePubsub of the config")
	f.StringVar(&n.AgentSuffix, "agent-version-suffix", "", "follows the agent version that others see, unless the config has Version.AgentSuffix")
	f.BoolVar(&o.routingOnly, "routing-only", false, "only serve /routing/v1 on the gateway's address: no keys, no content, no API")
	f.BoolVar(&reload, "reload", false, "make the daemon that runs read its config again, as 'ipns config reload' does, and exit")
	f.Bool("enable-gc", true, "accepted for compatibility: content that nothing needs is always deleted when there is more than Datastore.StorageMax of the config allows")
	f.Lookup("enable-gc").Hidden = true
	for _, k := range kubosDaemonOptions {
		f.String(k.name, k.taken, "accepted for compatibility")
		flag := f.Lookup(k.name)
		flag.Hidden = true
		if !strings.HasPrefix(k.name, "mount-") {
			flag.NoOptDefVal = "true"
		}
	}
	return cmd
}

// initForDaemon makes the repo if that is asked for and there is none.
func (c *cli) initForDaemon(cmd *cobra.Command, r repo.Repo, o daemonOptions) (err error) {
	option, given := "--init-profile", o.profiles
	if o.config != "" {
		option, given = "--init-config", o.config
	}
	switch {
	case !o.init && given != "":
		return usage(cmd, "%s is for --init", option)
	case !o.init:
		return nil
	case r.Exists():
		if given != "" {
			display.Fprintf(c.errOut, "note: %s does nothing: the repo already exists\n", option)
		}
		return nil
	}
	init := initOptions{profiles: o.profiles, algorithm: "ed25519", store: o.store}
	if o.config != "" {
		if init.config, err = c.readConfig(o.config); err != nil {
			return err
		}
	}
	return c.initRepo(cmd.Context(), r, init, c.out)
}

// noteIdleOptions says of each option of Kubo's that was set and does nothing why it does not.
func (c *cli) noteIdleOptions(flags *pflag.FlagSet) {
	for _, k := range kubosDaemonOptions {
		if f := flags.Lookup(k.name); f.Changed && f.Value.String() != k.taken {
			display.Fprintf(c.errOut, "note: --%s does nothing: %s\n", k.name, k.why)
		}
	}
}

// routingType returns the Routing.Type for --routing; empty if the config's applies.
func routingType(option string) (string, error) {
	switch {
	case option == "" || option == "default":
		return "", nil
	case option == "supernode":
		return "", errors.New("supernode routing was never fully implemented and has been removed")
	case !slices.Contains(repo.RoutingTypes, option):
		return "", errors.New("unrecognized routing option: " + option)
	}
	return option, nil
}
