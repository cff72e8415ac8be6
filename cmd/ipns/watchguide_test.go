package main

import "testing"

// TestTheGuideToWatchingIsAsItSays types every line in docs/guides/watch.md.
func TestTheGuideToWatchingIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	typed{
		page: "../../docs/guides/watch.md",
		instead: map[string]string{
			// The receiver of this test is on this machine.
			"ipns name webhook add https://hooks.example.com/names $NAME": "ipns name webhook add --private $RECEIVER $NAME",
		},
		after: map[string]string{
			"ipns name webhook add https://hooks.example.com/names $NAME": "capture HOOK stdout '^(wh\\w+)'\nstdout '^secret whsec_'\n",
			"ipns name webhook list":                          "stdout '^'$HOOK' .* 0 waiting +0 dead +ok +k51'\n",
			"ipns name webhook replay $HOOK":                  "stdout '^0 sent again$'\n",
			"ipns name webhook rm $HOOK":                      "stdout '^removed '$HOOK\n",
			"ipns follow --pin --keep=3 --max-size=2GB $NAME": "stdout '^following '$NAME'$'\n",
			"ipns follow list":                                "stdout '^'$NAME' +no record was found yet'\n",
			"ipns follow rm $NAME":                            "stdout '^no longer following '$NAME'$'\n",
		},
	}.run(t, "exec ipns init --profile test\nenv NAME=$STRANGER\nhook RECEIVER hook.log\nstart daemon.log 'Daemon is ready' ipns daemon\n")
}
