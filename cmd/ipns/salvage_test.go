package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A database that does not open is named with the way out, which brings back what can
// be read of it; and nothing is signed before the network was asked.
func TestADamagedDatabaseIsMadeAnew(t *testing.T) { // kind 8
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	runIpns(t, repo, "key", "gen", "blog")
	runIpns(t, repo, "name", "publish", "--offline", "--allow-offline", "--resolve=false", "/ipfs/bafkqaaa")
	runIpns(t, repo, "name", "publish", "--offline", "--allow-offline", "--resolve=false", "/ipfs/bafkqabtimvwgy3yk")
	status := func() string { return runIpns(t, repo, "name", "status", "--local", "self") }
	before := status()
	lists, err := filepath.Glob(filepath.Join(repo, "*", "MANIFEST-*"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("there is no list of files: %v", err)
	}
	for _, path := range lists {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, info.Size()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"daemon", "--offline"}, {"name", "status", "self"}, {"repo", "verify"}} {
		out, err := ipnsCommand(t, repo, args...).CombinedOutput()
		if text := string(out); err == nil || !strings.Contains(text, "the database is damaged") || !strings.Contains(text, "'ipns repo verify --repair'") {
			t.Errorf("ipns %s: %v, %s", strings.Join(args, " "), err, text)
		}
	}
	out := runIpns(t, repo, "repo", "verify", "--repair")
	if !strings.HasPrefix(out, "the database was damaged: a new one has the ") || !strings.HasSuffix(out, allWhole) {
		t.Errorf("the repair says %s", out)
	}
	for _, want := range []string{"/ipfs/bafkqabtimvwgy3yk", "Sequence"} {
		if now := status(); !strings.Contains(now, want) {
			t.Errorf("the name was\n%s\nand is\n%s", before, now)
		}
	}
	if out := runIpns(t, repo, "key", "list"); !strings.Contains(out, "blog") {
		t.Errorf("the keys are %s", out)
	}
	last, err := ipnsCommand(t, repo, "name", "publish", "--offline", "--allow-offline", "--resolve=false", "/ipfs/bafkqaaa").CombinedOutput()
	if err == nil || !strings.Contains(string(last), "last sequence is unknown") {
		t.Errorf("a publish nobody was asked for: %v, %s", err, last)
	}
	// Files that were set aside at a start are told of, and read by the repair.
	if err := os.Rename(filepath.Join(repo, "db.damaged"), filepath.Join(repo, "db.aside")); err != nil {
		t.Fatal(err)
	}
	if out, err := ipnsCommand(t, repo, "repo", "verify").CombinedOutput(); err == nil || !strings.Contains(string(out), "db.aside; the repair without a daemon reads it") {
		t.Errorf("files set aside: %v, %s", err, out)
	}
	if out := runIpns(t, repo, "repo", "verify", "--repair"); !strings.HasPrefix(out, "the database was damaged") {
		t.Errorf("the repair of files set aside says %s", out)
	}
	if now := status(); !strings.Contains(now, "/ipfs/bafkqabtimvwgy3yk") {
		t.Errorf("after it the name is %s", now)
	}
	if out := runIpns(t, repo, "repo", "verify", "--repair"); out != allWhole {
		t.Errorf("the next repair says %s", out)
	}
}

// allWhole is what a check of a repo says at last, if nothing is wrong.
const allWhole = "verify complete, all names are whole.\nverify complete, all blocks validated."
