package api

import (
	"io"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// ladderCommands are the commands of this file, without NamePut.
var ladderCommands = []rpc.Spec{NameRequest, NameSign, NameDelegate}

var (
	// NameRequest: write what a machine without a network is to sign.
	NameRequest = rpc.Command[NameRequestRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "name/request", Args: "<name> [<path>]",
			Short: "Write what a machine that has the key of a name is to sign",
			Long: "Write what a machine that has the key of a name is to sign. That needs no\n" +
				"network: 'ipns name sign' makes a record of the file, and 'ipns name put' takes\n" +
				"that to the network. Without a path, the value stays.",
			Examples: []string{`ipns name request $NAME /ipfs/$CID > blog.request`, `ipns name request --every=31d --count=12 $NAME > blog.request`},
		},
	}
	// NameSign: sign a request.
	NameSign = rpc.Command[SignRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "name/sign", Args: "[<request or path>...]",
			Short: "Sign records that are released elsewhere or later",
			Long: "Sign records that are released elsewhere or later. Given requests of 'ipns name\n" +
				"request', it signs them, on a machine that needs no network. Given a path or\n" +
				"nothing, it makes the request itself, for a key that is here. One record is\n" +
				"written as it travels; several, or one with a --not-before, are a ladder. 'ipns\n" +
				"name put' takes both.\n\n" +
				"No sequence is ever signed for two values here.",
			Examples: []string{`ipns name sign blog.request > blog.record`, `ipns name sign --key=blog --every=31d --count=12 > blog.ladder`},
		},
	}
	// NamePut: publish a record that was signed elsewhere.
	NamePut = rpc.Command[NamePutRequest, Published]{
		Info: rpc.Info{
			Path: "name/put", Args: "<name> <file>",
			Short: "Publish a record or a ladder that was signed elsewhere",
			Long: "Publish a record that was signed elsewhere, by 'ipns name sign' or another\n" +
				"program. A ladder is stored, and the daemon releases each of its steps in time.",
			Examples: []string{`ipns name put $NAME record.bin`},
		},
		Text: NamePutRequest.Text,
	}
	// NameDelegate: let a name lead to one whose key is at hand.
	NameDelegate = rpc.Command[DelegateRequest, Published]{
		Info: rpc.Info{
			Path: "name/delegate", Args: "<anchor> <hot>",
			Short: "Let a name, whose key is kept away, lead to one whose key is at hand",
			Long: "Let a name, whose key is kept away, lead to one whose key is at hand. People\n" +
				"keep using the anchor, and what is published under the hot name is what they\n" +
				"get. If the hot key is lost or stolen, one more signature with the anchor's\n" +
				"replaces it.",
			Examples: []string{`ipns name delegate anchor blog`},
		},
		Text: func(_ DelegateRequest, p Published) string {
			return display.Sprintf("%s leads to %s\n", p.Name, p.Value)
		},
	}
)

// NameRequestRequest writes what is to be signed for a name.
type NameRequestRequest struct {
	Name      string         `arg:"name"`
	Path      string         `arg:"path,optional"`
	Lifetime  *time.Duration `opt:"lifetime,t" help:"how long each record is valid from its release (default 48h; for a ladder 15d more than --every)"`
	TTL       *time.Duration `opt:"ttl" help:"how long others may cache the record (default 5m, at most the lifetime)"`
	V1Compat  *bool          `opt:"v1compat" help:"add the fields that clients older than 2023 need, which takes a second signature (default true, but false for a key in an ssh-agent here)"`
	Sequence  *uint64        `opt:"sequence" help:"sign under this sequence number (default that of the value, or the next one)"`
	NotBefore string         `opt:"not-before" help:"do not release the record before this time, such as 2027-01-01T00:00:00Z"`
	Every     *time.Duration `opt:"every" help:"make a ladder, with a step this often: 31d"`
	Count     int            `opt:"count" default:"1" help:"steps of the ladder"`
}

// SignRequest signs a request.
type SignRequest struct {
	Key      string         `opt:"key,k" help:"name of the key (default that of the request's name)"`
	Lifetime *time.Duration `opt:"lifetime,t" help:"how long each step is valid from its release (default 15d more than --every)"`
	Every    *time.Duration `opt:"every" help:"make a ladder of a request with one record, with a step this often: 31d"`
	Count    int            `opt:"count" default:"1" help:"steps of the ladder"`
	Force    bool           `opt:"force" help:"sign although this clock and that of the request cannot both be right"`
	Request  io.Reader      `file:"request,stdin"`
}

// NamePutRequest puts a signed record on the network.
type NamePutRequest struct {
	Name           string    `arg:"name"`
	Record         io.Reader `file:"record,stdin"`
	AllowOffline   bool      `opt:"allow-offline" help:"succeed once the record is stored here"`
	AllowDelegated bool      `opt:"allow-delegated" help:"publish over HTTP, without the DHT (needs Ipns.DelegatedPublishers)"`
	Force          bool      `opt:"force,f" help:"succeed though a newer record is known, which stays"`
	Quiet          bool      `opt:"quiet,q" help:"print nothing"`
	Wait           string    `opt:"wait" help:"what to wait for: stored, a number of servers, or all (default 10 servers, or all that are reachable)"`
}

// Text is the name.
func (req NamePutRequest) Text(p Published) string {
	if req.Quiet {
		return ""
	}
	text := display.Sprintf("%s\n", p.Name)
	if l := p.Ladder; l != nil && l.Next != nil {
		text += display.Sprintf("%d of %d steps are left, the next is released %s\n", l.Left, l.Steps, l.Next.UTC().Format(time.RFC3339))
	}
	return text
}

// DelegateRequest lets a name lead to another.
type DelegateRequest struct {
	Anchor       string         `arg:"anchor"`
	Hot          string         `arg:"hot"`
	Lifetime     *time.Duration `opt:"lifetime,t" help:"how long the anchor's record is valid (default 365d)"`
	TTL          *time.Duration `opt:"ttl" help:"how long others may cache where the anchor leads (default 5m)"`
	Resolve      bool           `opt:"resolve" default:"true" help:"check that the hot name resolves before publishing"`
	AllowOffline bool           `opt:"allow-offline" help:"succeed once the record is stored, even if no server accepts it"`
	Wait         string         `opt:"wait" help:"what to wait for, as in name publish"`
}

// Failed implements [rpc.Failer].
func (*DelegateRequest) Failed(err error) any { return failed(err) }

// Ladder is how far the ladder of a name is.
type Ladder struct {
	Taken     time.Time
	Steps     int        // in all
	Left      int        // still to be released
	Next      *time.Time `json:",omitempty"` // release of the next one
	NextValue string     `json:",omitempty"`
	End       time.Time  // when the last one expires
	// Overtaken are steps that will not be released: something newer was published.
	Overtaken int `json:",omitempty"`
	// Problems are steps that were removed or changed since the ladder was taken.
	Problems []string `json:",omitempty"`
	Waiting  string   `json:",omitempty"` // why a step that is due is not released
}

// write prints the lines of a status.
func (l *Ladder) write(to io.Writer) {
	text := display.Sprintf("%d of %d steps left", l.Left, l.Steps)
	if l.Next != nil {
		text += display.Sprintf(", the next %s", l.Next.UTC().Format(time.RFC3339))
	}
	display.Fprintf(to, "Ladder:\t%s, ends %s\n", text, l.End.UTC().Format(time.RFC3339))
	if l.Overtaken > 0 {
		display.Fprintf(to, "Ladder:\t%d steps are dropped: something newer was published\n", l.Overtaken)
	}
	for i, p := range l.Problems {
		if i == maxProblems {
			display.Fprintf(to, "Ladder:\tand %d more: see --json\n", len(l.Problems)-maxProblems)
			break
		}
		display.Fprintf(to, "Ladder:\tDAMAGED: %s\n", p)
	}
	if l.Waiting != "" {
		display.Fprintf(to, "Ladder:\ta step is due and not released: %s\n", l.Waiting)
	}
}

// maxProblems is how many problems of a ladder are printed.
const maxProblems = 10

// Delegated is one of the names behind an anchor.
type Delegated struct {
	Name     string
	Key      string // who holds its key: its label here, "elsewhere" or "not here"
	Value    string `json:",omitempty"`
	Sequence uint64
	EOL      *time.Time `json:",omitempty"` // nil: no record of it is known
	Expired  bool
	Ends     bool // less than a quarter of its life is left
}

// words describes a hop.
func (d Delegated) words(now time.Time) string {
	life := "no record of it is known here"
	if d.EOL != nil {
		life = display.Sprintf("until %s", d.EOL.UTC().Format(time.RFC3339))
		switch {
		case d.Expired:
			life = display.Sprintf("EXPIRED %s", d.EOL.UTC().Format(time.RFC3339))
		case d.Ends:
			life += display.Sprintf(" (%s left: ENDS SOON)", d.EOL.Sub(now).Round(time.Second))
		}
	}
	return display.Sprintf("%s (%s), %s", d.Name, d.Key, life)
}
