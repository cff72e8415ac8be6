package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
)

// commands are all commands that people see, by their words: those that do
// something, not the groups.
func commands() (words []string, all map[string]*cobra.Command) {
	all = map[string]*cobra.Command{}
	table := map[string]bool{}
	for _, spec := range api.All {
		table[strings.ReplaceAll(spec.Describe().Path, "/", " ")] = true
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		at := strings.TrimSpace(commandPath(cmd))
		if at != "" && !cmd.Hidden && (!cmd.HasSubCommands() || table[at]) {
			words = append(words, at)
			all[at] = cmd
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&cli{}).root())
	return words, all
}

func examplesOf(cmd *cobra.Command) []string {
	var lines []string
	for line := range strings.Lines(cmd.Example) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func TestEveryCommandHasOneToThreeExamples(t *testing.T) {
	words, all := commands()
	if len(words) < 50 {
		t.Fatalf("only %d commands found", len(words))
	}
	for _, at := range words {
		lines := examplesOf(all[at])
		if len(lines) == 0 || len(lines) > 3 {
			t.Errorf("'ipns %s' has %d examples, want one to three", at, len(lines))
		}
		for _, line := range lines {
			if !strings.Contains(line+" ", "ipns "+at+" ") {
				t.Errorf("the example %q of 'ipns %s' runs another command", line, at)
			}
		}
	}
}

// Which examples run before the others, and which after them; the rest run in
// the order of the commands.
var (
	firstExamples = []string{"key gen", "add", "name publish", "doctor", "key export", "name get"}
	lastExamples  = []string{
		"pin rm", "key rename", "key rm", "config", "bootstrap add", "bootstrap add default",
		"bootstrap rm", "bootstrap rm all", "shutdown", "export",
	}
)

// Commands of nothing but refusals on a node with the defaults, which answer as Kubo does.
var refusedExamples = map[string]string{
	"name pubsub subs": "not enabled", "name pubsub cancel": "not enabled", "routing reprovide": "not available with the sweep provider",
	"repo migrate":   "please stop it",
	"store move":     "please stop it", // and the first example needs a database
	"pin remote add": "service not known", "pin remote ls": "service not known", "pin remote rm": "service not known",
}

// beforeExample is what must have happened before the examples of a command.
var beforeExample = map[string]string{
	"name rollback": "exec ipns name publish --key=blog --resolve=false /ipfs/bafkqaaa\n",
	"publish": "exec ipns name publish --key=blog /ipfs/$CID\nexec sh -c 'ipns name get $NAME > signed.bin'\n" +
		"exec ipns key export --format=pem-pkcs8-cleartext --output=deploy.pem blog\n",
	"key share":         "exec ipns id --format=<id>\ncapture DAEMON stdout '(12D3\\w+)'\n",
	"name delegate":     "exec ipns key gen anchor\n",
	"name put":          "exec sh -c 'ipns name get $NAME > record.bin'\n",
	"export":            "env IPNS_PATH=$WORK/init2\nexec rm -r kubo\nkubo kubo new\n", // that daemon may still be stopping
	"key verify":        "exec ipns key sign --key=blog site/index.html\ncapture SIGNATURE stdout '\"Signature\":\"(\\S+)\"'\n",
	"host token rotate": "exec ipns host token list\ncapture ID stdout '([0-9a-f]{12})'\n",
	"host list": "exec sh -c 'export IPNS_PATH=$WORK/tenant; ipns init --profile test; ipns name publish --allow-offline /ipfs/bafkqaaa; " +
		"N=$(ipns key ls -l | cut -d\" \" -f1); printf \"{\\\"Name\\\":\\\"%s\\\",\\\"Record\\\":\\\"%s\\\"}\" $N $(ipns name get $N | base64 -w0) > $WORK/tenant.ndjson'\n" +
		"exec ipns host import --tenant=friends tenant.ndjson\nexec ipns host list\ncapture HOSTED stdout '(k51\\w+)'\n",
	"config replace": "exec sh -c 'ipns config show > config.json'\n",
	// A receiver that nobody is.
	"name webhook replay": "exec ipns name webhook add --private http://127.0.0.1:9/\ncapture HOOK stdout '(wh\\w+)'\n",
	// On a repo of its own, which no daemon uses.
	"key rotate":    "env IPNS_PATH=$WORK/rotated\nexec ipns init --profile test\n",
	"key encrypt":   "env IPNS_PATH=$WORK/encrypted\nexec ipns init --profile test\nexec sh -c 'printf x > secret'\nidentity encrypted/keystore x\n",
	"key decrypt":   "env IPNS_PATH=$WORK/encrypted\n",
	"config edit":   "env IPNS_PATH=$WORK/rotated\nenv EDITOR=true\n",
	"bootstrap add": "exec ipns config --json AutoConf.Enabled true\n", // off in the profile test
	"bootstrap rm":  "exec ipns config --json Bootstrap '[\"'$PEER'\"]'\n",
	"ens check":     "ethereum ETH 1 example.eth e3010170122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f\n",
	"dnslink check": "dns DNS _dnslink.example.com dnslink=/ipns/$NAME\n",
}

// exampleRepo makes a repo on the network of the script.
const exampleRepo = "env IPNS_PATH=$WORK/%s\nexec ipns init --profile test\nexec ipns config --json Bootstrap '[\"'$PEER'\"]'\n"

// Every example of every command works. They run in the order of a user's day,
// with a network on this machine, a folder site, and the keys and files that
// earlier examples made.
func TestExamplesWork(t *testing.T) {
	t.Parallel() // it waits for other processes
	dir := t.TempDir()
	script := exampleScript()
	if err := os.WriteFile(filepath.Join(dir, "examples.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, scripts(dir))
}

func exampleScript() string {
	words, all := commands()
	var b strings.Builder
	logs := 0
	// run starts a command that stays, and leaves it when it is ready.
	run := func(line, ready string) string {
		logs++
		fmt.Fprintf(&b, "start %d.log '%s' %s\n", logs, ready, line)
		return fmt.Sprintf("%d.log", logs)
	}
	stop := func(log string) { fmt.Fprintf(&b, "interrupt %s\n", log) }

	for i, line := range examplesOf(all["testnet"]) {
		log := run(line, "Testnet is ready")
		if i > 0 {
			stop(log)
			continue
		}
		fmt.Fprintf(&b, "capture PEER %s 'ipfs swarm connect (\\S+)'\n", log)
		fmt.Fprintf(&b, "capture NODE %s '/p2p/(\\w+)'\n", log)
	}
	b.WriteString("kubo kubo\n")
	for i, line := range examplesOf(all["init"]) {
		fmt.Fprintf(&b, "env IPNS_PATH=$WORK/init%d\nexec %s\n", i, line)
	}
	fmt.Fprintf(&b, exampleRepo, "up")
	for _, line := range examplesOf(all["up"]) {
		switch {
		case strings.Contains(line, "--once"):
			fmt.Fprintf(&b, "exec %s\n", line)
		case strings.Contains(line, "--testnet"):
			b.WriteString("env IPNS_PATH=\n")
			stop(run(line, "Serving it"))
			b.WriteString("env IPNS_PATH=$WORK/up\n")
		default:
			stop(run(line, "Serving it"))
		}
	}
	fmt.Fprintf(&b, exampleRepo, "repo")
	daemons := examplesOf(all["daemon"])
	for i, line := range daemons {
		if log := run(line, "Daemon is ready"); i < len(daemons)-1 {
			stop(log)
		}
	}
	b.WriteString("env IPNS_PATH=$WORK/relay\nexec ipns init --profile test\n")
	for _, line := range examplesOf(all["relay"]) {
		stop(run(line, "Relay is ready"))
	}
	b.WriteString("env IPNS_PATH=$WORK/repo\n")
	b.WriteString("exec ipns add -Q --cid-version=1 site\ncapture CID stdout '(\\w+)'\n")
	words = slices.DeleteFunc(words, func(at string) bool {
		return slices.Contains([]string{"testnet", "init", "up", "daemon", "relay"}, at) ||
			slices.Contains(firstExamples, at) || slices.Contains(lastExamples, at)
	})
	for _, at := range slices.Concat(firstExamples, words, lastExamples) {
		b.WriteString(beforeExample[at])
		not := ""
		if refusedExamples[at] != "" {
			not = "! "
		}
		for _, line := range examplesOf(all[at]) {
			fmt.Fprintf(&b, "%sexec sh -c '%s'\n", not, strings.ReplaceAll(line, "'", "''"))
			if not != "" {
				fmt.Fprintf(&b, "stderr '%s'\n", refusedExamples[at])
			}
		}
		if before := beforeExample[at]; strings.Contains(before, "env IPNS_PATH") {
			b.WriteString("env IPNS_PATH=$WORK/repo\n")
		}
		if at == "key gen" {
			b.WriteString("exec ipns key ls -l\ncapture NAME stdout '(k51\\w+) blog'\n")
		}
	}
	return b.String() + "-- site/index.html --\n<p>a front page\n"
}
