package api

import (
	"testing"

	"github.com/goipns/ipns/routing"
)

func TestTextOfResults(t *testing.T) {
	if got := (PublishRequest{}).Text(Published{Name: "k51", Value: "/ipfs/x"}); got != "Published to k51: /ipfs/x\n" {
		t.Errorf("publish: %q", got)
	}
	// What others wrote does not command the terminal.
	if got := (PublishRequest{}).Text(Published{Name: "k51", Value: "/ipfs/x/\x1b[2Jü"}); got != "Published to k51: /ipfs/x/\\x1b[2Jü\n" {
		t.Errorf("publish: %q", got)
	}
	for _, c := range []struct {
		o    Outcome
		want string
	}{
		{Outcome{Announced: 17, Of: 20, Sequence: 3}, "announced to 17 of 20 servers (sequence 3)"},
		{Outcome{Of: 20, Sequence: 3}, "stored here; announced to 0 of 20 servers (sequence 3)"},
		{Outcome{}, "stored here; announced to nobody: no servers are known (sequence 0)"},
		{
			Outcome{Announced: 20, Of: 20, Sequence: 3, Networks: []NetworkReceipt{
				{Network: "h.example", Road: routing.HTTP, Announced: 1, Of: 1},
				{Network: "pubsub", Road: routing.PubSub, Announced: 3, Of: 3},
				{Network: "wan", Announced: 20, Of: 20},
			}},
			"announced to 20 of 20 servers, 1 HTTP router, 3 pubsub peers (sequence 3)",
		},
		{
			Outcome{Announced: 20, Of: 20, Networks: []NetworkReceipt{
				{Network: "a.example", Road: routing.HTTP, Announced: 1, Of: 1},
				{Network: "b.example", Road: routing.HTTP, Away: true},
				{Network: "wan", Announced: 20, Of: 20},
			}},
			"announced to 20 of 20 servers, 1 of 2 HTTP routers (sequence 0)",
		},
		{
			Outcome{Networks: []NetworkReceipt{
				{Network: "a.example", Road: routing.HTTP, Announced: 1, Of: 1},
				{Network: "wan", Away: true},
			}},
			"stored here; announced to 1 HTTP router: wan is away (sequence 0)",
		},
		{
			Outcome{Announced: 1, Of: 2, Networks: []NetworkReceipt{
				{Network: "a.example", Road: routing.HTTP, Announced: 1, Of: 1},
				{Network: "b.example", Road: routing.HTTP, Away: true},
			}},
			"announced to 1 of 2 HTTP routers (sequence 0)",
		},
		{
			Outcome{Of: 1, Networks: []NetworkReceipt{{Network: "a.example", Road: routing.HTTP, Away: true}}},
			"stored here; announced to nobody: a.example is away (sequence 0)",
		},
		{Outcome{Announcing: true}, "stored here; it is being announced (sequence 0)"},
	} {
		if got := c.o.Receipt(); got != c.want {
			t.Errorf("receipt %q, want %q", got, c.want)
		}
	}
}
