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
	typed{page: kuboPage, before: beforeLine, after: afterLine}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\n"+
		"capture PEER testnet.log 'ipfs swarm connect (\\S+)'\n")
}

// ensGuide is the way to a site for an ENS name.
const ensGuide = "../../docs/guides/ens.md"

// TestTheGuideForENSIsAsItSays types every line in docs/guides/ens.md.
func TestTheGuideForENSIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	typed{
		page: ensGuide,
		before: map[string]string{
			// The public network, Ethereum and DNS of this test are on this machine.
			"ipns daemon": "exec ipns config profile apply test\nexec ipns config --json Bootstrap '[\"'$PEER'\"]'\n" +
				"exec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n",
			"ipns ens check --rpc=$ETH --name=$NAME example.eth": "ethereum ETH 1 example.eth $HASH\n",
			"ipns dnslink check --name=$NAME example.com":        "dns DNS _dnslink.example.com dnslink=/ipns/$NAME\n",
			// For what follows "From now on".
			"ipns name status blog": "exec sh -c 'echo changed > site/index.html'\nexec ipns publish --key=blog site\n",
		},
		instead: map[string]string{
			"ipns dnslink check --name=$NAME example.com": "ipns dnslink check --server=$DNS --doh= --name=$NAME example.com",
			// A line of a script knows no variables of another.
			`NAME=$(ipns key ls -l | awk '$2 == "blog" { print $1 }')`: `NAME=$(ipns key ls -l | awk '$2 == "blog" { print $1 }'); echo "the name is $NAME"`,
		},
		after: map[string]string{
			"ipns publish --key=blog site":                             "stdout '^published k51\\w+ = /ipfs/bafybe\\w+ \\(sequence 0, taken by (1\\d|20) of 20 servers, seen at (1\\d|20) of (1\\d|20)\\)$'\n",
			`NAME=$(ipns key ls -l | awk '$2 == "blog" { print $1 }')`: "capture NAME stdout 'the name is (k51\\w+)'\n",
			"ipns name resolve $NAME":                                  "stdout '^/ipfs/bafybe'\n",
			"ipns cat /ipns/$NAME/index.html":                          "stdout '^<p>a front page$'\n",
			"ipns contenthash encode $NAME":                            "capture HASH stdout '0x(\\w+)'\n",
			"ipns ens calldata example.eth blog":                       "stdout $HASH\n",
			"ipns ens check --rpc=$ETH --name=$NAME example.eth":       "stdout '^points to +ipns://'$NAME'$'\n! stdout problem\n",
			"ipns name check $NAME":                                    "stdout '(19|20) of the 20 closest servers'\n",
			"ipns dnslink check --name=$NAME example.com":              "stdout '^record: _dnslink.example.com. 300 IN TXT \"dnslink=/ipns/'$NAME'\"$'\n! stdout problem\n",
			"ipns name status blog":                                    "stdout '^Sequence: +1$'\n",
			"ipns name rollback blog 0":                                "stderr '\\(sequence 2\\)$'\n",
		},
	}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\n"+"capture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"+
		"mkdir site\nexec sh -c 'echo \"<p>a front page\" > site/index.html'\n")
}

// keysGuide says where keys can be.
const keysGuide = "../../docs/guides/keys.md"

// TestTheGuideForKeysIsAsItSays types every line in docs/guides/keys.md.
func TestTheGuideForKeysIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	// The machine with the key is another repo.
	const cold, back = "env IPNS_PATH=$WORK/cold\n", "env IPNS_PATH=$WORK/.ipns\n"
	typed{
		page: keysGuide,
		before: map[string]string{
			"ipns init": back,
			"ipns key encrypt --passphrase-file=secret": "exec sh -c 'printf x > secret'\nidentity .ipns/keystore x\n",
			// The public network of this test is on this machine.
			"ipns daemon": "exec ipns config profile apply test\nexec ipns config --json Bootstrap '[\"'$PEER'\"]'\n" +
				"exec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n",
			"ipns name sign --output=site.record site.request":     cold,
			"ipns name sign --output=year.ladder year.request":     cold,
			"ipns name sign --output=anchor.record anchor.request": cold,
			"ipns name put $NAME site.record":                      back,
			"ipns name put $NAME year.ladder":                      back,
			"ipns name put $NAME anchor.record":                    back,
		},
		after: map[string]string{
			"ipns key gen hot":                                 "capture HOT stdout '(k51\\w+)'\n",
			"ipns key encrypt --passphrase-file=secret":        "stdout '^encrypted 3 keys$'\n",
			"ipns name sign --output=site.record site.request": "stderr '^1 of 1 for '$NAME': /ipfs/bafkqaaa, sequence 0 until 20'\n",
			"ipns name resolve $NAME":                          "stdout '^/ipfs/bafkqaaa$'\n",
			"ipns name sign --output=year.ladder year.request": "stderr '^12 of 12 for '$NAME\n",
			"ipns name put $NAME year.ladder":                  "stdout '^11 of 12 steps are left'\n",
			"ipns name put $NAME anchor.record":                "stderr '11 of the 12 steps of the ladder of this name are older'\nexec ipns name resolve $NAME\nstdout '^/ipfs/bafkqaaa$'\n",
			"ipns name status $NAME":                           "stdout '^Sequence: +[01]$'\n",
		},
	}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\ncapture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"+
		cold+"exec ipns init --profile test\nexec ipns key gen anchor\ncapture NAME stdout '(k51\\w+)'\n")
}

// typed is a page whose commands are typed, one after the other.
type typed struct {
	page          string
	before, after map[string]string // what of a script stands beside a line
	instead       map[string]string // what is typed for a line that means another machine
}

// run types every line of the page.
func (p typed) run(t *testing.T, begin string) {
	page, err := os.ReadFile(p.page)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(begin)
	lines := 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			lines++
			b.WriteString(p.before[line])
			switch {
			case line == "ipns daemon":
				b.WriteString("start daemon.log 'Daemon is ready' ipns daemon\n")
			case line == "ipns --repo-dir=second daemon":
				b.WriteString("start second.log 'Daemon is ready' " + line + "\n")
			case p.instead[line] != "":
				fmt.Fprintf(&b, "exec sh -c '%s'\n", strings.ReplaceAll(p.instead[line], "'", "''"))
			default:
				fmt.Fprintf(&b, "exec sh -c '%s'\n", strings.ReplaceAll(line, "'", "''"))
			}
			b.WriteString(p.after[line])
		}
	}
	if lines < len(p.after) {
		t.Fatalf("the page has only %d lines to type", lines)
	}
	for _, known := range []map[string]string{p.before, p.after, p.instead} {
		for line := range known {
			if !strings.Contains(string(page), line+"\n") {
				t.Errorf("the page has no line %q", line)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.txtar"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, scripts(dir))
}
