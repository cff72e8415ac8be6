package api

import (
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

var (
	// KeyShare: share a key with other daemons.
	KeyShare = rpc.Command[KeyShareRequest, SharedKey]{
		Info: rpc.Info{
			Path: "key/share", Args: "<name> <recipient>...",
			Short: "Share a key with other daemons of the database",
			Long: `Share a key with other daemons of the database that has the names.

The key is stored there, encrypted to the daemons that are named and to this
one, and to no others: name all of them each time. They find it under
shared:LABEL and by its IPNS name, and can publish with it and renew its record.

A recipient is a peer id, as 'ipns id' on that machine prints it, or age1…, as
'ipns key shared' there does, of a daemon that has opened the database. What the
database says of a peer id counts only if that peer has signed it. Compare what
is printed: who gets a key has it for good, also when it is shared with them no
longer.`,
			Examples: []string{`ipns key share blog $DAEMON`},
		},
		Text: KeyShareRequest.Text,
	}
	// KeyUnshare: share a key no longer.
	KeyUnshare = rpc.Command[KeyUnshareRequest, SharedKey]{
		Info: rpc.Info{
			Path: "key/unshare", Args: "<name>",
			Short:    "Remove a key from the database",
			Long:     "Remove a key from the database. Daemons that keep no other copy publish and\nrenew with it no longer. Who had it may have kept it.",
			Examples: []string{`ipns key unshare blog`},
		},
		Text: KeyUnshareRequest.Text,
	}
	// KeyShared: list shared keys.
	KeyShared = rpc.Command[KeySharedRequest, SharedKeys]{
		Info: rpc.Info{
			Path:     "key/shared",
			Short:    "List the keys that daemons share, and the daemons",
			Examples: []string{`ipns key shared`},
		},
		Text: KeySharedRequest.Text,
	}
)

// KeyShareRequest shares a key.
type KeyShareRequest struct {
	Key string   `arg:"name"`
	To  []string `arg:"recipient"`
}

// SharedKey is a key that is shared.
type SharedKey struct {
	Label  string
	Name   string
	To     []KeyDaemon
	Here   bool      // this daemon is among them
	Shared time.Time // by the clock of the machine that did it
	// Removed are recipients that had the key before, and may have kept it.
	Removed []string `json:",omitempty"`
}

// KeyDaemon is a daemon with which keys can be shared.
type KeyDaemon struct {
	Peer      string `json:",omitempty"` // "": not known
	Recipient string
	This      bool // it is this one
}

func (d KeyDaemon) String() string {
	text := display.Sprintf("%s", d.Recipient)
	if d.Peer != "" {
		text += display.Sprintf(" of peer %s", d.Peer)
	}
	if d.This {
		text += " (this daemon)"
	}
	return text
}

func (k SharedKey) lines(b *strings.Builder) {
	for _, d := range k.To {
		display.Fprintf(b, "  %s\n", d.String())
	}
	for _, r := range k.Removed {
		display.Fprintf(b, "  no longer %s, who may have kept it\n", r)
	}
}

// Text says with whom the key is shared.
func (KeyShareRequest) Text(k SharedKey) string {
	var b strings.Builder
	display.Fprintf(&b, "%s is shared as shared:%s with\n", k.Name, k.Label)
	k.lines(&b)
	return b.String()
}

// KeyUnshareRequest removes a shared key.
type KeyUnshareRequest struct {
	Key   string `arg:"name"`
	Force bool   `opt:"force,f" help:"also if the key is not in this repo"`
}

// Text says with whom the key was shared.
func (KeyUnshareRequest) Text(k SharedKey) string {
	var b strings.Builder
	display.Fprintf(&b, "%s is no longer shared; who may have kept it:\n", k.Name)
	k.lines(&b)
	return b.String()
}

// KeySharedRequest lists shared keys.
type KeySharedRequest struct{}

// SharedKeys are shared keys, and the daemons with which one can share them.
type SharedKeys struct {
	Keys    []SharedKey
	Daemons []KeyDaemon
}

// Text has a line for each daemon, and some for each key.
func (KeySharedRequest) Text(s SharedKeys) string {
	var b strings.Builder
	for _, d := range s.Daemons {
		display.Fprintf(&b, "daemon %s\n", d.String())
	}
	for _, k := range s.Keys {
		not := ""
		if !k.Here {
			not = ", but not with this daemon"
		}
		display.Fprintf(&b, "%s shared:%s%s\n", k.Name, k.Label, not)
		k.lines(&b)
	}
	return b.String()
}
