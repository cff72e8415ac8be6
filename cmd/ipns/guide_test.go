package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// kuboPage says how to move from Kubo.
const kuboPage = "../../docs/from-kubo.md"

// What the reader of that page has, beside the line that needs it.
var beforeLine = map[string]string{
	"ipns doctor ~/.ipfs --offline": "kubo .ipfs\n",
	// The public network of this test is on this machine.
	"ipns daemon":                       "exec ipns config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n",
	"ipns export --to-kubo ~/.ipfs-new": "ended daemon.log\nkubo .ipfs-new new\n",
}

// What is to be seen after a line.
var afterLine = map[string]string{
	"ipns doctor ~/.ipfs --offline":               "stdout '^nothing is wrong$'\n",
	"ipns init --from-kubo ~/.ipfs --pins":        "stdout '^copied 2 pins with 6 blocks'\nstdout ' blog: sequence 41, until '\n",
	"ipns key ls -l":                              "stdout ' blog'\n",
	"ipns pin ls --type=recursive --names":        "stdout ' tree-0$'\nstdout ' tree-1$'\n",
	"ipns name publish --key=blog /ipfs/bafkqaaa": "stderr 'announced to [0-9]+ of [0-9]+ servers'\n",
	"ipns doctor":                                 "stdout '^nothing is wrong$'\n",
	"ipns export --to-kubo ~/.ipfs-new":           "stdout ' blog: sequence 4[12], until '\n",
}

// TestTheMoveFromKuboIsAsItsPageSays types every line in docs/from-kubo.md.
func TestTheMoveFromKuboIsAsItsPageSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	page, err := os.ReadFile(kuboPage)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("start testnet.log 'Testnet is ready' ipns testnet\ncapture PEER testnet.log 'ipfs swarm connect (\\S+)'\n")
	typed := 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			typed++
			b.WriteString(beforeLine[line])
			if line == "ipns daemon" {
				b.WriteString("start daemon.log 'Daemon is ready' ipns daemon\n")
			} else {
				fmt.Fprintf(&b, "exec sh -c '%s'\n", strings.ReplaceAll(line, "'", "''"))
			}
			b.WriteString(afterLine[line])
		}
	}
	if typed < len(afterLine) {
		t.Fatalf("the page has only %d lines to type", typed)
	}
	for line := range afterLine {
		if !strings.Contains(string(page), line+"\n") {
			t.Errorf("the page has no line %q", line)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "from-kubo-page.txtar"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, scripts(dir))
}
