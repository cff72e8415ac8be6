package main

import "testing"

// TestTheGuideForProductionIsAsItSays types every line in docs/guides/production.md.
func TestTheGuideForProductionIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	const (
		first, second = "ipns daemon --passphrase-file=secret", "ipns --repo-dir=second daemon"
		metrics       = "curl --fail http://127.0.0.1:5001/debug/metrics/prometheus"
	)
	join := func(repo string) string { // the public network of this test is on this machine
		return "exec ipns " + repo + "config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns " + repo + "config --bool Routing.LoopbackAddressesOnLanDHT true\n"
	}
	typed{
		page: "../../docs/guides/production.md",
		before: map[string]string{
			"ipns key encrypt --passphrase-file=secret": "exec sh -c 'printf x > secret; echo other > backup-secret'\nidentity .ipns/keystore x\n",
			first:                  join(""),
			second:                 join("--repo-dir=second "),
			"ipns name check blog": "exec ipns key ls -l\ncapture NAME stdout '(k51\\w+) blog'\n",
		},
		instead: map[string]string{
			// The profile keeps away from private networks, that of this test too.
			"ipns init --profile=server":                   "ipns init --profile=test",
			"ipns --repo-dir=second init --profile=server": "ipns --repo-dir=second init --profile=test",
			metrics: "curl --fail http://127.0.0.1:$PORT/debug/metrics/prometheus",
		},
		after: map[string]string{
			first:                          "capture PORT daemon.log 'RPC API server listening on /ip4/127.0.0.1/tcp/(\\d+)'\n",
			"ipns publish --key=blog site": "stdout '^published k51\\w+ = /ipfs/bafybe\\w+ \\(sequence 0, '\n",
			"ipns republish status":        "stdout '^At risk: +0$'\n",
			"ipns doctor":                  "stdout '^nothing is wrong$'\n",
			metrics:                        "stdout '^ipns_names'\n",
			"ipns --repo-dir=second follow --pin $NAME": "exec sh -c 'for i in $(seq 600); do ipns --repo-dir=second follow list | grep -q bafybe && break; sleep 0.2; done; ipns --repo-dir=second follow list'\nstdout bafybe\n",
			"ipns shutdown":         "ended daemon.log\n",
			"ipns name status blog": "stdout '^Sequence: +0$'\nstdout '\\(167h'\n",
		},
	}.run(t, "env IPNS_PATH=$WORK/.ipns\nstart testnet.log 'Testnet is ready' ipns testnet\ncapture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"+
		"mkdir site\nexec sh -c 'echo \"<p>a front page\" > site/index.html'\n")
}
