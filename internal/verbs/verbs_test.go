package verbs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// newRepo makes a repo with the profile test.
func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	n, err := node.Open(t.Context(), node.Config{Dir: filepath.Join(t.TempDir(), "repo"), Profile: "test", Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return n.Repo
}

// start starts a node, which ends with the test. Its API serves the commands.
func start(t *testing.T, r repo.Repo, o node.Config) *node.Node {
	t.Helper()
	o.API = Mux
	n, err := node.New(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// add adds a file and returns its CID.
func add(t *testing.T, to rpc.Caller, text string) string {
	t.Helper()
	version := 1
	a, err := rpc.Do(t.Context(), to, api.Add, api.AddRequest{
		Pin: true, CIDVersion: &version,
		Files: func(yield func(api.File, error) bool) { yield(api.File{Body: strings.NewReader(text)}, nil) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a.Hash
}

func publish(t *testing.T, to rpc.Caller, req api.PublishRequest) (api.Published, error) {
	t.Helper()
	full := rpc.New[api.PublishRequest]()
	full.Path, full.AllowOffline, full.IfSequence, full.Progress = req.Path, req.AllowOffline, req.IfSequence, req.Progress
	if req.Key != "" {
		full.Key = req.Key
	}
	return rpc.Do(t.Context(), to, api.NamePublish, full)
}

func resolve(t *testing.T, to rpc.Caller, name string, nocache bool) string {
	t.Helper()
	req := rpc.New[api.ResolveRequest]()
	req.Name, req.NoCache = name, nocache
	got, err := rpc.Do(t.Context(), to, api.NameResolve, req)
	if err != nil {
		t.Fatalf("resolve %s: %v", name, err)
	}
	return got.Path
}
