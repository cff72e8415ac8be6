package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/goipns/ipns/internal/repo"
)

// hostingGuide says how to keep the names of others.
const hostingGuide = "../../docs/guides/hosting.md"

// TestTheGuideForHostingIsAsItSays types every line in docs/guides/hosting.md.
func TestTheGuideForHostingIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	// The tenant signs elsewhere.
	tenant := "env IPNS_PATH=$WORK/tenant\nexec ipns init --profile test\nexec ipns name publish --allow-offline --lifetime=96h /ipfs/bafkqaaa\n" +
		"exec ipns key ls -l\ncapture NAME stdout '(k51\\w+)'\nexec sh -c 'ipns name get $NAME > record.bin'\n" +
		"exec sh -c 'printf \"{\\\"Name\\\":\\\"%s\\\",\\\"Record\\\":\\\"%s\\\"}\" $NAME $(base64 -w0 record.bin) > records.ndjson'\n" +
		"env IPNS_PATH=$WORK/repo\n"
	put := `curl --fail -X PUT -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/vnd.ipfs.ipns-record" --data-binary @record.bin http://127.0.0.1:%s/routing/v1/ipns/$NAME`
	line := fmt.Sprintf(put, "8090")
	typed{
		page: hostingGuide,
		before: map[string]string{
			// The public network of this test is on this machine.
			"ipns daemon": "exec ipns config profile apply test\nexec ipns config --json Bootstrap '[\"'$PEER'\"]'\n" +
				"exec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\nexec ipns config Addresses.Hosting /ip4/127.0.0.1/tcp/0\n",
		},
		instead: func() map[string]string {
			ours := map[string]string{line: fmt.Sprintf(put, "$PORT")}
			for _, other := range []string{
				"curl --fail http://127.0.0.1:%s/openapi.json", "curl --fail http://127.0.0.1:%s/name/$NAME",
				`curl --fail -H "Authorization: Bearer $TOKEN" http://127.0.0.1:%s/v1/names`,
				"ipns pin remote service add friends http://127.0.0.1:%s $TOKEN",
			} {
				ours[fmt.Sprintf(other, "8090")] = fmt.Sprintf(other, "$PORT")
			}
			return ours
		}(),
		after: map[string]string{
			"ipns daemon": "capture PORT daemon.log 'Hosting server listening on /ip4/127.0.0.1/tcp/(\\d+)'\n",
			"ipns host token create --tenant=friends --names=100 --scope=put --expires=720h": "capture TOKEN stdout '(ipnsh_\\S+)'\n",
			"ipns host token list": "stdout '  friends  valid  '\n" + tenant,
			"ipns host tenant set --names=200 --puts-per-minute=60 friends": "stdout '^friends may have 200 names'\n",
			"ipns host import --tenant=friends records.ndjson":              "stdout '^imported: read 1, new 0, here already 1, refused 0$'\n",
			"ipns host list":                                                               "stdout '^'$NAME'  friends .*  ok$'\n",
			"ipns host show $NAME":                                                         "stdout '^Tenant: +friends$'\n",
			"ipns host tenant list":                                                        "stdout '^friends +1 +200 '\n",
			"ipns host deny add --reason=phishing $NAME":                                   "stdout '^denied name '$NAME'$'\n",
			"ipns host tenant set --pinned-bytes=1GB friends":                              "stdout '^friends may have 200 names'\n",
			"curl --fail http://127.0.0.1:8090/openapi.json":                               "stdout '\"openapi\": \"3.1.0\"'\n",
			"curl --fail http://127.0.0.1:8090/name/$NAME":                                 "stdout '\"value\":\"/ipfs/bafkqaaa\"'\n",
			`curl --fail -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8090/v1/names`: "stdout '^\\[\\]$'\n",
			"ipns pin remote ls --service=friends":                                         "! stdout .\n",
			"ipns host deny list":                                                          "stdout phishing\nstdout mallory\n",
			"ipns host audit --verify":                                                     "stdout '  put  friends  .*  sequence 0$'\nstdout '^verified: '\n",
			"ipns host tenant export friends > friends.ndjson":                             "! stdout .\n",
			"ipns host tenant remove friends":                                              "stdout '^removed friends with 0 names$'\n",
		},
	}.run(t, "start testnet.log 'Testnet is ready' ipns testnet\n"+"capture PEER testnet.log 'ipfs swarm connect (\\S+)'\n")
}

// curl is what pages use of the program with that name, for machines that have none.
func curl() {
	var body, method string
	var fail bool
	headers := http.Header{}
	cmd := &cobra.Command{Use: "curl", Args: cobra.ExactArgs(1), SilenceUsage: true}
	cmd.Flags().BoolVar(&fail, "fail", false, "")
	follow := cmd.Flags().BoolP("location", "L", false, "")
	cmd.Flags().StringVarP(&method, "request", "X", "GET", "")
	cmd.Flags().StringVar(&body, "data-binary", "", "")
	given := cmd.Flags().StringArrayP("header", "H", nil, "")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		var data []byte
		if path, ok := strings.CutPrefix(body, "@"); ok {
			var err error
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		for _, h := range *given {
			key, value, _ := strings.Cut(h, ": ")
			headers.Set(key, value)
		}
		req, err := http.NewRequestWithContext(context.Background(), method, args[0], bytes.NewReader(data))
		if err != nil {
			return err
		}
		req.Header = headers
		transport, err := curlTransport()
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			if !*follow {
				return http.ErrUseLastResponse
			}
			return nil
		}}).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if *follow {
			fmt.Fprintln(os.Stderr, resp.Request.URL) // the real one says so only with -v
		}
		if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
			return err
		}
		if fail && resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("the server answers %s", resp.Status)
		}
		return nil
	}
	if cmd.Execute() != nil {
		os.Exit(1)
	}
}

// The compose example fits together: its config is one of ours, the proxy forwards to the
// address of hosting, and is the one that is trusted.
func TestTheComposeExampleFitsTogether(t *testing.T) {
	const dir = "../../examples/compose"
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := repo.ParseConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "compose.yaml")); err != nil {
		t.Fatal(err)
	}
	type service struct {
		Command  []string
		Volumes  []string
		Networks map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
	}
	var compose struct{ Services map[string]service }
	if err := yaml.Unmarshal(b, &compose); err != nil {
		t.Fatal(err)
	}
	node, proxy := compose.Services["ipns"], compose.Services["proxy"]
	at := node.Networks["inside"].Address
	if _, port, ok := strings.Cut(c.Addresses.Hosting, "/ip4/0.0.0.0/tcp/"); !ok || proxy.Command[len(proxy.Command)-1] != at+":"+port {
		t.Errorf("the proxy forwards to %s, hosting is at %s of %s", proxy.Command[len(proxy.Command)-1], c.Addresses.Hosting, at)
	}
	if got := proxy.Networks["inside"].Address; len(c.HTTP.TrustedProxies) != 1 || c.HTTP.TrustedProxies[0] != got {
		t.Errorf("the proxy is %s, trusted is %v", got, c.HTTP.TrustedProxies)
	}
	if c.Hosting.Policy != "token" || c.Hosting.Abuse == "" {
		t.Errorf("hosting is %+v", c.Hosting)
	}
	mounted := false
	for _, v := range node.Volumes {
		mounted = mounted || strings.HasPrefix(v, "./config.json:/config.json")
	}
	root := (&cli{}).root()
	cmd, rest, err := root.Find(node.Command)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || cmd.Name() != "daemon" || !mounted || cmd.Flag("init-config").Value.String() != "/config.json" {
		t.Errorf("the command is %v, %v", node.Command, err)
	}
}
