package main

import "testing"

// TestTheGuideToMonitoringIsAsItSays types every line in docs/guides/monitoring.md.
func TestTheGuideToMonitoringIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	const scrape, ready = "curl --fail http://127.0.0.1:9464/metrics", "curl --fail http://127.0.0.1:9464/readyz/sign"
	typed{
		page: "../../docs/guides/monitoring.md",
		before: map[string]string{
			scrape: "capture PORT daemon.log 'Metrics server listening on /ip4/127.0.0.1/tcp/(\\d+)'\n",
		},
		instead: map[string]string{
			// The port of this test is any.
			"ipns config Addresses.Metrics /ip4/127.0.0.1/tcp/9464": "ipns config Addresses.Metrics /ip4/127.0.0.1/tcp/0",
			scrape: "curl --fail http://127.0.0.1:$PORT/metrics",
			ready:  "curl --fail http://127.0.0.1:$PORT/readyz/sign",
		},
		after: map[string]string{
			scrape:                     "stdout '^ipns_names_at_risk 0$'\nstdout '^ipns_build_info.* 1$'\n",
			"ipns republish status":    "stdout .\n",
			"ipns log level core info": "stdout '^Changed log level of ''core'' to ''info''$'\n",
			"ipns log level all error": "stdout '^Changed log level of '\n",
			"ipns diag profile --profile-time=1s --collectors=goroutines-stack,version,heap,cpu --output=profile.zip": "exists profile.zip\n",
			// With GOLOG_LOG_FMT=json every line of the log is JSON, such as that of a damaged file.
			"ipns doctor --offline": "grep '^\\{\"time\":.*\"level\":\"WARN\",\"msg\":\"cannot read the known servers' daemon.log\n! grep '^time=' daemon.log\n",
		},
	}.run(t, "exec ipns init --profile test\nenv GOLOG_LOG_FMT=json\nexec sh -c 'echo damaged > repo/servers-wan'\n")
}
