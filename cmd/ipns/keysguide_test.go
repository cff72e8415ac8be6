package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keysGuide says where keys can be.
const keysGuide = "../../docs/guides/keys.md"

// TestTheGuideForKeysIsAsItSays types every line in docs/guides/keys.md.
func TestTheGuideForKeysIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	// The machine with the key is another repo.
	const cold, back = "env IPNS_PATH=$WORK/cold\n", "env IPNS_PATH=$WORK/.ipns\n"
	dir, err := os.MkdirTemp("", "keys-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	runIpns(t, elsewhere, "init", "--profile", "test")
	runIpns(t, elsewhere, "key", "gen", "blog")
	runIpns(t, elsewhere, "key", "export", "--output="+filepath.Join(dir, "keys", "blog.key"), "blog")
	signer, stop := startSigner(t, dir)
	t.Cleanup(stop)

	const (
		toAgent, byAgent   = "ssh-add ~/.ssh/blog", "ipns name publish --key=agent:blog /ipfs/bafkqaaa"
		toSigner, bySigner = `ipns config --json Ipns.Signers '[{"URL": "unix:/run/signer.sock"}]'`, "ipns name publish --key=signer:unix:/run/signer.sock#blog /ipfs/bafkqaaa"
	)
	instead := map[string]string{
		toSigner: strings.ReplaceAll(toSigner, "unix:/run/signer.sock", signer),
		bySigner: strings.ReplaceAll(bySigner, "unix:/run/signer.sock", signer),
	}
	agent := "exec ssh-keygen -q -t ed25519 -N '' -C blog -f .ssh/blog\n! exec ssh-agent -D -a " + dir + "/agent &\nenv SSH_AUTH_SOCK=" + dir + "/agent\n" +
		"exec sh -c 'until [ -S $SSH_AUTH_SOCK ]; do sleep 0.1; done'\n"
	for _, program := range []string{"ssh-keygen", "ssh-agent", "ssh-add"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("the lines about ssh-agent are not typed: there is no %s", program)
			agent, instead[toAgent], instead[byAgent] = "", "true", "true"
			break
		}
	}
	typed{
		page:    keysGuide,
		instead: instead,
		before: map[string]string{
			"ipns init": back + "mkdir .ssh\n" + agent,
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
			"ipns shutdown":    "ended daemon.log\n",
			bySigner:           "stderr 'announced to [0-9]+ of [0-9]+ servers'\n",
			"ipns key gen hot": "capture HOT stdout '(k51\\w+)'\n",
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
