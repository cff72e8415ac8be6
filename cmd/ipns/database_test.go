package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// TestDaemonWaitsForItsDatabase starts a daemon while the database of its names is away, and
// then starts that. A command without a daemon does not wait.
func TestDaemonWaitsForItsDatabase(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile=test", "--store="+strings.Replace(url, "ipns@", "ipns:hush@", 1))
	if out := runIpns(t, repo, "config", "Ipns.Store"); strings.Contains(out, "hush") || !strings.Contains(out, "ipns:xxxxx@") {
		t.Errorf("the store is shown as %s", out)
	}
	server.Stop()
	out, err := ipnsCommand(t, repo, "name", "publish", "--allow-offline", "/ipfs/bafkqaaa").CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "cannot be reached") || !strings.Contains(text, "see whether its server runs") || strings.Contains(text, "hush") {
		t.Errorf("a publish without the database: %v: %s", err, out)
	}
	daemon := ipnsCommand(t, repo, "daemon", "--offline")
	var log lockedBuffer
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(text string) {
		t.Helper()
		for range 3000 {
			if strings.Contains(log.String(), text) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = daemon.Process.Kill()
		t.Fatalf("never says %q, but:\n%s", text, log.String())
	}
	says("waiting for the database of the names")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	says("Daemon is ready")
	runIpns(t, repo, "name", "publish", "--allow-offline", "/ipfs/bafkqaaa")
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon: %v", err)
	}
	if strings.Contains(log.String(), "hush") {
		t.Error("the log shows the password")
	}
	// Without the store in its config, the repo does not begin another one.
	runIpns(t, repo, "config", "Ipns.Store", "")
	out, err = ipnsCommand(t, repo, "name", "publish", "--allow-offline", "/ipfs/bafkqaaa").CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "the names of this repo are elsewhere") || strings.Contains(text, "hush") {
		t.Errorf("a publish into the store of the repo: %v: %s", err, out)
	}
}
