package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEncryptedKeysGoToKuboAndBack carries keys of all types out of an encrypted keystore to Kubo,
// and Kubo's into one; decrypted again, the files are Kubo's, byte for byte.
func TestEncryptedKeysGoToKuboAndBack(t *testing.T) {
	us, them := newNode(t, ours, "ipns"), newNode(t, kubo, "ipfs")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	mustDo(t, os.WriteFile(secret, []byte("correct horse"), 0o600))
	us.run("key", "encrypt", "--passphrase-file", secret)
	unlocked := *us
	unlocked.flags = []string{"--passphrase-file", secret}
	kinds := []string{"ed25519", "rsa", "secp256k1"}
	data := filepath.Join(dir, "data")
	mustDo(t, os.WriteFile(data, []byte("signed by both"), 0o600))
	for _, kind := range kinds {
		for _, way := range []struct{ from, to *node }{{&unlocked, them}, {them, &unlocked}} {
			label := kind + "-" + way.from.name
			name := way.from.line("key", "gen", "--type", kind, label)
			file := filepath.Join(dir, label)
			way.from.run("key", "export", "--output", file, label)
			if got := way.to.line("key", "import", label, file); got != name {
				t.Errorf("%s: imported as %s, generated as %s", label, got, name)
			}
			// What one signs, the other verifies.
			var signed struct{ Signature string }
			way.to.query(&signed, "key", "sign", "--key", label, data)
			var verified struct{ SignatureValid bool }
			way.from.query(&verified, "key", "verify", "--key", label, "--signature", signed.Signature, data)
			if !verified.SignatureValid {
				t.Errorf("%s: a signature of %s is not valid for %s", label, way.to.name, way.from.name)
			}
		}
	}
	files := func(n *node) []string {
		list, err := filepath.Glob(filepath.Join(n.repo, "keystore", "key_*"))
		mustDo(t, err)
		return list
	}
	for _, path := range files(us) {
		b, err := os.ReadFile(path)
		mustDo(t, err)
		if !bytes.HasPrefix(b, []byte("age-encryption.org/")) {
			t.Errorf("%s is in clear", path)
		}
	}
	us.run("key", "decrypt", "--passphrase-file", secret)
	theirs := files(them)
	if len(theirs) != 2*len(kinds) {
		t.Errorf("Kubo has %d keys", len(theirs))
	}
	for _, path := range theirs {
		want, err := os.ReadFile(path)
		mustDo(t, err)
		if got, err := os.ReadFile(filepath.Join(us.repo, "keystore", filepath.Base(path))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: decrypted it is not Kubo's file: %v", filepath.Base(path), err)
		}
	}
}

// listening waits for a socket.
func listening(t *testing.T, path string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		} else if time.Since(begin) > readyTimeout {
			t.Fatal(err)
		}
	}
}

// background runs a program until the test ends.
func background(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	mustDo(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// TestKuboResolvesWhatAgentsAndSignersSign publishes with keys of a real ssh-agent and of the signer
// in examples/, and has Kubo resolve the names. A key that the signer has comes from Kubo, which
// has published under it.
func TestKuboResolvesWhatAgentsAndSignersSign(t *testing.T) {
	dir, err := os.MkdirTemp("", "elsewhere-") // the path of a socket must be short
	mustDo(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	kubos := startKubos(t, 2)
	us := newNode(t, ours, "ipns")

	agent := filepath.Join(dir, "agent")
	for _, program := range []string{"ssh-agent", "ssh-add", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here: %v", program, err)
		}
	}
	background(t, "ssh-agent", "-D", "-a", agent)
	listening(t, agent)
	for comment, kind := range map[string][]string{"blog": {"-t", "ed25519"}, "curve": {"-t", "ecdsa", "-b", "256"}, "large": {"-t", "rsa", "-b", "2048"}} {
		file := filepath.Join(dir, comment)
		out, err := exec.Command("ssh-keygen", append(kind, "-q", "-N", "", "-C", comment, "-f", file)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cmd := exec.Command("ssh-add", "-q", file)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+agent)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	us.run("config", "Ipns.SSHAgent", agent)

	signer, socket := filepath.Join(dir, "signer"), filepath.Join(dir, "s")
	_, err = goCommand("build", "-C", "..", "-o", signer, "./examples/signer")
	mustDo(t, err)
	mustDo(t, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	name := key(kubos[0], "theirs")
	publish(kubos[0], add(kubos[0], site(t, "one")), "--key", "theirs")
	publish(kubos[0], add(kubos[0], site(t, "two")), "--key", "theirs")
	kubos[0].run("key", "export", "--output", filepath.Join(dir, "keys", "theirs.key"), "theirs")
	kubos[0].run("key", "rm", "theirs")
	background(t, signer, "-listen", "unix:"+socket, "-keys", filepath.Join(dir, "keys"), "-state", filepath.Join(dir, "signed.json"))
	listening(t, socket)
	us.run("config", "--json", "Ipns.Signers", `[{"URL": "unix:`+socket+`"}]`)

	us.start()
	join(us, kubos...)
	root := add(us, site(t, "three"))
	labels := map[string][]string{"agent:blog": nil, "agent:curve": {"--v1compat"}, "agent:large": nil, "signer:unix:" + socket + "#theirs": nil}
	for label, more := range labels {
		got := publish(us, "/ipfs/"+root, append(more, "--key", label)...)
		sequence := uint64(0)
		if strings.HasPrefix(label, "signer:") {
			if sequence = 2; got.Name != name { // it goes on where Kubo was
				t.Errorf("%s is %s, not %s", label, got.Name, name)
			}
		}
		got.wantReceipt(t, sequence, 2, 2)
		for _, k := range kubos {
			resolves(k, got.Name, "/ipfs/"+root)
		}
	}
}
