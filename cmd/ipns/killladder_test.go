package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAKilledPutLeavesAWholeLadderOrNone kills 'ipns name put LADDER', and looks each time at what
// is there: the ladder before it or this one, with all its steps, and this one if the command said
// so.
func TestAKilledPutLeavesAWholeLadderOrNone(t *testing.T) {
	t.Parallel() // it waits for other processes
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	cold, repo := filepath.Join(dir, "cold"), filepath.Join(dir, "repo")
	runIpns(t, cold, "init", "--profile", "test")
	name := runIpns(t, cold, "key", "gen", "cold")
	runIpns(t, repo, "init", "--profile", "test")
	put := func(steps int) []string {
		return []string{"name", "put", "--allow-offline", name, ladderFile(t, cold, dir, steps)}
	}
	begin := time.Now()
	runIpns(t, repo, put(200)...)
	takes := time.Since(begin)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	before, killed, taken := 200, 0, 0
	for round := 0; round < rounds || killed == 0 && round < 10*rounds; round++ {
		next := before + 1 + round
		cmd := ipnsCommand(t, repo, put(next)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Most of the time goes before the writes.
		kill := time.AfterFunc(takes/2+time.Duration(random.Int64N(int64(takes))), func() { _ = cmd.Process.Kill() })
		said := cmd.Wait() == nil
		kill.Stop()
		if said {
			takes = max(takes*2/3, time.Millisecond) // the machine has become faster
		} else {
			killed++
		}
		var status struct {
			Ladder struct {
				Steps, Left int
				Problems    []string
			}
		}
		if err := json.Unmarshal([]byte(runIpns(t, repo, "name", "status", "--json", "--local", name)), &status); err != nil {
			t.Fatal(err)
		}
		l := status.Ladder
		if len(l.Problems) > 0 || l.Steps != before && l.Steps != next || said && l.Steps != next || l.Left < l.Steps-1 {
			t.Fatalf("round %d, the put succeeded: %v: %+v, before it %d steps, in it %d", round, said, l, before, next)
		}
		if l.Steps == next {
			taken++
		}
		before = l.Steps
	}
	t.Logf("%d were killed, and %d ladders are there", killed, taken)
	if killed == 0 {
		t.Error("no put was killed in time")
	}
}

// ladderFile signs a ladder with so many steps for the key "cold", and returns its file.
func ladderFile(t *testing.T, cold, dir string, steps int) string {
	t.Helper()
	file := filepath.Join(dir, fmt.Sprintf("%d.ladder", steps))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	args := []string{"name", "sign", "--key=cold", "--sequence=0", "--every=1d", fmt.Sprintf("--count=%d", steps), "--output=" + file, "/ipfs/bafkqaaa"}
	runIpns(t, cold, args...)
	return file
}
