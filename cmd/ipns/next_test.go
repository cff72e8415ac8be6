package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/internal/transport"
	"github.com/goipns/ipns/rpc"
)

// A message ends with what its reader can do about it on this command line.
func TestNextStepFollowsTheReason(t *testing.T) {
	because := func(reasons ...string) error {
		err := errors.New("it failed")
		for _, r := range reasons {
			err = rpc.Because(r, fmt.Errorf("and so: %w", err))
		}
		return err
	}
	const notMeant = "; if this node is not meant to be on that network, say so by 'ipns bootstrap rm --all'"
	for _, tt := range []struct {
		err  error
		args []string
		want string
	}{
		{because(), nil, ""},
		{because(api.ReasonOffline), nil, ""}, // Kubo's text says it
		{because(api.ReasonUnannounced, api.ReasonAway), nil, " (--allow-offline makes this a success)" + notMeant},
		{because(api.ReasonNotKnown, api.ReasonAway), nil, " (--sequence N or --force); this node keeps trying to join it" + notMeant},
		{because(api.ReasonClock), nil, " (--force)"},
		{because(api.ReasonClock, api.ReasonRival), nil, "; set the clock, or --force"},
		{because(api.ReasonRival), nil, ""},
		{because(api.ReasonRival), []string{"--on-rival=stop"}, "; publish without --on-rival stop to replace it"},
		{transport.ErrTaken, nil, "; choose another with 'ipns config --json Addresses.Swarm [...]'"},
		{&serve.ListenError{Key: "Addresses.Gateway", Addr: "/ip4/127.0.0.1/tcp/1", Err: syscall.EADDRINUSE}, nil, "; choose another with 'ipns config Addresses.Gateway /ip4/127.0.0.1/tcp/PORT'"},
		{&serve.ListenError{Key: "Addresses.API", Addr: "/unix/s", Err: syscall.EADDRINUSE}, nil, "; choose another path with 'ipns config Addresses.API /unix/PATH'"},
		{because(api.ReasonConflict), nil, " (--if-sequence with that number publishes over it)"},
	} {
		cmd, _, err := (&cli{}).root().Find([]string{"name", "publish"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(tt.args); err != nil {
			t.Fatal(err)
		}
		if got := nextStep(cmd, tt.err); got != tt.want {
			t.Errorf("%v (%s): %q, want %q", tt.err, rpc.ReasonOf(tt.err), got, tt.want)
		}
	}
}
