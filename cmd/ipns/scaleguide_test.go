package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// scaleGuide says how several daemons share a database.
const scaleGuide = "../../docs/guides/scale.md"

// TestTheGuideForScaleIsAsItSays types every line in docs/guides/scale.md.
func TestTheGuideForScaleIsAsItSays(t *testing.T) {
	bin, err := pgtest.Find()
	if err != nil {
		t.Skip(err)
	}
	t.Parallel() // it waits for other processes
	u, err := url.Parse(pgtest.Start(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	// The database and the public network of this test are on this machine.
	socket := u.Query().Get("host")
	const store = "--store=postgres://names@db.example.com/names?sslmode=verify-full"
	const to = "ipns store move --to=postgres://names@db.example.com/names?sslmode=verify-full"
	here := "postgres://names@/names?host=" + socket
	join := func(repo string) string {
		return "exec ipns " + repo + "config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns " + repo + "config --bool Routing.LoopbackAddressesOnLanDHT true\n"
	}
	typed{
		page: scaleGuide,
		before: map[string]string{
			"ipns daemon":                   join(""),
			"ipns --repo-dir=second daemon": join("--repo-dir=second "),
		},
		instead: map[string]string{
			"ipns init " + store:                   "ipns init --profile=test --store=" + here,
			"ipns --repo-dir=second init " + store: "ipns --repo-dir=second init --profile=test --store=" + here,
			"ipns key share site $PEER":            "ipns key share site $SECOND",
			to:                                     "ipns store move --to=" + here,
			"curl --fail http://127.0.0.1:8080/healthz":      "curl --fail http://$GATEWAY/healthz",
			"curl --fail http://127.0.0.1:8080/readyz/serve": "curl --fail http://$GATEWAY/readyz/serve",
		},
		after: map[string]string{
			"ipns daemon":         "capture PORT daemon.log 'Gateway server listening on /ip4/127.0.0.1/tcp/(\\d+)'\nenv GATEWAY=127.0.0.1:$PORT\n",
			"ipns key gen site":   "capture NAME stdout '(k51\\w+)'\n",
			"ipns cluster status": "stdout 'holds [0-9]+ of 64 sectors'\n",
			"ipns name publish --key=site /ipfs/bafkqaaa":                                  "stderr '\\(sequence 0\\)'\n",
			"ipns name resolve --min-sequence=0 $NAME":                                     "stdout '^/ipfs/bafkqaaa$'\n",
			"ipns --repo-dir=second id --format='<id>'":                                    "capture SECOND stdout '(12D3\\w+)'\n",
			"ipns --repo-dir=second name publish --key=shared:site /ipfs/bafkqablomv3wk4q": "stderr '\\(sequence 1\\)'\nexec ipns name resolve $NAME\nstdout '^/ipfs/bafkqablomv3wk4q$'\n",
			"curl --fail http://127.0.0.1:8080/readyz/serve":                               "stdout 'yes'\n",
			"ipns --repo-dir=second shutdown":                                              "ended second.log\n",
			"ipns shutdown":                                                                "ended daemon.log\n",
			"ipns store move --to=pebble":                                                  "exec ipns store status\nstdout 'pebble'\n",
			"ipns name log site":                                                           "stdout bafkqaaa\nstdout bafkqablomv3wk4q\n",
		},
	}.run(t, "env PGHOST="+socket+"\nenv PGUSER=ipns\nenv PGDATABASE=postgres\nenv PATH=$PATH:"+bin+"\n"+
		"start testnet.log 'Testnet is ready' ipns testnet\ncapture PEER testnet.log 'ipfs swarm connect (\\S+)'\n")
}

// nginx takes what the guide and the example have for it.
func TestNginxTakesItsConfig(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("there is no nginx: apt-get install nginx-light")
	}
	page, err := os.ReadFile(scaleGuide)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```nginx\n")
	block, _, found := strings.Cut(block, "```")
	if !found {
		t.Fatal("the guide has no config of nginx")
	}
	example, err := os.ReadFile(filepath.Join(clusterExample, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for what, text := range map[string]string{"guide": "events {}\nhttp {\n" + block + "}\n", "example": string(example)} {
		file := filepath.Join(dir, what)
		if err := os.WriteFile(file, []byte("pid "+dir+"/pid;\nerror_log stderr;\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(nginx, "-t", "-p", dir, "-c", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}
