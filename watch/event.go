package watch

import (
	"encoding/json"
	"time"

	"github.com/goipns/ipns"
)

// Message is an event as programs get it, by HTTP and by webhooks.
type Message struct {
	// Type is "changed", "ending", "ended" or "gone"; "position" in the first message of a
	// reader and in those while nothing changes; "gap" where changes are not known: read
	// all names again.
	Type     string    `json:"type"`
	Position string    `json:"position,omitempty"` // where to resume
	Name     string    `json:"name,omitempty"`
	Sequence *uint64   `json:"sequence,omitempty"`
	Value    string    `json:"value,omitempty"`
	EOL      time.Time `json:"eol,omitzero"`
	TTL      int64     `json:"ttl,omitempty"`    // seconds
	Record   []byte    `json:"record,omitempty"` // the signed record, so that nobody need be believed
}

// String returns the word for what a kind tells last.
func (k Kind) String() string {
	switch {
	case k&Gone != 0:
		return "gone"
	case k&Ended != 0:
		return "ended"
	case k&Ending != 0:
		return "ending"
	case k&Changed != 0:
		return "changed"
	}
	return "position"
}

// messageOf returns what an event says of a record.
func messageOf(k Kind, name ipns.Name, rec *ipns.Record) Message {
	m := Message{Type: k.String(), Name: name.String()}
	if rec != nil {
		sequence := rec.Sequence()
		m.Sequence, m.Value, m.EOL, m.TTL, m.Record = &sequence, rec.Value(), rec.EOL().UTC(), int64(rec.TTL()/time.Second), rec.Raw()
	}
	return m
}

// JSON returns the event as one line of JSON without its end. Events of names are encoded
// once for all readers.
func (e Event) JSON() []byte {
	if e.from == nil {
		m := Message{Type: Kind(0).String(), Position: string(e.Position)}
		if e.Gap {
			m.Type = "gap"
		}
		return encode(m)
	}
	e.from.encode.Do(func() {
		m := messageOf(e.Kind, e.Entry.Name, e.Entry.Record)
		m.Position = string(e.from.at)
		e.from.json = encode(m)
	})
	return e.from.json
}

func encode(m Message) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has no values that can't be encoded
	}
	return b
}
