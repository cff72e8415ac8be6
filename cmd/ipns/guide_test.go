package main

import "testing"

// kuboPage says how to move from Kubo.
const kuboPage = "../../docs/guides/from-kubo.md"

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
	"ipns init --from-kubo ~/.ipfs --pins":        "stdout '^copied (2 pins with 6|3 pins with 7) blocks'\nstdout ' blog: sequence 41, until '\n",
	"ipns key ls -l":                              "stdout ' blog'\n",
	"ipns pin ls --type=recursive --names":        "stdout ' tree-0$'\nstdout ' tree-1$'\n",
	"ipns name publish --key=blog /ipfs/bafkqaaa": "stderr 'announced to [0-9]+ of [0-9]+ servers'\n",
	"ipns doctor":                                 "stdout '^nothing is wrong$'\n",
	"ipns export --to-kubo ~/.ipfs-new":           "stdout ' blog: sequence 4[12], until '\n",
}

// TestTheMoveFromKuboIsAsItsPageSays types every line in docs/guides/from-kubo.md.
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
			// It goes on being announced once ten servers have it.
			"ipns name check $NAME": "exec sh -c 'until ipns name status --local blog | grep -q \"to 20 of 20 servers\"; do sleep 0.1; done'\n",
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

// TestTheGuideForCIIsAsItSays types every line in docs/guides/ci.md.
func TestTheGuideForCIIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	typed{
		page: "../../docs/guides/ci.md",
		before: map[string]string{
			// The job runs on another machine than the one with the key, and the public network is on this one.
			"ipns publish --key-file=deploy.pem --json site": "env IPNS_PATH=$WORK/job\nexec ipns init --profile test\n" +
				"exec ipns config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n",
		},
		after: map[string]string{
			"ipns key gen deploy":                            "capture NAME stdout '(k51\\w+)'\n",
			"ipns publish --key-file=deploy.pem --json site": "stdout '^\\{\"Outcome\":\"published\",\"Code\":0,\"Name\":\"'$NAME'\",'\nexec ipns key ls\n! stdout deploy\n",
		},
	}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\n"+"capture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"+
		"mkdir site\nexec sh -c 'echo \"<p>a front page\" > site/index.html'\n")
}
