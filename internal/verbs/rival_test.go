package verbs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// Two nodes have the same key, each with its own last sequence. They are online one after
// the other, since they have the same peer id.
func TestPublishNamesTheRivalThatItMet(t *testing.T) {
	t.Parallel() // it mostly waits
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	during := func(r repo.Repo, f func(to rpc.Caller)) {
		n := start(t, r, node.Config{Bootstrap: nw.Addrs()[:1]})
		f(Mux(n))
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	twin := func() repo.Repo {
		c, err := r.Config()
		if err != nil {
			t.Fatal(err)
		}
		other := repo.Repo(filepath.Join(t.TempDir(), "twin"))
		if err := node.Init(t.Context(), other, c, nil); err != nil {
			t.Fatal(err)
		}
		return other
	}
	req := rpc.New[api.PublishRequest]()
	req.Resolve = false
	const first, second = "/ipfs/bafkqaaa/first", "/ipfs/bafkqaaa/second"
	during(r, func(to rpc.Caller) {
		for _, req.Path = range []string{second, first} {
			if _, err := rpc.Do(t.Context(), to, api.NamePublish, req); err != nil {
				t.Fatal(err)
			}
		}
	})
	other := twin()
	during(other, func(to rpc.Caller) {
		req.Path, req.OnRival = second, "stop"
		_, err := rpc.Do(t.Context(), to, api.NamePublish, req)
		if err == nil || !strings.Contains(err.Error(), "is not published") || !strings.Contains(err.Error(), first) || !rpc.HasReason(err, api.ReasonRival) {
			t.Errorf("stop: %v", err)
		}
	})
	during(twin(), func(to rpc.Caller) {
		req.OnRival = ""
		p, err := rpc.Do(t.Context(), to, api.NamePublish, req)
		if err != nil || p.Sequence != 2 || p.Announced < 15 || len(p.Rivals) != 1 || p.Rivals[0] != (api.Rival{Value: first, Sequence: 1}) {
			t.Errorf("raise: %+v, %v", p, err)
		}
		if text := strings.Join(p.Warnings, "\n"); !strings.Contains(text, first) || !strings.Contains(text, "another holder of this key") {
			t.Errorf("warnings %q", p.Warnings)
		}
	})
	// The first node comes back and publishes its next record: the other is ahead by one.
	during(r, func(to rpc.Caller) {
		req.Path = first + "/again"
		p, err := rpc.Do(t.Context(), to, api.NamePublish, req)
		if err != nil || p.Sequence < 3 || len(p.Rivals) == 0 || p.Rivals[0].Value != second {
			t.Errorf("raise: %+v, %v", p, err)
		}
		s, err := rpc.Do(t.Context(), to, api.NameStatus, api.StatusRequest{Name: "self", Local: true})
		if err != nil || s.One.LastRival == nil || s.One.LastRival.Value != second || s.One.Value != req.Path {
			t.Fatalf("status %+v, %v", s.One, err)
		}
		if text := (api.StatusRequest{}).Text(s); !strings.Contains(text, second) || !strings.Contains(text, "another writer signs with this key, since 20") || !strings.Contains(text, "find out who has the key") {
			t.Errorf("status %s", text)
		}
	})
}
