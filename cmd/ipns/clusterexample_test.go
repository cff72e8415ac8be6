package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

const clusterExample = "../../examples/cluster"

// TestTheClusterExampleIsAsItSays types every line in examples/cluster/README.md.
func TestTheClusterExampleIsAsItSays(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: PostgreSQL, a testnet and three daemons are started and stopped")
	}
	if _, err := pgtest.Find(); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	t.Parallel() // it waits for other processes
	script, err := filepath.Abs(filepath.Join(clusterExample, "cluster.sh"))
	if err != nil {
		t.Fatal(err)
	}
	// The user of the server must be able to reach its folder.
	dir, err := os.MkdirTemp("", "cluster")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		down := exec.Command(script, "down")
		down.Env = append(os.Environ(), "CLUSTER="+dir)
		if out, err := down.CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
		os.RemoveAll(dir)
	})
	const resolve = " name resolve $(cat cluster/name)"
	typed{
		page: clusterExample + "/README.md",
		after: map[string]string{
			"./cluster.sh up": "stdout '^three daemons share the database at 127.0.0.1:'\n",
			"./cluster.sh 1 name publish --key=site /ipfs/bafkqaaa":         "stderr 'announced to (1\\d|20) of (1\\d|20) servers \\(sequence 0\\)'\n",
			"./cluster.sh 2" + resolve:                                      "stdout '^/ipfs/bafkqaaa$'\n",
			"./cluster.sh 2 name publish --key=site /ipfs/bafkqablomv3wk4q": "stderr '\\(sequence 1\\)'\n",
			"./cluster.sh 3" + resolve:                                      "stdout '^/ipfs/bafkqa'\n",
			"./cluster.sh status":                                           "stdout '^daemon 1 does not run$'\nstdout '^daemon 3 runs: /ip4/127.0.0.1/tcp/'\nstdout 'Daemon: +[0-9a-f]+ \\(this one\\)'\nstdout 'holds [0-9]+ of 64 sectors'\n",
			"./cluster.sh 1" + resolve:                                      "stdout '^/ipfs/bafkqablomv3wk4q$'\n",
			"./cluster.sh down":                                             "stdout '^stopped; the data is in '\n",
		},
	}.run(t, "symlink cluster.sh -> "+script+"\nsymlink cluster -> "+dir+"\n")
}

// The files for Docker fit together: the config is one of ours, its database is that of the
// containers, and the proxy knows every daemon and is trusted by them.
func TestTheFilesOfTheClusterExampleFitTogether(t *testing.T) {
	read := func(file string) []byte {
		b, err := os.ReadFile(filepath.Join(clusterExample, file))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c, err := repo.ParseConfig(read("config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
			Volumes     []string
			Networks    map[string]struct {
				Address string `yaml:"ipv4_address"`
			}
		}
	}
	if err := yaml.Unmarshal(read("compose.yaml"), &compose); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.Ipns.Store)
	if err != nil {
		t.Fatal(err)
	}
	database := compose.Services["database"]
	if database.Networks["inside"].Address != u.Host || database.Environment["POSTGRES_USER"] != u.User.Username() || "/"+database.Environment["POSTGRES_DB"] != u.Path {
		t.Errorf("the database is %+v, the config has %s", database, c.Ipns.Store)
	}
	nginx, daemons := string(read("nginx.conf")), 0
	for name, s := range compose.Services {
		if !strings.HasPrefix(name, "daemon") {
			continue
		}
		daemons++
		if _, port, ok := strings.Cut(c.Addresses.Gateway, "/ip4/0.0.0.0/tcp/"); !ok || !strings.Contains(nginx, "server "+s.Networks["inside"].Address+":"+port+" ") {
			t.Errorf("the proxy does not know %s", name)
		}
		cmd, rest, err := (&cli{}).root().Find(s.Command)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil || cmd.Name() != "daemon" || cmd.Flag("init-config").Value.String() != "/config.json" || s.Environment["PGPASSWORD"] == "" {
			t.Errorf("%s is started by %v, %v", name, s.Command, err)
		}
		if len(s.Volumes) != 2 || !strings.HasSuffix(s.Volumes[0], ":"+s.Environment["IPNS_PATH"]) {
			t.Errorf("%s keeps %v", name, s.Volumes)
		}
	}
	if daemons != 3 || strings.Count(nginx, "max_fails=") != daemons {
		t.Errorf("there are %d daemons, and the proxy knows others", daemons)
	}
	if got := compose.Services["proxy"].Networks["inside"].Address; len(c.HTTP.TrustedProxies) != 1 || c.HTTP.TrustedProxies[0] != got {
		t.Errorf("the proxy is %s, trusted is %v", got, c.HTTP.TrustedProxies)
	}
}
