package interop

import "testing"

// TestKill kills ipns as kill -9 does, right after a publish was acknowledged.
// The name, its sequence, the content and the pins are still there, and what the
// killed daemon left in the repository (its lock, the addresses of its API) is in
// nobody's way.
func TestKill(t *testing.T) {
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	peer := us.peerID()
	for round := range 3 {
		dir := site(t, "round "+string(rune('1'+round)))
		root := add(us, dir)
		got := publish(us, root)
		us.kill()
		got.wantReceipt(t, uint64(round), 3, 3)

		// Without a daemon, in spite of the files of the dead one.
		if now := us.line("name", "resolve", "--offline"); now != "/ipfs/"+root {
			t.Errorf("round %d: the repository resolves to %q after the kill, want %q", round, now, "/ipfs/"+root)
		}
		us.start()
		join(us, kubos...)
		if now := us.peerID(); now != peer {
			t.Fatalf("round %d: peer id %s after the kill, want %s", round, now, peer)
		}
		if now := us.line("name", "resolve"); now != "/ipfs/"+root {
			t.Errorf("round %d: resolves to %q after the restart, want %q", round, now, "/ipfs/"+root)
		}
		if i := inspect(kubos[0], got.Name, us.run("name", "get", got.Name)); !i.Validation.Valid || i.Entry.Sequence != uint64(round) {
			t.Errorf("round %d: after the restart the record is %+v, want sequence %d", round, i, round)
		}
		serves(us, got.Name, dir)
		us.run("pin", "ls", root)
		k := kubos[round]
		resolves(k, got.Name, "/ipfs/"+root)
		reads(k, got.Name, dir)
	}
}
