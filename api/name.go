package api

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// nameCommands are the commands of this file.
var nameCommands = []rpc.Spec{NamePublish, NameResolve, NameStatus, NameLog, NameRollback, NameWatch, NameGet, NamePut, NameInspect}

var (
	// NamePublish: point a name to content.
	NamePublish = rpc.Command[PublishRequest, Published]{
		Info: rpc.Info{
			Path: "name/publish", Args: "<path>",
			Short:    "Point a name to content",
			Examples: []string{`ipns name publish /ipfs/$CID`, `ipns name publish --key=blog --ttl=1m --lifetime=7d /ipfs/$CID`, `ipns name publish --allow-offline /ipfs/$CID`},
		},
		Text: PublishRequest.Text,
	}
	// NameResolve: resolve a name to its content.
	NameResolve = rpc.Command[ResolveRequest, Resolved]{
		Info: rpc.Info{
			Path: "name/resolve", Args: "[<name>]",
			Short:    "Resolve a name to its content",
			Examples: []string{`ipns name resolve $NAME`, `ipns name resolve --verbose $NAME`},
		},
		Text:  ResolveRequest.Text,
		Check: ResolveRequest.Check,
	}
	// NameStatus: show the state of a name, or of all names of this node.
	NameStatus = rpc.Command[StatusRequest, Statuses]{
		Info: rpc.Info{
			Path: "name/status", Args: "[<name>]",
			Short:    "Show the state of a name, or of all names of this node",
			Examples: []string{`ipns name status`, `ipns name status blog`},
		},
		Text: StatusRequest.Text,
	}
	// NameLog: list the past values of a name.
	NameLog = rpc.Command[LogRequest, Log]{
		Info: rpc.Info{
			Path: "name/log", Args: "[<name>]",
			Short:    "List the past values of a name",
			Examples: []string{`ipns name log blog`},
		},
		Text: LogRequest.Text,
	}
	// NameRollback: publish a past value of a name again.
	NameRollback = rpc.Command[RollbackRequest, Published]{
		Info: rpc.Info{
			Path: "name/rollback", Args: "<name> [<sequence or cid>]",
			Short: "Publish a past value of a name again",
			Long: "Publish a past value of a name again. Its content must be here, or nobody could\n" +
				"be given it; --force publishes it all the same. Without a value it is an error\n" +
				"that says which past values can still be served.",
			Examples: []string{`ipns name rollback blog 0`},
		},
		Text: RollbackRequest.Text,
	}
	// NameGet: print the record of a name, byte for byte.
	NameGet = rpc.Command[NameGetRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "name/get", Args: "<name>",
			Short:    "Print the record of a name, byte for byte",
			Examples: []string{`ipns name get $NAME > record.bin`},
		},
	}
	// NameInspect: show the fields of a record, and whether it is valid.
	NameInspect = rpc.Command[InspectRequest, Inspected]{
		Info: rpc.Info{
			Path: "name/inspect", Args: "[<file>]",
			Short:    "Show the fields of a record, and whether it is valid",
			Examples: []string{`ipns name inspect record.bin`, `ipns name inspect --verify=$NAME record.bin`},
			Local:    true,
		},
		Text: InspectRequest.Text,
	}
)

// PublishRequest points a name to a path.
type PublishRequest struct {
	Path           string         `arg:"ipfs-path,stdin"`
	Key            string         `opt:"key,k" default:"self" help:"name of the key, or the IPNS name or peer id it belongs to; agent:COMMENT of an ssh-agent, signer:URL#LABEL of Ipns.Signers"`
	Resolve        bool           `opt:"resolve" default:"true" help:"check that the path resolves before publishing"`
	Lifetime       *time.Duration `opt:"lifetime,t" help:"how long the record is valid: 300s, 36h, 2d (default 48h)"`
	TTL            *time.Duration `opt:"ttl" help:"how long others may cache the record (default 5m, at most the lifetime)"`
	Quieter        bool           `opt:"quieter,Q" help:"print only the name"`
	V1Compat       *bool          `opt:"v1compat" help:"add the fields that clients older than 2023 need, which takes a second signature (default true, but false for a key that an ssh-agent or a signer has)"`
	AllowOffline   bool           `opt:"allow-offline" help:"succeed once the record is stored, even if no server accepts it"`
	AllowDelegated bool           `opt:"allow-delegated" help:"publish over HTTP, without the DHT (needs Ipns.DelegatedPublishers)"`
	Sequence       *uint64        `opt:"sequence" help:"publish under this sequence number, which must be higher than the last"`
	IfSequence     *uint64        `opt:"if-sequence" help:"publish only if this is the last sequence number of the name"`
	Force          bool           `opt:"force" help:"publish even if the last sequence number is unknown, the clock is off, or the lifetime is longer than a year"`
	OnRival        string         `opt:"on-rival" help:"what to do if someone else publishes with this key: raise (publish a higher sequence) or stop (check first, and fail) (default raise)"`
	Wait           string         `opt:"wait" help:"what to wait for: stored, a number of servers, or all (default 10 servers, or all that are reachable)"`
	Keep           *int           `opt:"keep" help:"pin the value for the name, keep so many of its last values pinned, and no longer those before them; 0: as many as last time"`
	IPNSBase       string         `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
	Progress       bool           `opt:"progress,p" chunked:"true" help:"report each server that answers"`
}

// Failed implements [rpc.Failer].
func (*PublishRequest) Failed(err error) any { return failed(err) }

// Published is a published name. Name and Value are as in Kubo.
type Published struct {
	Name  string
	Value string
	Outcome
	// Ladder is the ladder that was put; nil: it was a record.
	Ladder *Ladder `json:",omitempty"`
}

// Text is Kubo's line.
func (req PublishRequest) Text(p Published) string {
	if req.Quieter {
		return display.Sprintf("%s\n", p.Name)
	}
	return display.Sprintf("Published to %s: %s\n", p.Name, p.Value)
}

// NameGetRequest returns the record of a name.
type NameGetRequest struct {
	Name string `arg:"name"`
}

// StatusRequest shows the state of a name, or of all names of this node.
type StatusRequest struct {
	Name  string `arg:"name,optional"`
	Local bool   `opt:"local" help:"do not ask the network what it has"`
}

// Held is what the servers of a network hold for a name.
type Held struct {
	Sequence *uint64      // of the newest record found; nil: none was found
	Value    string       `json:",omitempty"` // of that record
	Road     routing.Road `json:",omitempty"` // "": the sources counted here are servers of a DHT
	Holders  int          // servers with this value and sequence
	Other    int          `json:",omitempty"` // servers with another value under this sequence
	Older    int          // servers with an older record
	Answered int          // servers that answered
	Error    string       `json:",omitempty"` // why the figures may be too low
	// Besides lists sources on roads that do not count.
	Besides []HeldBy `json:",omitempty"`
}

// HeldBy is what one source holds for a name.
type HeldBy struct {
	Network  string
	Road     routing.Road
	Source   string  // a URL or a peer id
	Sequence *uint64 // nil: it has no record
	Value    string  `json:",omitempty"`
}

// Statuses is the status of one name or of several. As JSON, one name is an object,
// several are {"Names":[…]}.
type Statuses struct {
	One   *Status
	Names []Status
}

// Status is what this node knows about a name.
type Status struct {
	Name     string
	Key      string `json:",omitempty"` // its key, if it is here
	Value    string
	Sequence uint64
	EOL      time.Time
	TTL      time.Duration // nanoseconds, as signed
	// Lifetime is the time in nanoseconds for which the record was signed here; 0: it was
	// signed elsewhere.
	Lifetime time.Duration `json:",omitempty"`
	// ValidFor is the time until EOL in seconds; negative after it.
	ValidFor int64
	Expired  bool
	Origin   string
	// When this record was last announced, and when the name is announced next; nil if
	// never. Upkeep of another record of the name is not shown.
	LastAnnounced *time.Time `json:",omitempty"`
	NextAnnounce  *time.Time `json:",omitempty"`
	// Holders is how many servers took this record last time; Announced, Of and Networks
	// are its receipt, as in Published.
	Holders   int
	Announced int
	Of        int
	Networks  []NetworkReceipt `json:",omitempty"`
	LastError string           `json:",omitempty"`
	// Signer is why its key cannot sign now; "": it can, as far as is known.
	Signer string `json:",omitempty"`
	// Network is what the network holds now, if it was asked.
	Network *Held `json:",omitempty"`
	// Rivals counts other values under the same sequence, which RivalValues lists:
	// someone else signs with the key.
	Rivals      int      `json:",omitempty"`
	RivalValues []string `json:",omitempty"`
	// LastRival is the last record by another holder of the key that replaced one from
	// here; nil: none since the last publish here.
	LastRival *Rival `json:",omitempty"`
	// Damaged says that the stored entry cannot be read, and that this was rebuilt from
	// other data.
	Damaged bool `json:",omitempty"`
	// Risk is why the name may be lost although its record is valid.
	Risk string `json:",omitempty"`
	// Ladder is what was signed in advance.
	Ladder *Ladder `json:",omitempty"`
	// Chain lists the names behind this one, if it leads to another name.
	Chain []Delegated `json:",omitempty"`
}

// MarshalJSON writes one object or a list.
func (s Statuses) MarshalJSON() ([]byte, error) {
	if s.One != nil {
		return json.Marshal(s.One)
	}
	return json.Marshal(struct{ Names []Status }{s.Names})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Statuses) UnmarshalJSON(b []byte) error {
	var list struct{ Names *[]Status }
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if list.Names != nil {
		*s = Statuses{Names: *list.Names}
		return nil
	}
	s.One = new(Status)
	return json.Unmarshal(b, s.One)
}

// Text is a few lines for one name, or one line each for several.
func (StatusRequest) Text(s Statuses) string {
	if s.One == nil {
		return table(func(tw io.Writer) {
			for _, n := range s.Names {
				display.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", n.Name, n.Key, n.Sequence, n.lifeText(), n.Value)
			}
		})
	}
	n := *s.One
	return table(func(tw io.Writer) {
		display.Fprintf(tw, "Name:\t%s\n", n.Name)
		if n.Key != "" {
			display.Fprintf(tw, "Key:\t%s\n", n.Key)
		}
		if n.Damaged {
			display.Fprintf(tw, "Damaged:\tthe stored entry cannot be read; this is from its history; run 'ipns repo verify --repair'\n")
		}
		display.Fprintf(tw, "Value:\t%s\n", n.Value)
		display.Fprintf(tw, "Sequence:\t%d\n", n.Sequence)
		display.Fprintf(tw, "EOL:\t%s (%s)\n", n.EOL.UTC().Format(time.RFC3339), n.lifeText())
		display.Fprintf(tw, "TTL:\t%s\n", n.TTL)
		for _, hop := range n.Chain {
			display.Fprintf(tw, "Leads to:\t%s\n", hop.words(time.Now()))
		}
		if n.Ladder != nil {
			n.Ladder.write(tw)
		}
		if n.Risk != "" {
			display.Fprintf(tw, "At risk:\t%s\n", n.Risk)
		}
		switch {
		case n.LastAnnounced != nil && n.Announced == 0:
			display.Fprintf(tw, "Announced:\tto nobody; last tried %s\n", n.LastAnnounced.UTC().Format(time.RFC3339))
		case n.LastAnnounced != nil:
			display.Fprintf(tw, "Announced:\t%s, to %d of %d %s%s\n", n.LastAnnounced.UTC().Format(time.RFC3339),
				n.Announced, n.Of, roadOf(n.Networks).Targets(0), besides(n.Networks))
		default:
			display.Fprintf(tw, "Announced:\tnever\n")
		}
		for _, net := range n.Networks {
			if net.Away {
				display.Fprintf(tw, "Away:\t%s: %s\n", net.Network, net.awayWords())
			}
			for _, r := range net.Refused {
				display.Fprintf(tw, "Refused:\t%s (%s): %s\n", r.Target, net.Network, r.Reason)
			}
		}
		if n.NextAnnounce != nil {
			display.Fprintf(tw, "Next:\t%s\n", n.NextAnnounce.UTC().Format(time.RFC3339))
		}
		if h := n.Network; h != nil {
			display.Fprintf(tw, "Network:\t%s\n", h.words(n.Sequence))
			for _, b := range h.Besides {
				display.Fprintf(tw, "Besides:\t%s\n", b.words())
			}
		}
		if n.Rivals > 0 {
			display.Fprintf(tw, "Rivals:\t%d other values under this sequence: someone else signs with the key; publish again to settle it\n", n.Rivals)
			for _, v := range n.RivalValues {
				display.Fprintf(tw, "Rival:\t%s\n", v)
			}
		}
		if r := n.LastRival; r != nil && !slices.Contains(n.RivalValues, r.Value) {
			display.Fprintf(tw, "Rival:\t%s (sequence %d): %s\n", r.Value, r.Sequence, n.rivalWords())
		}
		if n.LastError != "" {
			display.Fprintf(tw, "Last error:\t%s\n", n.LastError)
		}
		if n.Signer != "" {
			display.Fprintf(tw, "Signer:\tits key cannot sign, so that it is not renewed: %s\n", n.Signer)
		}
	})
}

// awayWords describes what away means for the network.
func (n NetworkReceipt) awayWords() string {
	if n.Road == routing.HTTP {
		return "it could not be reached"
	}
	return "none of its servers could be reached"
}

// rivalWords says what happened to the last rival, and what to do.
func (s Status) rivalWords() string {
	since := ""
	if !s.LastRival.Since.IsZero() {
		since = ", since " + s.LastRival.Since.UTC().Format(time.RFC3339)
	}
	what := "it was replaced from here"
	if s.LastRival.Sequence > s.Sequence || s.LastRival.Value == s.Value {
		what = "the name has its value now, publish again to replace it"
	}
	return "another writer signs with this key" + since + ": " + what + "; find out who has the key"
}

// words describes what the source holds.
func (b HeldBy) words() string {
	what := "no record"
	if b.Sequence != nil {
		what = display.Sprintf("sequence %d", *b.Sequence)
	}
	return display.Sprintf("%s %s has %s", b.Road.Targets(1), b.Source, what)
}

// words describes what servers hold, compared with a record with the given sequence.
func (h *Held) words(sequence uint64) string {
	who := h.Road.Targets(0)
	text := display.Sprintf("none of %d %s has it", h.Answered, who)
	switch {
	case h.Sequence == nil:
	case *h.Sequence < sequence:
		text += display.Sprintf(", %d have sequence %d", h.Holders, *h.Sequence)
	default:
		text = display.Sprintf("%d of %d %s have sequence %d", h.Holders, h.Answered, who, *h.Sequence)
	}
	if h.Other > 0 {
		text += display.Sprintf(", %d another value under it", h.Other)
	}
	if h.Older > 0 {
		text += display.Sprintf(", %d an older one", h.Older)
	}
	if h.Error != "" {
		text += " (" + h.Error + ")"
	}
	return text
}

func (s Status) lifeText() string {
	if s.Damaged {
		return "DAMAGED"
	}
	if s.Expired {
		return "expired"
	}
	return (time.Duration(s.ValidFor) * time.Second).String() + " left"
}
