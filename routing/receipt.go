package routing

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// MaxTargets is how many targets of one network a [Receipt] can hold. Acks of further
// ones are dropped; the receipt is then a lower bound.
const MaxTargets = 256

// Receipt is the result of one put so far: its Acks, added up. The zero Receipt is that
// of a put without an answer.
//
// A copy of a Receipt is a snapshot: Add never changes an earlier copy. Add is not safe
// for concurrent use.
type Receipt struct {
	// Networks holds one part per network that answered, sorted by name.
	Networks []NetworkReceipt `json:"Networks"`
}

// NetworkReceipt is the part of a Receipt for one network. If the network is away, it is
// unknown how many targets should hold the record; Of is then what was known before, and
// may be 0.
type NetworkReceipt struct {
	Network string `json:"Network"` // "wan", "lan", "pubsub", a host name
	Road    Road   `json:"Road,omitempty"`
	// Announced is how many of the Of targets that should hold the record took it; at
	// most Of.
	Announced int `json:"Announced"`
	Of        int `json:"Of"`
	// Away says that the network should have servers and none could be reached.
	Away bool `json:"Away,omitempty"`
	// Extra is how many other targets hold a copy.
	Extra int `json:"Extra,omitempty"`
	// Targets are all that took the record, refused it or failed, in the order of their
	// first Ack.
	Targets []TargetReceipt `json:"Targets"`
}

// TargetReceipt is the final result for one target.
type TargetReceipt struct {
	Target string `json:"Target"` // a peer id or a URL
	// Reason is why the target does not hold the record; empty if it took it.
	Reason string `json:"Reason,omitempty"`
	// Newer is the sequence of the record because of which the target refused, if it told
	// us.
	Newer *uint64 `json:"Newer,omitempty"`
	// Extra says that the target is not one of those that should hold the record.
	Extra bool          `json:"Extra,omitempty"`
	RTT   time.Duration `json:"RTT"` // nanoseconds from the first byte sent to the answer
}

// Figures returns the receipt without its targets, which take most of the space.
func (r Receipt) Figures() Receipt {
	short := Receipt{Networks: slices.Clone(r.Networks)}
	for i := range short.Networks {
		short.Networks[i].Targets = nil
	}
	return short
}

// Took reports whether the target holds the record.
func (t TargetReceipt) Took() bool { return t.Reason == "" }

// Add adds an Ack. Once a target took the record, a later failure of it is ignored.
func (r *Receipt) Add(ack Ack) {
	n := r.network(ack.Network, ack.Road)
	*n = n.add(ack)
}

// network returns the part of a network, which it adds if needed.
func (r *Receipt) network(name string, road Road) *NetworkReceipt {
	i, found := slices.BinarySearchFunc(r.Networks, name, func(n NetworkReceipt, name string) int {
		return strings.Compare(n.Network, name)
	})
	// Copy before changing, here and in add: snapshots share the arrays.
	r.Networks = slices.Clone(r.Networks)
	if !found {
		r.Networks = slices.Insert(r.Networks, i, NetworkReceipt{Network: name, Road: road})
	}
	return &r.Networks[i]
}

// End adds the error with which the put ended, which says which networks are away.
func (r *Receipt) End(err error) {
	switch e := err.(type) {
	case *AwayError:
		n := r.network(e.Network, e.Road)
		n.Away = n.Announced == 0
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			r.End(err)
		}
	case interface{ Unwrap() error }:
		r.End(e.Unwrap())
	}
}

func (n NetworkReceipt) add(ack Ack) NetworkReceipt {
	t := TargetReceipt{Target: ack.Target, Extra: ack.Extra, RTT: ack.RTT}
	if ack.Err != nil {
		t.Reason = ack.Err.Error()
		if t.Reason == "" {
			t.Reason = "failed without a reason"
		}
	}
	if ack.Newer != nil {
		seq := ack.Newer.Sequence()
		t.Newer = &seq
	}
	n.Away = n.Away && ack.Err != nil
	i := slices.IndexFunc(n.Targets, func(old TargetReceipt) bool { return old.Target == t.Target })
	switch {
	case i >= 0 && n.Targets[i].Took() && !t.Took():
	case i >= 0:
		n.Targets = slices.Clone(n.Targets)
		n.Targets[i] = t
	case len(n.Targets) < MaxTargets:
		n.Targets = slices.Concat(n.Targets, []TargetReceipt{t})
	}
	n.count(ack.Of)
	return n
}

// count updates the figures. If a network's Acks have no Of, every target to which it
// offered the record should hold it.
func (n *NetworkReceipt) count(of int) {
	took, wanted, extra := 0, 0, 0
	for _, t := range n.Targets {
		switch {
		case !t.Extra && t.Took():
			took, wanted = took+1, wanted+1
		case !t.Extra:
			wanted++
		case t.Took():
			extra++
		}
	}
	n.Of = max(n.Of, of)
	if of == 0 {
		n.Of = max(n.Of, wanted)
	}
	n.Announced = min(took, n.Of)
	n.Extra = extra + took - n.Announced
}

// Announced returns the headline: how many of the targets that should hold the record
// took it. If there is a DHT, the headline is that of the DHT network with the most such
// targets; on a tie "wan" wins, and one that is away wins over all others, since those
// that should hold the record do not. These targets are the 20 servers closest to the
// name; copies beyond them are not counted. A receipt without a DHT counts its HTTP
// routers, one without these its pubsub peers: see [Road].
func (r Receipt) Announced() (k, of int) {
	head := r.head()
	return head.Announced, head.Of
}

// Away reports whether the network of the headline is away.
func (r Receipt) Away() bool { return r.head().Away }

// Road is the road of the headline.
func (r Receipt) Road() Road {
	for _, road := range Roads {
		if slices.ContainsFunc(r.Networks, func(n NetworkReceipt) bool { return n.Road == road }) {
			return road
		}
	}
	return DHT
}

func (r Receipt) head() (head NetworkReceipt) {
	if road := r.Road(); road != DHT {
		return r.sum(road)
	}
	for _, n := range r.Networks {
		switch {
		case n.Road != DHT:
		case n.Away == head.Away:
			if n.Of > head.Of || n.Of == head.Of && n.Network == "wan" {
				head = n
			}
		case n.Away:
			head = n
		}
	}
	return head
}

// On returns how many of the targets on all networks of a road, such as the HTTP routers,
// took the record, and how many should hold it.
func (r Receipt) On(road Road) (k, of int) {
	sum := r.sum(road)
	return sum.Announced, sum.Of
}

// sum adds up the networks of a road. It is away if all are.
func (r Receipt) sum(road Road) NetworkReceipt {
	sum := NetworkReceipt{Road: road}
	var away []string
	for _, n := range r.Networks {
		if n.Road != road {
			continue
		}
		sum.Announced += n.Announced
		sum.Of += n.Of
		if n.Away {
			away = append(away, n.Network)
			if road == HTTP && n.Of == 0 {
				sum.Of++ // the network is one router
			}
		}
		sum.Network = n.Network
	}
	if sum.Announced == 0 && len(away) > 0 {
		sum.Away, sum.Network = true, strings.Join(away, ", ")
	}
	return sum
}

// Took counts the targets that took the record on a network, including extra ones. An
// empty network means all.
func (r Receipt) Took(network string) int {
	return r.took(func(n NetworkReceipt) bool { return network == "" || n.Network == network })
}

// Holders counts the targets that took the record on a network, or, if that is empty, on
// the road of the headline.
func (r Receipt) Holders(network string) int {
	if network != "" {
		return r.Took(network)
	}
	road := r.Road()
	return r.took(func(n NetworkReceipt) bool { return n.Road == road })
}

func (r Receipt) took(counts func(NetworkReceipt) bool) (took int) {
	for _, n := range r.Networks {
		if counts(n) {
			took += n.Announced + n.Extra
		}
	}
	return took
}

// Refused yields every target that does not hold the record, with its network: it
// refused, failed or never answered.
func (r Receipt) Refused() iter.Seq2[string, TargetReceipt] {
	return func(yield func(string, TargetReceipt) bool) {
		for _, n := range r.Networks {
			for _, t := range n.Targets {
				if !t.Took() && !yield(n.Network, t) {
					return
				}
			}
		}
	}
}

// String returns the headline, such as "announced to 20 of 20", and how many targets on
// other roads took it.
func (r Receipt) String() string {
	head := r.head()
	switch {
	case head.Away && r.Took("") > 0:
		return fmt.Sprintf("announced to %d on other networks, but %s is away", r.Took(""), head.Network)
	case head.Away:
		return "announced to nobody: " + head.Network + " is away"
	case head.Of == 0:
		return "announced to nobody"
	}
	return fmt.Sprintf("announced to %d of %d%s", head.Announced, head.Of, r.besides(head.Road))
}

// besides says how many targets took the record on roads that do not count.
func (r Receipt) besides(counts Road) (text string) {
	for _, road := range Roads {
		if took, _ := r.On(road); road != counts && took > 0 {
			text += fmt.Sprintf(", %d %s", took, road.Targets(took))
		}
	}
	return text
}

// Targets is what so many targets on the road are called, such as "HTTP routers"; as in
// "1 of 1 HTTP routers", 0 stands for many.
func (r Road) Targets(n int) string {
	what := map[Road]string{DHT: "server", HTTP: "HTTP router", PubSub: "pubsub peer"}[r]
	if n != 1 {
		what += "s"
	}
	return what
}

// Collect runs a put to its end and adds up its Acks. The receipt is valid even if there
// is an error, which is the one that ended the put.
func Collect(acks iter.Seq2[Ack, error]) (Receipt, error) {
	var r Receipt
	for ack, err := range acks {
		if err != nil {
			r.End(err)
			return r, err
		}
		r.Add(ack)
	}
	return r, nil
}
