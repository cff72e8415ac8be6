package interop

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestKeysOfAllFormsAreRecognized imports a key that Kubo made in every form in which programs
// for IPNS have one, without saying which it is. What is exported are Kubo's bytes again.
func TestKeysOfAllFormsAreRecognized(t *testing.T) {
	us, them := newNode(t, ours, "ipns"), newNode(t, kubo, "ipfs")
	for _, kind := range []string{"ed25519", "rsa", "secp256k1"} {
		name := them.line("key", "gen", "--type", kind, kind)
		dir := t.TempDir()
		binary, pem := filepath.Join(dir, "binary"), filepath.Join(dir, "pem")
		them.run("key", "export", "--output", binary, kind)
		them.run("key", "export", "--format=pem-pkcs8-cleartext", "--output", pem, kind)
		key, err := os.ReadFile(binary)
		mustDo(t, err)
		text, err := os.ReadFile(pem)
		mustDo(t, err)
		wrapped := ""
		for part := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(key)), 76) {
			wrapped += string(part) + "\n"
		}
		forms := map[string]struct{ file, format string }{
			"binary":           {string(key), "libp2p-protobuf-cleartext"},
			"binary with LF":   {string(key) + "\n", "libp2p-protobuf-cleartext"},
			"PEM":              {string(text), "pem-pkcs8-cleartext"},
			"PEM with CRLF":    {strings.ReplaceAll(string(text), "\n", "\r\n"), "pem-pkcs8-cleartext"},
			"base64":           {base64.StdEncoding.EncodeToString(key), "libp2p-protobuf-base64"},
			"base64 in lines":  {wrapped, "libp2p-protobuf-base64"},
			"base64 unpadded":  {base64.RawStdEncoding.EncodeToString(key), "libp2p-protobuf-base64"},
			"base64 for URLs":  {base64.RawURLEncoding.EncodeToString(key) + "\n", "libp2p-protobuf-base64"},
			"base64 multibase": {"m" + base64.RawStdEncoding.EncodeToString(key), "libp2p-protobuf-base64"},
		}
		if kind == "ed25519" { // what JavaScript calls its raw key
			forms["raw"] = struct{ file, format string }{string(key[4:]), "ed25519-raw"}
		}
		for form, f := range forms {
			label := kind + " " + form
			file := filepath.Join(dir, form)
			mustDo(t, os.WriteFile(file, []byte(f.file), 0o600))
			r := us.try(nil, "key", "import", label, file)
			if strings.TrimSpace(r.stdout) != name || !strings.HasPrefix(r.stderr, "recognized "+f.format+": ") {
				t.Errorf("%s: %d %q %q, want %s of %s", label, r.code, r.stdout, r.stderr, name, f.format)
				continue
			}
			for format, want := range map[string]string{"libp2p-protobuf-cleartext": string(key), "pem-pkcs8-cleartext": string(text)} {
				out := filepath.Join(dir, "out "+form+format)
				us.run("key", "export", "--format", format, "--output", out, label)
				if got, err := os.ReadFile(out); err != nil || string(got) != want {
					t.Errorf("%s: exported as %s it has other bytes than Kubo's: %v", label, format, err)
				}
			}
		}
	}
}
