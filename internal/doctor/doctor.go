// Package doctor explains what is wrong with the repo of a node, ours or Kubo's, and with its
// names. [Examine] runs all checks over facts; it asks nobody and reads nothing, so that what
// is printed, as text or JSON, and the exit code come from the same findings. [Look] gathers
// the facts that are on this machine.
package doctor

import (
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/dnslink"
)

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Check   string // that found it
	Subject string // a name, a key, a file or an address
	// Note says that nothing is wrong; it does not count for the exit code.
	Note  bool `json:",omitempty"`
	Found string
	Means string
	Mend  string // the command or the change that mends it
}

// Facts are what the checks look at.
type Facts struct {
	Now   time.Time
	Path  string // of the repo
	Kubo  bool   // it is Kubo's
	Names []Name
	// Risks are names that may be lost though their records are valid, also of others.
	Risks []Risk
	// Closed is why the inside of a Kubo repo cannot be read; nil: it can.
	Closed error

	Machine
	// Network is the way into the public network; nil: nobody looked.
	Network *Network
	// Unheard is why others could not be asked for the names; nil: they could, or were not.
	Unheard error
	// Off is by how much this clock is ahead of that of others; nil: unknown.
	Off *time.Duration
	// Fetch is who can fetch from the node, as of 'ipns swarm addrs autonat', and Reachability
	// says it in words; "" without a daemon.
	Fetch, Reachability string
	// Locked says that the daemon has no passphrase for its keys, InClear that they are not
	// encrypted.
	Locked, InClear bool

	Domains      []dnslink.Report // what their DNSLinks say
	Contenthashs []string
}

// Name is a key and what is known of its name.
type Name struct {
	Key    string
	Name   ipns.Name
	Err    string  // why the key cannot be used; everything else is then unknown
	Record *Record // nil: nothing was published here
	// Announced is when the record was last announced, and Holders how many took it; zero:
	// never, or unknown as with Kubo.
	Announced time.Time
	Holders   int
	LastError string
	// Signer is why its key, which is at an agent or signer, cannot sign; "": it can.
	Signer string
	// Rivals says that another holder of the key has published.
	Rivals bool
	// Outside is what others have; nil: they were not asked.
	Outside *check.Report
}

// Risk is a name that may be lost, and why.
type Risk struct{ Name, Why string }

// Record is what the repo has.
type Record struct {
	Sequence uint64
	Value    string
	EOL      time.Time
}

// Check finds one kind of trouble.
type Check struct {
	Name string
	Find func(Facts) []Finding
}

// Checks are all checks, in the order of their findings.
var Checks = []Check{
	{"kubo", closed},
	{"key", keys},
	{"passphrase", passphrase},
	{"signer", signers},
	{"files", files},
	{"record", records},
	{"ahead", ahead},
	{"announced", announced},
	{"outside", outside},
	{"writers", writers},
	{"clock", clock},
	{"disk", disk},
	{"ports", ports},
	{"descriptors", descriptors},
	{"network", steps},
	{"nat", nat},
	{"dnslink", dnslinks},
	{"ens", contenthashes},
}

// Examine runs all checks.
func Examine(f Facts) []Finding {
	all := []Finding{}
	for _, c := range Checks {
		for _, found := range c.Find(f) {
			found.Check = c.Name
			all = append(all, found)
		}
	}
	return all
}

// Wrong returns how many findings are no mere notes.
func Wrong(all []Finding) int {
	n := 0
	for _, f := range all {
		if !f.Note {
			n++
		}
	}
	return n
}

// Text prints findings for people.
func Text(all []Finding) string {
	var b strings.Builder
	for _, f := range all {
		kind := "wrong"
		if f.Note {
			kind = "note"
		}
		display.Fprintf(&b, "%s (%s) %s: %s\n  means: %s\n", kind, f.Check, f.Subject, f.Found, f.Means)
		if f.Mend != "" {
			display.Fprintf(&b, "  mend:  %s\n", f.Mend)
		}
	}
	switch n := Wrong(all); n {
	case 0:
		b.WriteString("nothing is wrong\n")
	case 1:
		b.WriteString("1 thing is wrong\n")
	default:
		display.Fprintf(&b, "%d things are wrong\n", n)
	}
	return b.String()
}
