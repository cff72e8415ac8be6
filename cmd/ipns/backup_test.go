package main

import "testing"

// TestTheRestoreDrillIsAsTheGuideSays types every line in docs/guides/backup.md, the restore
// into a second repo. R5.
func TestTheRestoreDrillIsAsTheGuideSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	typed{
		page: "../../docs/guides/backup.md",
		before: map[string]string{
			"ipns --repo-dir=second restore --dry-run --passphrase-file=secret names.age": "ended daemon.log\n",
		},
		after: map[string]string{
			"ipns backup --passphrase-file=secret names.age":                              "stdout '^names.age: 2 keys, 2 names with 1 versions'\n",
			"ipns backup --passphrase-file=secret backups/":                               "stdout '^backups/ipns-000001-'\n",
			"ipns name publish --key=blog /ipfs/bafkqablomv3wk4q":                         "stderr 'announced to .*sequence 1\\)$'\n",
			"ipns --repo-dir=second restore --dry-run --passphrase-file=secret names.age": "stdout '^would restore names.age'\n! exists second\n",
			"ipns --repo-dir=second restore --passphrase-file=secret names.age":           "stdout '^restored names.age'\n",
			// Once the network was asked.
			"ipns --repo-dir=second daemon":                                         "exec sh -c 'for i in $(seq 600); do ipns --repo-dir=second name status blog | grep -q bafkqablomv3wk4q && break; sleep 0.2; done'\n",
			"ipns --repo-dir=second name status blog":                               "stdout '/ipfs/bafkqablomv3wk4q$'\nstdout '^Sequence: +1$'\n",
			"ipns --repo-dir=second name log blog":                                  "stdout '^1 .*/ipfs/bafkqablomv3wk4q'\nstdout '^0 .*/ipfs/bafkqablpnrsgk4q'\n",
			"ipns --repo-dir=second name publish --key=blog /ipfs/bafkqablbmz2gk4q": "stderr 'announced to .*sequence 2\\)$'\n",
			"ipns --repo-dir=second shutdown":                                       "ended second.log\n",
		},
	}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\n"+"capture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"+
		"exec ipns init --profile=test\nexec ipns config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n"+
		"exec ipns key gen blog\nexec sh -c 'echo passphrase > secret'\nstart daemon.log 'Daemon is ready' ipns daemon\n"+
		"exec ipns name publish --key=blog /ipfs/bafkqablpnrsgk4q\n")
}
