package interop

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKeys carries keys between the programs, both ways, in both formats: a key
// keeps its name, and its file its bytes.
func TestKeys(t *testing.T) {
	us, them := newNode(t, ours, "ipns"), newNode(t, kubo, "ipfs")
	needs(us, "key", "export")
	needs(us, "key", "import")
	for _, kind := range []string{"ed25519", "rsa", "secp256k1"} {
		for _, format := range []string{"libp2p-protobuf-cleartext", "pem-pkcs8-cleartext"} {
			for _, way := range []struct{ from, to *node }{{us, them}, {them, us}} {
				t.Run(kind+" "+format+" "+way.from.name+" to "+way.to.name, func(t *testing.T) {
					from, to := way.from, way.to
					label := kind + "-" + format + "-" + from.name
					name := from.line("key", "gen", "--type", kind, label)
					dir := t.TempDir()
					first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
					from.run("key", "export", "--format", format, "--output", first, label)
					if got := to.line("key", "import", "--format", format, label, first); got != name {
						t.Errorf("imported as %s, generated as %s", got, name)
					}
					to.run("key", "export", "--format", format, "--output", second, label)
					a, err := os.ReadFile(first)
					mustDo(t, err)
					b, err := os.ReadFile(second)
					mustDo(t, err)
					if string(a) != string(b) {
						t.Errorf("%s exports other bytes than it imported from %s", to.name, from.name)
					}
					info, err := os.Stat(second)
					mustDo(t, err)
					if info.Mode().Perm() != 0o600 {
						t.Errorf("%s wrote the key with mode %v, want 0600", to.name, info.Mode().Perm())
					}
				})
			}
		}
	}
}

// TestKeyMoves imports a key into ipns that Kubo has published under: the
// sequence goes on where Kubo left it, for the network still knows.
func TestKeyMoves(t *testing.T) {
	kubos := startKubos(t, 2)
	us := startOurs(t, kubos...)
	needs(us, "key", "import")
	name := key(kubos[0], "moving")
	for _, text := range []string{"one", "two"} {
		publish(kubos[0], add(kubos[0], site(t, text)), "--key", "moving")
	}
	file := filepath.Join(t.TempDir(), "moving.key")
	kubos[0].run("key", "export", "--output", file, "moving")
	us.run("key", "import", "moving", file)
	root := add(us, site(t, "three"))
	publish(us, root, "--key", "moving").wantReceipt(t, 2, 2, 2)
	for _, k := range kubos {
		resolves(k, name, "/ipfs/"+root)
	}
}
