package simnet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// A Behaviour is how a server treats requests.
type Behaviour uint32

const (
	Honest    Behaviour = iota
	Dead                // does not answer a dial, which fails after the profile's DialTimeout
	Lossy               // goes silent on a share of the streams
	Lying               // names peers that do not exist, corrupts records, acknowledges without storing
	Full                // accepts only keys that it already has; resets the stream for others
	Refusing            // resets the stream on every PUT
	Eclipsing           // names only its accomplices, has no records, acknowledges without storing
)

// lossyShare is the share of requests on which a Lossy server goes silent.
const lossyShare = 0.3

func (b Behaviour) String() string {
	names := [...]string{"honest", "dead", "lossy", "lying", "full", "refusing", "eclipsing"}
	if int(b) < len(names) {
		return names[b]
	}
	return fmt.Sprintf("Behaviour(%d)", b)
}

// A Profile describes the servers of a network. Shares are of all servers.
type Profile struct {
	Name string

	RTT   time.Duration // round-trip time: the median
	Sigma float64       // standard deviation of the logarithm of the RTT, which is lognormal; 0: constant

	Slow             float64       // share of servers with a round-trip time between the two below
	SlowMin, SlowMax time.Duration // uniformly distributed

	Dead        float64       // share of dead servers, which remain in routing tables
	DialTimeout time.Duration // how long a dial to a dead server blocks; 0 means 5 s

	Lossy, Lying, Full, Refusing float64 // shares of servers with these behaviours
}

// The three networks used in all tables of results. None is a measurement of a real
// network; Real15 reproduces the publish times that users of Amino report.
var (
	Ideal  = Profile{Name: "ideal", RTT: 100 * time.Millisecond}
	Real15 = Profile{
		Name: "real15", RTT: 90 * time.Millisecond, Sigma: 0.6,
		Slow: 0.04, SlowMin: 800 * time.Millisecond, SlowMax: 3 * time.Second,
		Dead: 0.15,
	}
	Real30 = func() Profile {
		p := Real15
		p.Name, p.Dead = "real30", 0.30
		return p
	}()
)

// ProfileByName finds one of the three.
func ProfileByName(name string) (Profile, error) {
	for _, p := range []Profile{Ideal, Real15, Real30} {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("no network profile %q: ideal, real15 or real30", name)
}

// temper is what the profile determines for one server.
type temper struct {
	rtt       time.Duration
	behaviour Behaviour
}

// draw draws the temper of one server. Every call draws the same number of random
// numbers, so that changing a share affects only that share of the servers.
func (p Profile) draw(r *rand.Rand) temper {
	spread, slow, where, luck := r.NormFloat64(), r.Float64(), r.Float64(), r.Float64()
	t := temper{rtt: time.Duration(float64(p.RTT) * math.Exp(spread*p.Sigma))}
	if slow < p.Slow {
		t.rtt = p.SlowMin + time.Duration(where*float64(p.SlowMax-p.SlowMin))
	}
	for _, share := range []struct {
		of float64
		is Behaviour
	}{{p.Dead, Dead}, {p.Lossy, Lossy}, {p.Lying, Lying}, {p.Full, Full}, {p.Refusing, Refusing}} {
		if luck < share.of {
			t.behaviour = share.is
			break
		}
		luck -= share.of
	}
	return t
}

func (p Profile) dialTimeout() time.Duration {
	if p.DialTimeout == 0 {
		return 5 * time.Second
	}
	return p.DialTimeout
}

// address gives server i a public address in its own IPv4 /16, so that limits per IP
// group have no effect. It skips first octets that are reserved, partly private, or one
// group as a whole.
func address(i uint32) ma.Multiaddr {
	const perOctet = 256
	group := int(i) % (len(firstOctets) * perOctet)
	host := int(i) / (len(firstOctets) * perOctet)
	return ma.StringCast(fmt.Sprintf("/ip4/%d.%d.%d.%d/udp/4001/quic-v1",
		firstOctets[group%len(firstOctets)], group/len(firstOctets), host/perOctet%perOctet, 1+host%250))
}

var firstOctets = func() (octets []int) {
	skip := map[int]bool{
		10: true, 100: true, 127: true, 169: true, 172: true, 192: true, 198: true, 203: true, // not all public
		12: true, 17: true, 19: true, 38: true, 48: true, 53: true, 56: true, 73: true, // one group each
	}
	for o := 1; o < 224; o++ {
		if !skip[o] {
			octets = append(octets, o)
		}
	}
	return octets
}()
