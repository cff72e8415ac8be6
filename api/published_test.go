package api

import "testing"

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
		{Outcome{Announcing: true}, "stored here; it is being announced (sequence 0)"},
	} {
		if got := c.o.Receipt(); got != c.want {
			t.Errorf("receipt %q, want %q", got, c.want)
		}
	}
}
