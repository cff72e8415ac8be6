package interop

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/namesys"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/kubo/client/rpc"
	"github.com/ipfs/kubo/core/coreiface/options"
	ma "github.com/multiformats/go-multiaddr"
)

// TestNamesByEveryClient publishes and resolves by every client of ours that there is,
// each with a new repo of ipns: all get the same answers.
func TestNamesByEveryClient(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(*testing.T) (*node, nameClient)
	}{
		{"in process", func(t *testing.T) (*node, nameClient) {
			n := newNode(t, ours, "ipns")
			return n, commandLine{n}
		}},
		{"ipns", func(t *testing.T) (*node, nameClient) {
			n := newOfflineDaemon(t, ours)
			return n, commandLine{n}
		}},
		{"ipfs", func(t *testing.T) (*node, nameClient) {
			n := newOfflineDaemon(t, ours)
			return n, commandLine{clientOf(n)}
		}},
		{"kubo-rpc-client", func(t *testing.T) (*node, nameClient) {
			n := newOfflineDaemon(t, ours)
			return n, jsNames{t, startJS(t), n.rpcAddr()}
		}},
		{"kubo client rpc", func(t *testing.T) (*node, nameClient) {
			n := newOfflineDaemon(t, ours)
			return n, newGoNames(t, n)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, client := c.open(t)
			hello := writeTree(t, map[string]string{"hello.txt": helloText, "d/one": "one", "d/two": "two"})
			n.run("add", "--cid-version", "1", filepath.Join(hello, "hello.txt"))
			n.run("add", "-r", "--cid-version", "1", filepath.Join(hello, "d"))
			vars := strings.NewReplacer("{one}", n.line("key", "gen", "one"), "{two}", n.line("key", "gen", "two"))
			for _, s := range nameSteps {
				want := vars.Replace(s.want)
				got, err := s.do(t.Context(), client, vars)
				if errors.Is(err, errUnsaid) {
					t.Logf("left out: %v: %v", s, err)
					continue
				}
				if s.fails != "" {
					if err == nil || !strings.Contains(err.Error(), vars.Replace(s.fails)) {
						t.Errorf("%+v: %q, %v; want the error %q", s, got, err, vars.Replace(s.fails))
					}
				} else if err != nil || got != want {
					t.Errorf("%+v: %q, %v; want %q", s, got, err, want)
				}
			}
		})
	}
}

// A nameClient publishes and resolves.
type nameClient interface {
	// publish returns the name and the value as the client tells them, with a space between.
	publish(context.Context, publishStep) (string, error)
	// resolve returns the last path that is told.
	resolve(context.Context, resolveStep) (string, error)
}

type publishStep struct {
	value         string
	key           string
	lifetime, ttl time.Duration
	sequence      uint64 // 0: the next
	checked       bool   // the value must resolve
}

// errUnsaid is what a client returns that has no way to say what a step asks for.
var errUnsaid = errors.New("this client cannot say that")

type resolveStep struct {
	name    string
	oneStep bool // not recursive
	nocache bool
}

// A nameStep is one publish or one resolve, with {one} and {two} for the names.
type nameStep struct {
	publish *publishStep
	resolve *resolveStep
	want    string
	fails   string // part of the error; empty: none
}

func (s nameStep) String() string {
	if s.publish != nil {
		return fmt.Sprintf("publish %+v", *s.publish)
	}
	return fmt.Sprintf("resolve %+v", *s.resolve)
}

func (s nameStep) do(ctx context.Context, c nameClient, vars *strings.Replacer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if s.publish != nil {
		p := *s.publish
		p.value = vars.Replace(p.value)
		return c.publish(ctx, p)
	}
	r := *s.resolve
	r.name = vars.Replace(r.name)
	return c.resolve(ctx, r)
}

var nameSteps = []nameStep{
	{resolve: &resolveStep{name: "{one}"}, fails: "could not resolve name"},
	{publish: &publishStep{value: "/ipfs/" + helloCID, key: "one"}, want: "{one} /ipfs/" + helloCID},
	{resolve: &resolveStep{name: "{one}"}, want: "/ipfs/" + helloCID},
	{resolve: &resolveStep{name: "/ipns/{one}", nocache: true}, want: "/ipfs/" + helloCID},
	{publish: &publishStep{value: "/ipfs/" + dCID, key: "one", lifetime: time.Hour, ttl: time.Minute}, want: "{one} /ipfs/" + dCID},
	{resolve: &resolveStep{name: "{one}"}, want: "/ipfs/" + dCID},
	{resolve: &resolveStep{name: "/ipns/{one}/two"}, want: "/ipfs/" + dCID + "/two"},
	{publish: &publishStep{value: "/ipns/{one}", key: "two"}, want: "{two} /ipns/{one}"},
	{resolve: &resolveStep{name: "{two}", oneStep: true}, want: "/ipns/{one}"},
	{resolve: &resolveStep{name: "{two}"}, want: "/ipfs/" + dCID},
	{publish: &publishStep{value: "/ipfs/" + helloCID, key: "one", sequence: 41}, want: "{one} /ipfs/" + helloCID},
	{publish: &publishStep{value: "/ipfs/" + dCID, key: "one", sequence: 41}, fails: "sequence"},
	{publish: &publishStep{value: "/ipfs/" + dCID, key: "one", sequence: 7}, fails: "sequence"},
	{publish: &publishStep{value: "/ipfs/" + helloCID, key: "one"}, want: "{one} /ipfs/" + helloCID},
	{resolve: &resolveStep{name: "{one}"}, want: "/ipfs/" + helloCID},
	{publish: &publishStep{value: "/ipfs/" + helloCID, key: "one", lifetime: time.Second, ttl: time.Minute}, fails: "must not be greater than lifetime"},
	{publish: &publishStep{value: "/ipfs/" + helloCID, key: "none"}, fails: "none"},
	{publish: &publishStep{value: "/ipfs/" + dCID + "/none", key: "one", checked: true}, fails: "no link named"},
	{resolve: &resolveStep{name: "/ipfs/" + dCID}, fails: "not an IPNS name"},
	{resolve: &resolveStep{name: "{one}"}, want: "/ipfs/" + helloCID},
}

// commandLine is a nameClient by the commands of a program.
type commandLine struct{ node *node }

func (c commandLine) ask(args ...string) (string, error) {
	r := c.node.try(nil, args...)
	if r.code != 0 {
		return "", fmt.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	return lines[len(lines)-1], nil
}

func (c commandLine) publish(_ context.Context, p publishStep) (string, error) {
	args := []string{"name", "publish", "--allow-offline", "--key", p.key}
	if p.lifetime != 0 {
		args = append(args, "--lifetime", p.lifetime.String(), "--ttl", p.ttl.String())
	}
	if p.sequence != 0 {
		args = append(args, "--sequence", fmt.Sprint(p.sequence))
	}
	line, err := c.ask(append(args, p.value)...)
	name, value, _ := strings.Cut(strings.TrimPrefix(line, "Published to "), ": ")
	value, _, _ = strings.Cut(value, " (")
	return name + " " + value, err
}

func (c commandLine) resolve(_ context.Context, r resolveStep) (string, error) {
	return c.ask("name", "resolve", fmt.Sprintf("--recursive=%v", !r.oneStep), fmt.Sprintf("--nocache=%v", r.nocache), r.name)
}

// jsNames is a nameClient by kubo-rpc-client.
type jsNames struct {
	t      *testing.T
	client *jsClient
	api    string
}

func (c jsNames) publish(_ context.Context, p publishStep) (string, error) {
	options := args{"allowOffline": true, "key": p.key}
	if p.lifetime != 0 {
		options["lifetime"], options["ttl"] = p.lifetime.String(), p.ttl.String()
	}
	if p.sequence != 0 {
		options["sequence"] = p.sequence
	}
	var made published
	err := c.client.try(c.t, &made, "method", args{"api": c.api, "method": "name.publish", "args": []any{p.value, options}})
	return made.Name + " " + made.Value, err
}

func (c jsNames) resolve(_ context.Context, r resolveStep) (string, error) {
	var paths []string
	err := c.client.try(c.t, &paths, "method", args{
		"api": c.api, "method": "name.resolve", "args": []any{r.name, args{"recursive": !r.oneStep, "nocache": r.nocache}},
	})
	return last(paths), err
}

func last(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return paths[len(paths)-1]
}

// goNames is a nameClient by kubo/client/rpc.
type goNames struct{ api *rpc.HttpApi }

func newGoNames(t *testing.T, n *node) goNames {
	t.Helper()
	addr, err := ma.NewMultiaddr(n.rpcAddr())
	mustDo(t, err)
	api, err := rpc.NewApi(addr)
	mustDo(t, err)
	return goNames{api}
}

func (c goNames) publish(ctx context.Context, p publishStep) (string, error) {
	if p.sequence != 0 || p.checked {
		return "", errUnsaid
	}
	value, err := path.NewPath(p.value)
	if err != nil {
		return "", err
	}
	opts := []options.NamePublishOption{options.Name.Key(p.key), options.Name.AllowOffline(true)}
	if p.lifetime != 0 {
		opts = append(opts, options.Name.ValidTime(p.lifetime), options.Name.TTL(p.ttl))
	}
	name, err := c.api.Name().Publish(ctx, value, opts...)
	if err != nil {
		return "", err
	}
	return name.String() + " " + value.String(), nil // it does not tell the value
}

func (c goNames) resolve(ctx context.Context, r resolveStep) (string, error) {
	opts := []options.NameResolveOption{options.Name.Cache(!r.nocache)}
	if r.oneStep {
		opts = append(opts, options.Name.ResolveOption(namesys.ResolveWithDepth(1)))
	}
	results, err := c.api.Name().Search(ctx, r.name, opts...)
	if err != nil {
		return "", err
	}
	var paths []string
	for res := range results {
		if res.Err != nil {
			return "", res.Err
		}
		paths = append(paths, res.Path.String())
	}
	return last(paths), nil
}
