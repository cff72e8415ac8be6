package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// A published is what name publish prints as JSON.
type published struct {
	Name, Value string

	// The receipt, which ipns adds to Kubo's fields.
	Sequence  *uint64
	Stored    *bool
	Announced *int
	Of        *int
}

// publish publishes under the node's own key unless flags say otherwise.
func publish(n *node, value string, flags ...string) published {
	n.t.Helper()
	var p published
	n.query(&p, append([]string{"name", "publish", value}, flags...)...)
	return p
}

// receipt is the record's sequence and who has it, as text.
func (p published) receipt() string {
	if p.Sequence == nil || p.Stored == nil || p.Announced == nil || p.Of == nil {
		return "a field of the receipt is missing"
	}
	return fmt.Sprintf("sequence %d, stored %v, announced to %d of %d", *p.Sequence, *p.Stored, *p.Announced, *p.Of)
}

// wantReceipt fails the test unless the receipt says that the record is stored
// with this sequence and announced to k of n.
func (p published) wantReceipt(t *testing.T, sequence uint64, k, n int) {
	t.Helper()
	if got, want := p.receipt(), fmt.Sprintf("sequence %d, stored true, announced to %d of %d", sequence, k, n); got != want {
		t.Errorf("receipt: %s; want %s", got, want)
	}
}

// An inspection is what Kubo says of a record.
type inspection struct {
	Entry struct {
		Value    string
		Validity time.Time
		Sequence uint64
		TTL      time.Duration
	}
	PbSize        int
	SignatureType string
	Validation    struct {
		Valid        bool
		Reason, Name string
	}
}

// inspect lets Kubo read and verify a record.
func inspect(k *node, name, raw string) inspection {
	k.t.Helper()
	out := k.runWith(bytes.NewReader([]byte(raw)), "name", "inspect", "--dump=false", "--verify", name, "--enc=json")
	var i inspection
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		k.t.Fatalf("%s: name inspect: %v\n%s", k.name, err, out)
	}
	return i
}

// holds tells whether a Kubo daemon itself has a valid record of name, without
// asking the network, and the record's sequence.
func holds(k *node, name string) (sequence uint64, ok bool) {
	k.t.Helper()
	r := k.try(nil, "--offline", "name", "get", name)
	if r.code != 0 {
		return 0, false
	}
	i := inspect(k, name, r.stdout)
	return i.Entry.Sequence, i.Validation.Valid
}

func TestKuboInspectsOurs(t *testing.T) {
	kubos := startKubos(t, 1)
	us := startOurs(t, kubos...)
	root := add(us, site(t, "inspect me"))
	tests := []struct {
		name      string
		flags     []string
		signature string
		ttl       time.Duration
		lifetime  time.Duration
	}{
		{"default", nil, "V1+V2", 5 * time.Minute, 48 * time.Hour},
		{"v2-only", []string{"--v1compat=false"}, "V2", 5 * time.Minute, 48 * time.Hour},
		{"ttl", []string{"--ttl", "90s", "--lifetime", "24h"}, "V1+V2", 90 * time.Second, 24 * time.Hour},
		{"no-ttl", []string{"--ttl", "0s"}, "V1+V2", 0, 48 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := key(us, tt.name)
			before := time.Now()
			publish(us, root, append(tt.flags, "--key", tt.name)...).wantReceipt(t, 0, 1, 1)
			raw := us.run("name", "get", name)
			got := inspect(kubos[0], name, raw)
			if !got.Validation.Valid {
				t.Errorf("Kubo finds it invalid: %s", got.Validation.Reason)
			}
			if got.Entry.Value != "/ipfs/"+root || got.SignatureType != tt.signature || got.Entry.TTL != tt.ttl || got.PbSize != len(raw) {
				t.Errorf("Kubo reads %+v, want value /ipfs/%s, %s, TTL %v, %d bytes", got, root, tt.signature, tt.ttl, len(raw))
			}
			if left := got.Entry.Validity.Sub(before) - tt.lifetime; left < -time.Minute || left > time.Minute {
				t.Errorf("valid until %v, want %v from now", got.Entry.Validity, tt.lifetime)
			}
			if kuboRaw := kubos[0].run("name", "get", name); kuboRaw != raw {
				t.Errorf("Kubo holds other bytes than ipns signed")
			}
			if a, b := us.runWith(bytes.NewReader([]byte(raw)), "name", "inspect", "--verify", name), kubos[0].runWith(bytes.NewReader([]byte(raw)), "name", "inspect", "--verify", name); a != b {
				t.Errorf("ipns inspects its record as\n%sKubo as\n%s", a, b)
			}
		})
	}
}

// TestRecordsByHand carries records from one program to the other with name get
// and name put: nothing but the bytes connects the two daemons.
func TestRecordsByHand(t *testing.T) {
	us := newNode(t, ours, "ipns")
	us.start()
	needs(us, "name", "put")
	them := startKubos(t, 1)[0]

	for _, way := range []struct{ from, to *node }{{us, them}, {them, us}} {
		t.Run(way.from.name+" to "+way.to.name, func(t *testing.T) {
			name := key(way.from, "carried")
			sign := func(value string) string {
				publish(way.from, value, "--resolve=false", "--allow-offline", "--key", "carried")
				return way.from.run("--offline", "name", "get", name)
			}
			first, second := sign("/ipfs/bafkqaaa"), sign("/ipns/example.com/sub/")
			put := func(raw string, flags ...string) result {
				return way.to.try(bytes.NewReader([]byte(raw)), append([]string{"name", "put", "--allow-offline", name}, flags...)...)
			}
			for _, raw := range []string{first, second} {
				if r := put(raw); r.code != 0 || r.stdout != name+"\n" {
					t.Errorf("put: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				if way.to.run("--offline", "name", "get", name) != raw {
					t.Errorf("the record that was put comes back with other bytes")
				}
			}
			if r := put(first); r.code != 1 {
				t.Errorf("an older record is taken: exit code %d\n%s", r.code, r.stdout)
			}
			if r := put(second[:len(second)-1]); r.code != 1 {
				t.Errorf("a torn record is taken: exit code %d\n%s", r.code, r.stdout)
			}
			if way.to.run("--offline", "name", "get", name) != second {
				t.Errorf("what was refused has changed the stored record")
			}
		})
	}
}
