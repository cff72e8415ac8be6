package api

import (
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/routing"
)

// Outcome is the result of putting a record. Every response to a command that puts one
// embeds it.
type Outcome struct {
	// Sequence is the record's sequence number; Stored says that it is on this node's
	// disk.
	Sequence uint64
	Stored   bool
	// Announced is how many servers took the record, out of the Of that should hold it:
	// the 20 closest, or fewer if the network has fewer. HTTP routers and pubsub peers
	// count only in Networks, unless there are no servers.
	Announced int
	Of        int
	// Announcing says that more servers are still being asked.
	Announcing bool `json:",omitempty"`
	// Alone says that the node is on no network and need not be, so that no one else has
	// the record.
	Alone bool `json:",omitempty"`
	// Networks are the results for each network that was tried.
	Networks []NetworkReceipt `json:",omitempty"`
	// Rivals are records by another holder of the key that servers held. This record is
	// above them.
	Rivals []Rival `json:",omitempty"`
	// Warnings are messages for the user.
	Warnings []string `json:",omitempty"`
}

// Rival is a record that another holder of a key has signed.
type Rival struct {
	Value    string
	Sequence uint64
	Since    time.Time `json:",omitzero"` // when the record came in; zero: not known, or just now
}

// NetworkReceipt is the result of putting a record on one network.
type NetworkReceipt struct {
	Network   string
	Road      routing.Road `json:",omitempty"` // "": a DHT; "http" or "pubsub"
	Announced int
	Of        int
	Away      bool      `json:",omitempty"` // it should have servers, and none could be reached
	Refused   []Refusal `json:",omitempty"`
}

// Refusal is one server that did not take the record.
type Refusal struct {
	Target string
	Reason string
}

// Notes are the warnings.
func (o Outcome) Notes() []string { return o.Warnings }

// Receipt describes who has the record.
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
		display.Fprintf(&b, "stored here; announced to 0 of %d %s%s", o.Of, road.Targets(0), besides(o.Networks))
	default:
		display.Fprintf(&b, "announced to %d of %d %s%s", o.Announced, o.Of, road.Targets(0), besides(o.Networks))
	}
	display.Fprintf(&b, " (sequence %d)", o.Sequence)
	return b.String()
}

// away returns the networks, among those of the road that counts, that should have
// servers and could not be reached. One HTTP router that can be reached is enough.
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

// others describes how many took the record on networks that are not away.
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

// roadOf returns the road that Announced and Of refer to.
func roadOf(networks []NetworkReceipt) routing.Road {
	for _, road := range routing.Roads {
		if slices.ContainsFunc(networks, func(n NetworkReceipt) bool { return n.Road == road }) {
			return road
		}
	}
	return routing.DHT
}

// onRoad counts the targets that took a record on a road, and those that should.
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

// besides describes who took a record on roads that do not count, and how many HTTP
// routers lack it.
func besides(networks []NetworkReceipt) string {
	var b strings.Builder
	counts := roadOf(networks)
	for _, road := range routing.Roads {
		switch took, of := onRoad(networks, road); {
		case road == counts || of == 0:
		case took == of, road == routing.PubSub && took > 0:
			display.Fprintf(&b, ", %d %s", took, road.Targets(took))
		case road == routing.HTTP:
			display.Fprintf(&b, ", %d of %d %s", took, of, road.Targets(0))
		}
	}
	return b.String()
}
