package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/backup"
	"github.com/goipns/ipns/internal/migrate"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/internal/storemove"
	"github.com/goipns/ipns/internal/transport"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// nextStep returns advice for the error of a command, which is appended to its message.
// The parts of a node only give the reason, since they do not know who calls them.
func nextStep(cmd *cobra.Command, err error) string {
	if step := setupStep(err); step != "" {
		return step
	}
	var b strings.Builder
	reasons := strings.Fields(rpc.ReasonOf(err))
	for i := len(reasons) - 1; i >= 0; i-- { // innermost first
		b.WriteString(stepFor(cmd, reasons[i], err))
	}
	return b.String()
}

// setupStep returns advice about a repo or config with which no node can start.
func setupStep(err error) string {
	var listen *serve.ListenError
	var conflict *storemove.Conflict
	var few *transport.DescriptorsError
	switch {
	case errors.Is(err, repo.ErrKubo):
		return "; nothing in it was changed: 'ipns init --from-kubo' moves its keys and names into a repo of this program, in the folder that IPNS_PATH names"
	case errors.Is(err, repo.ErrNewer):
		return "; nothing in it was changed: use the newer program, whose 'ipns repo migrate --to N' may go back to a version that this one reads"
	case errors.Is(err, migrate.ErrNotBack):
		return "; nothing was changed: 'ipns store move --to=pebble' brings names back, 'ipns key decrypt' decrypts keys"
	case errors.Is(err, repo.ErrNoRepo):
		return "; run 'ipns init', or set IPNS_PATH"
	case errors.Is(err, node.ErrDamaged):
		return "; your keys are not in it and are safe: 'ipns repo verify --repair' makes a new database of what can be read, and keeps the old one"
	case errors.Is(err, records.ErrElsewhere):
		return "; 'ipns config Ipns.Store URL' names it, and 'ipns store move --to pebble' brings them back"
	case errors.Is(err, records.ErrAway):
		return "; see whether its server runs, and whether Ipns.Store names it"
	case errors.Is(err, records.ErrMoving):
		return "; 'ipns store move --to URL' with that database goes on"
	case errors.Is(err, records.ErrMoved):
		return "; if this is the daemon that has them now, 'ipns store move --to pebble' completes the move"
	case errors.Is(err, storemove.ErrOther):
		return "; name the one that the move was begun to"
	case errors.Is(err, records.ErrInUse):
		return ": stop them first, so that no name is signed in two places"
	case errors.As(err, &conflict):
		return "; nothing was replaced: find out which is right, and remove the other"
	case errors.Is(err, records.ErrLeft):
		return "; 'ipns store move --to URL' moves them, or unset Ipns.Store to leave them here"
	case errors.Is(err, keystore.ErrLocked) && !errors.Is(err, age.ErrDamaged):
		return ": give it by --passphrase-file or $IPNS_PASSPHRASE"
	case errors.Is(err, backup.ErrNewest):
		return ", which --older tries; nothing was changed"
	case errors.Is(err, age.ErrPassphrase), errors.Is(err, backup.ErrSecret), errors.Is(err, backup.ErrDamaged), errors.Is(err, backup.ErrFormat):
		return "; nothing was changed"
	case errors.Is(err, backup.ErrLoses):
		return "; --replace puts it aside"
	case errors.Is(err, transport.ErrTaken):
		return "; choose another with 'ipns config --json Addresses.Swarm [...]'"
	case errors.As(err, &few):
		return fmt.Sprintf("; allow more with 'ulimit -n %d' or LimitNOFILE=%d in its systemd unit", few.Needs, few.Needs)
	case errors.Is(err, serve.ErrOpen):
		return ". Choose one: keep it here ('ipns config Addresses.API /ip4/127.0.0.1/tcp/5001'), ask for a secret (API.Authorizations), " +
			"or leave it open behind a firewall ('ipns config --json API.AllowUnauthenticated true')"
	case errors.As(err, &listen) && strings.HasPrefix(listen.Addr, "/unix/"):
		return fmt.Sprintf("; choose another path with 'ipns config %s /unix/PATH'", listen.Key)
	case errors.As(err, &listen):
		return fmt.Sprintf("; choose another with 'ipns config %s /ip4/127.0.0.1/tcp/PORT'", listen.Key)
	}
	return ""
}

// stepFor returns advice for one reason of an error.
func stepFor(cmd *cobra.Command, reason string, err error) string {
	has := func(other string) bool { return rpc.HasReason(err, other) }
	switch reason {
	case api.ReasonUnannounced:
		if cmd.Flags().Lookup("allow-offline") == nil {
			return ""
		}
		return " (--allow-offline makes this a success)"
	case api.ReasonAway:
		step := "; if this node is not meant to be on that network, say so by 'ipns bootstrap rm --all'"
		if !has(api.ReasonUnannounced) {
			step = "; this node keeps trying to join it" + step
		}
		return step
	case api.ReasonStoreAway:
		return "; nothing was stored, try again later: see whether the server that Ipns.Store names runs, it is used again as soon as it answers"
	case api.ReasonReadOnly:
		return "; nothing was stored, try again when the database takes writes again"
	case api.ReasonConflict:
		if cmd.Flags().Lookup("if-sequence") == nil {
			return ""
		}
		return " (--if-sequence with that number publishes over it)"
	case api.ReasonClock:
		if has(api.ReasonRival) {
			return "; set the clock, or --force"
		}
		return " (--force)"
	case api.ReasonRival:
		if f := cmd.Flags().Lookup("on-rival"); !has(api.ReasonClock) && f != nil && f.Value.String() == "stop" {
			return "; publish without --on-rival stop to replace it"
		}
	case api.ReasonNotKnown:
		return " (--sequence N or --force)"
	case api.ReasonTooLarge:
		return fmt.Sprintf("; the largest is %d without --force", int64(math.MaxInt64))
	case api.ReasonLocked:
		return ": give it to the daemon at its start, or to a command without a daemon, by --passphrase-file or $IPNS_PASSPHRASE"
	case api.ReasonNoKey:
		return "; 'ipns key list' shows those there are"
	case api.ReasonNotPublished:
		return "; 'ipns name status' lists what was"
	case api.ReasonNoContent:
		return "; pass --resolve=false to publish it all the same"
	case api.ReasonNeverHad:
		return fmt.Sprintf("; 'ipns name log %s' lists what it had", cmd.Flags().Arg(0))
	case api.ReasonDamaged:
		if commandPath(cmd) == "repo verify " {
			return ": 'ipns repo verify --repair' repairs what can be repaired"
		}
		return "; run 'ipns repo verify --repair'"
	case api.ReasonNotBootstrap:
		return "; 'ipns bootstrap list' shows them"
	}
	return ""
}
