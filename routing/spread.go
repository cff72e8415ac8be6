package routing

import "github.com/goipns/ipns"

// Spread counts who holds which version of a name.
type Spread struct {
	Answered int // whether or not they hold anything
	Same     int // hold what the newest record says, if not for as long
	Other    int // hold another value under its sequence: somebody else signs with the key
	Older    int // hold an older one
}

// Count adds one that answered with rec, or with nothing, where newest is the newest
// record of the name.
func (s *Spread) Count(rec, newest *ipns.Record) {
	s.Answered++
	switch {
	case rec == nil:
	case rec.Sequence() != newest.Sequence():
		s.Older++
	case rec.Value() != newest.Value():
		s.Other++
	default:
		s.Same++
	}
}
