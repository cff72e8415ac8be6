package doctor

import (
	"fmt"
	"strings"
)

// Network is what was found on the way into the public network, step by step. Steps after
// one that fails were not tried.
type Network struct {
	// NoLink is why no network can be reached at all; "": one can.
	NoLink string
	// Operators are those who run the bootstrap peers.
	Operators []Operator
	// Relays are those of the config.
	Relays []Relay
}

// Operator runs bootstrap peers, under one domain or at one address.
type Operator struct {
	Name string
	// NoDNS is why its domain was not resolved; "": it was, or it has none.
	NoDNS string
	// TCP and UDP are how many peers were tried over each, and reached.
	TCP, UDP Tried
	Servers  int    // of those that were reached, how many serve the DHT
	Err      string // the last one, if none was reached
}

// Tried counts peers.
type Tried struct{ Asked, Reached int }

// Relay is one of the config's.
type Relay struct {
	ID string
	// Err is why it is of no use to this node; "": the node is reached over it, or nobody can
	// say, since no daemon runs.
	Err string
}

func (o Operator) reached() bool { return o.TCP.Reached+o.UDP.Reached > 0 }

// steps finds the first step into the network that fails.
func steps(f Facts) []Finding {
	n := f.Network
	if n == nil {
		return nil
	}
	if n.NoLink != "" {
		return []Finding{{
			Subject: "step 1, link", Found: n.NoLink, Means: "no network is reached at all: nothing is published or resolved beyond this machine",
			Mend: "connect this machine to a network",
		}}
	}
	var all []Finding
	var sum Operator
	var names, noDNS []string
	for _, o := range n.Operators {
		sum.TCP.Asked, sum.TCP.Reached = sum.TCP.Asked+o.TCP.Asked, sum.TCP.Reached+o.TCP.Reached
		sum.UDP.Asked, sum.UDP.Reached = sum.UDP.Asked+o.UDP.Asked, sum.UDP.Reached+o.UDP.Reached
		sum.Servers += o.Servers
		names = append(names, o.Name)
		if o.NoDNS != "" {
			noDNS = append(noDNS, o.Name+": "+o.NoDNS)
		}
	}
	switch {
	case len(n.Operators) == 0:
	case !sum.reached() && len(noDNS) > 0 && sum.TCP.Asked+sum.UDP.Asked == 0:
		all = append(all, Finding{
			Subject: "step 2, DNS", Found: strings.Join(noDNS, "; "), Means: "the bootstrap peers are not found, nor are domains of DNSLinks",
			Mend: "mend the DNS of this machine (/etc/resolv.conf), or set DNS.Resolvers in the config to servers of DNS over HTTPS",
		})
	case !sum.reached():
		all = append(all, Finding{
			Subject: "step 3, bootstrap", Found: "no bootstrap peer of any operator is reached: " + reasons(n.Operators),
			Means: "a node that knows no other servers from before does not join the network",
			Mend:  "see whether a firewall lets connections to their ports out; 'ipns bootstrap add' peers of other operators, also such as end with /tls/ws at port 443",
		})
	default:
		all = append(all, partly(n.Operators)...)
		if sum.UDP.Asked > 0 && sum.UDP.Reached == 0 {
			all = append(all, Finding{
				Subject: "step 4, UDP", Found: fmt.Sprintf("none of %d bootstrap peers answers by UDP, and %d do by TCP", sum.UDP.Asked, sum.TCP.Reached),
				Means: "names work; holes cannot be punched through routers, so fewer can fetch content from here",
				Mend:  "have the firewall let UDP out, at least to port 4001",
			})
		}
		if sum.Servers == 0 {
			all = append(all, Finding{
				Subject: "step 5, DHT", Found: "no bootstrap peer that is reached (of " + strings.Join(names, ", ") + ") serves the DHT",
				Means: "no servers are found to hold the records", Mend: "ipns bootstrap add --default",
			})
		}
	}
	for _, r := range n.Relays {
		if r.Err != "" {
			all = append(all, Finding{
				Subject: "step 7, relay " + r.ID, Found: r.Err, Means: "others do not fetch from here over it",
				Mend: "run 'ipns relay PEER' there with the peer id of this node, and put the line that it prints into the config here",
			})
		}
	}
	return all
}

// reasons says why each operator is not reached.
func reasons(all []Operator) string {
	var parts []string
	for _, o := range all {
		why := o.Err
		if o.NoDNS != "" {
			why = o.NoDNS
		}
		parts = append(parts, o.Name+": "+why)
	}
	return strings.Join(parts, "; ")
}

// partly notes operators of whom no peer is reached, while others are.
func partly(all []Operator) (notes []Finding) {
	for _, o := range all {
		if !o.reached() {
			notes = append(notes, Finding{
				Subject: "step 3, bootstrap", Note: true, Found: "no bootstrap peer of one operator is reached: " + reasons([]Operator{o}),
				Means: "the node joins by the others", Mend: "none is needed while others are reached; 'ipns bootstrap rm' takes its peers away",
			})
		}
	}
	return notes
}
