package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	shell "github.com/ipfs/go-ipfs-api"
)

// shellSteps are calls of go-ipfs-api, which no one keeps and many programs use.
func shellSteps(t *testing.T) []clientStep {
	step := func(name string, call func(context.Context, *called, *shell.Shell) (any, error)) clientStep {
		return clientStep{name: name, call: func(ctx context.Context, d *called) (any, error) {
			s := shell.NewShell(d.node.rpcAddr())
			s.SetTimeout(callStepTimeout)
			return call(ctx, d, s)
		}}
	}
	own := func(s clientStep) clientStep { s.shape = true; return s }
	otherwise := func(why string, s clientStep) clientStep { s.differs = why; return s }
	folder := writeTree(t, map[string]string{"one": "one", "two": "two"})
	return []clientStep{
		step("Add", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.Add(strings.NewReader(helloText), shell.CidVersion(1))
		}),
		step("AddDir", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.AddDir(folder, shell.CidVersion(1))
		}),
		step("AddLink", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.AddLink("a/b") }),
		step("Cat", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			r, err := s.Cat("/ipfs/" + dCID + "/one")
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}),
		step("Cat(folder)", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.Cat(dCID) }),
		step("List", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.List(dCID) }),
		step("Get", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return nil, s.Get(dCID, t.TempDir())
		}),
		step("Refs", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			refs, err := s.Refs(dCID, true)
			if err != nil {
				return nil, err
			}
			var list []string
			for r := range refs {
				list = append(list, r)
			}
			return list, nil
		}),
		step("Pin", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return nil, s.Pin(helloCID) }),
		step("Pins", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			pins, err := s.Pins()
			delete(pins, emptyFolder)
			return pins, err
		}),
		step("PinsStream", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) {
			pins, err := s.PinsStream(ctx)
			if err != nil {
				return nil, err
			}
			var list []string
			for p := range pins {
				if p.Cid != emptyFolder {
					list = append(list, p.Cid+" "+p.Type)
				}
			}
			slices.Sort(list)
			return list, nil
		}),
		step("Unpin", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return nil, s.Unpin(helloCID) }),
		step("BlockPut", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.BlockPut([]byte(otherText), "raw", "sha2-256", -1)
		}),
		step("BlockStat", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			key, size, err := s.BlockStat(helloCID)
			return fmt.Sprint(key, size), err
		}),
		step("BlockGet", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.BlockGet(helloCID) }),
		step("DagPut", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.DagPut(`{"a":{"b":[1,"two"]}}`, "dag-json", "dag-cbor")
		}),
		step("DagGet", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			var v json.RawMessage
			err := s.DagGet(nodeCID, &v)
			return v, err
		}),
		step("ResolvePath", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.ResolvePath("/ipfs/" + dCID + "/one")
		}),
		own(step("KeyGen", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) { return s.KeyGen(ctx, "site") })),
		own(step("KeyList", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) { return s.KeyList(ctx) })),
		own(step("KeyRename", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.KeyRename(ctx, "site", "blog", false)
		})),
		own(step("KeyRm", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) { return s.KeyRm(ctx, "blog") })),
		step("Publish", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return nil, s.Publish("", helloCID) }),
		step("PublishWithDetails", func(_ context.Context, _ *called, s *shell.Shell) (any, error) {
			return s.PublishWithDetails("/ipfs/"+helloCID, "self", time.Hour, 10*time.Second, true)
		}),
		step("Resolve", func(_ context.Context, d *called, s *shell.Shell) (any, error) { return s.Resolve(d.given("{self}")) }),
		otherwise("an error says what to do next", step("FindPeer", func(_ context.Context, d *called, s *shell.Shell) (any, error) {
			p, err := s.FindPeer(d.neighbour.peerID())
			if err != nil {
				return nil, err
			}
			return p.Addrs != nil, nil
		})),
		own(step("ID", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.ID() })),
		own(step("SwarmPeers", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) { return s.SwarmPeers(ctx) })),
		own(step("StatsBW", func(ctx context.Context, _ *called, s *shell.Shell) (any, error) { return s.StatsBW(ctx) })),
		step("IsUp", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.IsUp(), nil }),
		step("BootstrapAdd", func(_ context.Context, d *called, s *shell.Shell) (any, error) {
			return s.BootstrapAdd([]string{d.given("/ip4/192.0.2.1/tcp/4001/p2p/{neighbour}")})
		}),
		step("BootstrapRmAll", func(_ context.Context, _ *called, s *shell.Shell) (any, error) { return s.BootstrapRmAll() }),
	}
}
