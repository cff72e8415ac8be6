package nat

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// examine asks the doctor about a repo of which no daemon runs, and wants a finding about the step
// of the way to the network that fails; "": none does.
func (n *node) examine(t *testing.T, broken string) {
	t.Helper()
	stdout, stderr, _ := n.try("doctor", "--json") // its exit code says that something is wrong
	var out struct {
		Findings []struct {
			Check, Subject, Found, Mend string
			Note                        bool
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("%v: doctor: %v\n%s%s", n, err, stdout, stderr)
	}
	var steps []string
	for _, f := range out.Findings {
		if f.Check == "network" && !f.Note {
			steps = append(steps, f.Subject)
			t.Logf("doctor: %s: %s: %s", f.Subject, f.Found, f.Mend)
		}
	}
	if broken == "" && len(steps) > 0 || broken != "" && !slices.Equal(slices.Compact(steps), []string{broken}) {
		t.Errorf("the doctor finds %q, want %q", steps, broken)
	}
}

// doctor breaks one step of the way to the network after the other.
func (n *internet) doctor(t *testing.T) {
	t.Helper()
	h := n.newHome(t, port, "patient")
	patient, err := initNode(t, h, ours)
	if err != nil {
		t.Fatal(err)
	}
	// Only domains, or the others would do without the DNS.
	domains := fmt.Sprintf(`["/dnsaddr/%[1]s/p2p/%[2]s", "/dnsaddr/%[1]s/p2p/%[3]s"]`, bootstrapDomain, n.peers[0].ID, n.peers[1].ID)
	if err := patient.set("Bootstrap", domains); err != nil {
		t.Fatal(err)
	}
	patient.examine(t, "")

	if err := n.tell("/dns?silent=true"); err != nil {
		t.Fatal(err)
	}
	patient.examine(t, "step 2, DNS")
	if err := n.tell("/dns?silent=false"); err != nil {
		t.Fatal(err)
	}

	h.noUDP = true
	h.router.nft(t, h.rules())
	patient.examine(t, "step 4, UDP")
	h.noUDP = false
	h.router.nft(t, h.rules())

	h.machine.ip(t, "link set eth0 down", "addr flush dev eth0")
	patient.examine(t, "step 1, link")
	h.machine.ip(t, "link set eth0 up", fmt.Sprintf("addr add %s/24 dev eth0", h.lan(2)), "route add default via "+h.lan(1))

	if err := n.tell("/stop"); err != nil { // the bootstrap nodes, for good
		t.Fatal(err)
	}
	patient.examine(t, "step 3, bootstrap")
}
