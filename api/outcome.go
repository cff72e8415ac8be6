package api

import (
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/routing"
)

// Outcome is what became of a record that was put. Every response to a command
// that puts one has it.
type Outcome struct {
	// Sequence is the record's sequence number, Stored that this node has it
	// on disk.
	Sequence uint64
	Stored   bool
	// Announced counts the servers that took the record, out of the Of that
	// should hold it: the 20 closest, fewer if the network has fewer. HTTP routers
	// and pubsub peers are counted in Networks only, unless there is nothing else.
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
	Road      routing.Road `json:",omitempty"` // "": a DHT; "http" or "pubsub"
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
	road := roadOf(o.Networks)
	switch away := o.away(road); {
	case o.Announced == 0 && o.Announcing:
		b.WriteString("stored here; it is being announced")
	case away != "":
		display.Fprintf(&b, "stored here; announced to %s: %s is away", o.others(), away)
	case o.Of == 0:
		b.WriteString("stored here; announced to nobody: no servers are known")
	case o.Announced == 0:
		display.Fprintf(&b, "stored here; announced to 0 of %d %s%s", o.Of, road.Targets(o.Of), besides(o.Networks))
	default:
		display.Fprintf(&b, "announced to %d of %d %s%s", o.Announced, o.Of, road.Targets(o.Of), besides(o.Networks))
	}
	display.Fprintf(&b, " (sequence %d)", o.Sequence)
	return b.String()
}

// away names the networks of the road that counts that should have servers, and of
// which none was reached. HTTP routers stand for each other.
func (o Outcome) away(road routing.Road) string {
	var away []string
	for _, n := range o.Networks {
		if n.Away && n.Road == road {
			away = append(away, n.Network)
		}
	}
	if road != routing.DHT && o.Announced > 0 {
		return ""
	}
	return strings.Join(away, ", ")
}

// others says in words how many took the record on networks that are not away.
func (o Outcome) others() string {
	var all []string
	for _, road := range routing.Roads {
		took, _ := onRoad(o.Networks, road)
		switch {
		case took == 0:
		case road == routing.DHT:
			all = append(all, display.Sprintf("%d servers of other networks", took))
		default:
			all = append(all, display.Sprintf("%d %s", took, road.Targets(took)))
		}
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(all, ", ")
}

// roadOf is the road by which Announced and Of are counted.
func roadOf(networks []NetworkReceipt) routing.Road {
	for _, road := range routing.Roads {
		if slices.ContainsFunc(networks, func(n NetworkReceipt) bool { return n.Road == road }) {
			return road
		}
	}
	return routing.DHT
}

// onRoad counts who took a record on a road, of those that should.
func onRoad(networks []NetworkReceipt, road routing.Road) (took, of int) {
	for _, n := range networks {
		if n.Road == road {
			took += n.Announced
			of += n.Of
			if n.Road == routing.HTTP && n.Away && n.Of == 0 {
				of++ // the network is one router
			}
		}
	}
	return took, of
}

// besides says who took a record on roads that do not count, and which HTTP routers
// lack it.
func besides(networks []NetworkReceipt) string {
	var b strings.Builder
	counts := roadOf(networks)
	for _, road := range routing.Roads {
		switch took, of := onRoad(networks, road); {
		case road == counts || of == 0:
		case took == of, road == routing.PubSub && took > 0:
			display.Fprintf(&b, ", %d %s", took, road.Targets(took))
		case road == routing.HTTP:
			display.Fprintf(&b, ", %d of %d %s", took, of, road.Targets(of))
		}
	}
	return b.String()
}
