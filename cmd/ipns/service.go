package main

import (
	"context"
	"net"
	"sync"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/systemd"
	"github.com/goipns/ipns/rpc"
)

// socketsOfSystemd returns the sockets that systemd has opened for this daemon, by the keys of
// the config whose addresses they replace.
func socketsOfSystemd() (map[string]net.Listener, error) {
	given, err := systemd.Listeners("api", "gateway")
	if err != nil {
		return nil, err
	}
	return map[string]net.Listener{"Addresses.API": given["api"], "Addresses.Gateway": given["gateway"]}, nil
}

// watched gives systemd signs of life until the function that it returns is called.
func (d *runningDaemon) watched(ctx context.Context) (stop func()) {
	limit, err := systemd.Watchdog()
	if err != nil {
		d.log.Error("the watchdog of systemd gets no signs of life", "err", err)
	}
	if limit == 0 {
		return func() {}
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { systemd.Watch(watching, limit, d.alive, systemd.Notify, d.log) })
	return func() {
		cancel()
		running.Wait()
	}
}

// alive returns an error unless the daemon does its work: the names in the repo can be read, and
// the servers answer. It hangs if the store does. A store that is damaged is no reason to start
// again, nor is a database elsewhere that is away.
func (d *runningDaemon) alive(ctx context.Context) error {
	if d.node != nil && !d.node.Book.Shared() {
		_, _ = d.node.Book.Seen(ctx, d.node.Name)
	}
	return d.servers.Alive(ctx)
}

// reload makes the running daemon of the repo read its config again.
func (c *cli) reload(cmd *cobra.Command) error {
	return c.withDaemon(cmd.Context(), func(n rpc.Caller) error {
		return c.each(cmd.Context(), n, api.ConfigReload, api.ConfigReload.New())
	})
}
