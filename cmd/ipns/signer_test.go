package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startSigner builds examples/signer, and runs it on the keys in a folder, with a socket there,
// until stop is called.
func startSigner(t *testing.T, dir string) (url string, stop func()) {
	t.Helper()
	program := filepath.Join(dir, "signer")
	if _, err := os.Stat(program); err != nil {
		if out, err := exec.Command("go", "build", "-o", program, "../../examples/signer").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	socket := filepath.Join(dir, "s")
	var log lockedBuffer
	cmd := exec.Command(program, "-listen", "unix:"+socket, "-keys", filepath.Join(dir, "keys"), "-state", filepath.Join(dir, "signed.json"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		} else if time.Since(begin) > readyTimeout {
			t.Fatalf("the signer does not listen: %s", log.String())
		}
	}
	return "unix:" + socket, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

// TestASignerElsewhereSignsForADaemon types what docs/signer.md says, with the signer of
// examples/signer: it refuses to go back, and when it is gone, everything that should says so.
func TestASignerElsewhereSignsForADaemon(t *testing.T) {
	t.Parallel()                            // it waits for other processes
	dir, err := os.MkdirTemp("", "signer-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	repo := filepath.Join(dir, "repo")
	runIpns(t, repo, "init", "--profile", "test")
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	name := runIpns(t, repo, "key", "gen", "blog")
	runIpns(t, repo, "name", "publish", "--allow-offline", "--resolve=false", "--key=blog", "/ipfs/bafkqaaa")
	runIpns(t, repo, "key", "export", "blog", "-o", filepath.Join(dir, "keys", "blog.key"))
	runIpns(t, repo, "key", "rm", "blog")
	url, stop := startSigner(t, dir)
	defer func() { stop() }()
	runIpns(t, repo, "config", "--json", "Ipns.Signers", `[{"URL": "`+url+`"}]`)
	fails := func(text string, args ...string) string {
		t.Helper()
		out, err := ipnsCommand(t, repo, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), text) {
			t.Errorf("ipns %s: %v, without %q:\n%s", strings.Join(args, " "), err, text, out)
		}
		return string(out)
	}
	publish := func(more ...string) []string {
		return append([]string{"name", "publish", "--allow-offline", "--resolve=false"}, more...)
	}
	label := "--key=signer:" + url + "#blog"
	out := runIpns(t, repo, publish(label, "/ipfs/bafkqabtimvwgy3yk")...)
	if !strings.Contains(out, "Published to "+name) || !strings.Contains(out, "the record has one signature") {
		t.Errorf("the first publish says %s", out)
	}
	runIpns(t, repo, publish("--key="+name, "/ipfs/bafkqaaa")...)
	runIpns(t, repo, "key", "verify", "--key="+name, "--signature=u"+strings.Repeat("A", 86), filepath.Join(repo, "config"))
	fails("only records are signed, with one signature", publish(label, "--v1compat", "/ipfs/bafkqaaa")...)
	fails("it refuses: only records", "key", "sign", label, filepath.Join(repo, "config"))
	fails(`has no key "other"`, publish("--key=signer:"+url+"#other", "/ipfs/bafkqaaa")...)
	fails("Ipns.Signers lists no such signer", publish("--key=signer:unix:/elsewhere", "/ipfs/bafkqaaa")...)

	// An old copy of the repo cannot go back: the signer remembers.
	runIpns(t, repo, publish(label, "--sequence=9", "/ipfs/bafkqaaa")...)
	other := filepath.Join(dir, "other")
	runIpns(t, other, "init", "--profile", "test")
	runIpns(t, other, "config", "--json", "Ipns.Signers", `[{"URL": "`+url+`"}]`)
	back, err := ipnsCommand(t, other, publish(label, "--sequence=3", "/ipfs/bafkqaaa")...).CombinedOutput()
	if err == nil || !strings.Contains(string(back), "it refuses: sequence 9 was signed, so 3 would go back") {
		t.Errorf("going back: %v\n%s", err, back)
	}

	// It makes a ladder, whose list it signs too.
	made := filepath.Join(dir, "made.ladder")
	runIpns(t, repo, "name", "sign", label, "--every=1d", "--count=3", "--output="+made, "/ipfs/bafkqaaa")
	if out := runIpns(t, repo, "name", "put", "--allow-offline", name, made); !strings.Contains(out, "2 of 3 steps are left") {
		t.Errorf("put of its ladder: %s", out)
	}
	runIpns(t, repo, publish(label, "/ipfs/bafkqabtimvwgy3yk")...) // which overtakes it

	// Nothing of the key is left where the node is.
	key, err := os.ReadFile(filepath.Join(dir, "keys", "blog.key"))
	if err != nil {
		t.Fatal(err)
	}
	seed := key[4 : 4+32] // after the head of the protobuf message
	err = filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, seed) {
			t.Errorf("the key is in %s, %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// The signer is there, then it is not: status, metrics and doctor say so, and not before.
	d := startDaemonWith(t, repo, "--offline")
	defer d.kill()
	if out := runIpns(t, repo, "name", "status", name); strings.Contains(out, "cannot sign") {
		t.Errorf("while it is there: %s", out)
	}
	if out, _ := ipnsCommand(t, repo, "doctor", "--offline").CombinedOutput(); strings.Contains(string(out), "(signer)") {
		t.Errorf("while it is there: %s", out)
	}
	stop()
	os.Remove(strings.TrimPrefix(url, "unix:"))
	fails("keys elsewhere are not known: list the keys of the signer "+url, publish("--key="+name, "/ipfs/bafkqaaa")...)
	if out := runIpns(t, repo, "name", "status", name); !strings.Contains(out, "Signer:") || !strings.Contains(out, "its key cannot sign, so that it is not renewed") {
		t.Errorf("the status of the name: %s", out)
	}
	d.kill() // the daemon that starts asks at once
	d2 := startDaemonWith(t, repo, "--offline")
	defer d2.kill()
	var risk struct {
		AtRisk []struct{ Name, Reason, Signer string }
	}
	if err := json.Unmarshal([]byte(runIpns(t, repo, "republish", "status", "--json")), &risk); err != nil {
		t.Fatal(err)
	}
	if len(risk.AtRisk) != 1 || risk.AtRisk[0].Name != name || !strings.Contains(risk.AtRisk[0].Reason, "its key cannot sign: ") || risk.AtRisk[0].Signer == "" {
		t.Errorf("at risk: %+v", risk.AtRisk)
	}
	fails("wrong (signer) "+name, "doctor", "--offline")
	for _, series := range []string{"ipns_names_unready", "ipns_names_at_risk"} {
		d2.until(series, func(v float64) bool { return v == 1 })
	}
	// Also without a daemon.
	d2.kill()
	fails("wrong (signer) "+name, "doctor", "--offline")
}
