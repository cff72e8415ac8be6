package api

import (
	"strings"

	"github.com/goipns/ipns/internal/display"
)

// Outcome is what became of a record that was put. Every response to a command
// that puts one has it.
type Outcome struct {
	// Sequence is the record's sequence number, Stored that this node has it
	// on disk.
	Sequence uint64
	Stored   bool
	// Announced counts the servers that took the record, out of the Of that
	// should hold it: the 20 closest, fewer if the network has fewer.
	Announced int
	Of        int
	// Announcing says that more servers are still being asked.
	Announcing bool `json:",omitempty"`
	// Alone says that the node is on no network, and need not be: nobody was to take
	// the record.
	Alone bool `json:",omitempty"`
	// Networks has the same for each network that was tried.
	Networks []NetworkReceipt `json:",omitempty"`
	// Rivals are records of another holder of the key that servers held. This one
	// is above them.
	Rivals []Rival `json:",omitempty"`
	// Warnings are for the user to see.
	Warnings []string `json:",omitempty"`
}

// Rival is a record that another holder of a key has signed.
type Rival struct {
	Value    string
	Sequence uint64
}

// NetworkReceipt tells what one network did with a record.
type NetworkReceipt struct {
	Network   string
	Announced int
	Of        int
	Away      bool      `json:",omitempty"` // it should have servers, and none was reached
	Refused   []Refusal `json:",omitempty"`
}

// Refusal is one server that did not take the record.
type Refusal struct {
	Target string
	Reason string
}

// Notes are the warnings.
func (o Outcome) Notes() []string { return o.Warnings }

// Receipt says in words who has the record.
func (o Outcome) Receipt() string {
	var b strings.Builder
	switch {
	case o.Announced == 0 && o.Announcing:
		b.WriteString("stored here; it is being announced")
	case o.away() != "":
		display.Fprintf(&b, "stored here; announced to %s: %s is away", o.others(), o.away())
	case o.Of == 0:
		b.WriteString("stored here; announced to nobody: no servers are known")
	case o.Announced == 0:
		display.Fprintf(&b, "stored here; announced to 0 of %d servers", o.Of)
	default:
		display.Fprintf(&b, "announced to %d of %d servers", o.Announced, o.Of)
	}
	display.Fprintf(&b, " (sequence %d)", o.Sequence)
	return b.String()
}

// away names the networks that should have servers, and of which none was reached.
func (o Outcome) away() string {
	var away []string
	for _, n := range o.Networks {
		if n.Away {
			away = append(away, n.Network)
		}
	}
	return strings.Join(away, ", ")
}

// others says in words how many took the record on networks that are not away.
func (o Outcome) others() string {
	took := 0
	for _, n := range o.Networks {
		took += n.Announced
	}
	if took == 0 {
		return "nobody"
	}
	return display.Sprintf("%d servers of other networks", took)
}
