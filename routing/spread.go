package routing

import "github.com/goipns/ipns"

// Spread counts sources by the version of a name that they hold.
type Spread struct {
	Answered int // with or without a record
	Same     int // hold the newest sequence and its value, perhaps with an earlier EOL
	Other    int // hold the newest sequence with another value: someone else signs with the key
	Older    int // hold a lower sequence
}

// Count adds a source that answered with rec; nil: it has none. newest is the newest
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
