package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// TestNamesMoveIntoADatabaseAndBack types what a user does: names go into a database, where
// they are published, and back.
func TestNamesMoveIntoADatabaseAndBack(t *testing.T) {
	t.Parallel() // it waits for other processes
	server := pgtest.Start(t)
	url := server.Database(t)
	dir := filepath.Join(t.TempDir(), "repo")
	runIpns(t, dir, "init", "--profile", "test")
	name := runIpns(t, dir, "key", "gen", "blog")
	publish := func(value string) {
		t.Helper()
		if out := runIpns(t, dir, "name", "publish", "--allow-offline", "--resolve=false", "--key=blog", value); !strings.Contains(out, name) {
			t.Fatalf("published: %s", out)
		}
	}
	fails := func(text string, args ...string) {
		t.Helper()
		out, err := ipnsCommand(t, dir, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), text) {
			t.Errorf("ipns %s: %v, without %q:\n%s", strings.Join(args, " "), err, text, out)
		}
	}
	publish("/ipfs/bafkqaaa")
	publish("/ipfs/bafkqabtimvwgy3yk")
	was := runIpns(t, dir, "name", "log", "--enc=json", name)

	var moved struct {
		Names, Versions int
		To, Digest      string
	}
	if err := json.Unmarshal([]byte(runIpns(t, dir, "store", "move", "--to="+url, "--json")), &moved); err != nil || moved.Names != 2 || len(moved.Digest) != 64 {
		t.Fatalf("%+v, %v", moved, err)
	}
	if out := runIpns(t, dir, "store", "status"); !strings.Contains(out, "(postgres)") || !strings.Contains(out, "names: 2 own, 0 hosted") {
		t.Errorf("status: %s", out)
	}
	if now := runIpns(t, dir, "name", "log", "--enc=json", name); now != was {
		t.Errorf("history before\n%s\nand after\n%s", was, now)
	}
	publish("/ipfs/bafkqabtimvwgy3yk") // without a search: it is known that nothing is newer
	fails("the names are there already", "store", "move", "--to="+url)

	// A second daemon has it open: names do not leave.
	other := filepath.Join(t.TempDir(), "other")
	runIpns(t, other, "init", "--profile", "test", "--store", url)
	d := startDaemonWith(t, other, "--offline")
	shareKeys(t, dir, other)
	fails("other daemons use the database", "store", "move", "--to=pebble")
	d.kill()
	out := runIpns(t, dir, "store", "move", "--to=pebble")
	if !strings.Contains(out, "moved 3 names") {
		t.Errorf("back: %s", out)
	}
	publish("/ipfs/bafkqaaa")
	if out := runIpns(t, dir, "store", "status"); !strings.Contains(out, "(pebble)") || !strings.Contains(out, "names: 3 own") {
		t.Errorf("status: %s", out)
	}
	dir = other
	fails("the names of this database were moved to another store", "name", "publish", "--allow-offline", "/ipfs/bafkqaaa")
}

// shareKeys shares a key of a repo with another one, and no longer.
func shareKeys(t *testing.T, dir, other string) {
	t.Helper()
	peer := func(dir string) string {
		t.Helper()
		return strings.TrimSpace(runIpns(t, dir, "id", "--format=<id>"))
	}
	_, recipient, ok := strings.Cut(runIpns(t, dir, "key", "shared"), "daemon age1")
	if recipient, _, _ = strings.Cut(recipient, " "); !ok {
		t.Fatal("no daemon is shown")
	}
	runIpns(t, dir, "key", "share", "blog", peer(other))
	if out := runIpns(t, other, "key", "ls"); !strings.Contains(out, "shared:blog") {
		t.Errorf("keys of the other: %s", out)
	}
	if out := runIpns(t, dir, "key", "share", "blog", peer(dir)); strings.Count(out, "no longer age1") != 1 {
		t.Errorf("shared with itself alone: %s", out)
	}
	if out := runIpns(t, other, "key", "ls"); strings.Contains(out, "shared:blog") {
		t.Errorf("keys of the other: %s", out)
	}
	runIpns(t, dir, "key", "share", "blog", "age1"+recipient)
	runIpns(t, dir, "key", "unshare", "blog")
}
