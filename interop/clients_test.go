package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClients lets the clients of Kubo's RPC API that programs are written with use
// our daemon and Kubo's, and compares what they return, field by field. Both daemons
// are new and connected to the same Kubo, so that they have a network.
//
// The steps of a client go one after the other on the same daemon: later ones see
// what earlier ones left.
func TestClients(t *testing.T) {
	reasons := differences(t)
	neighbour := startKubos(t, 1)[0]
	for _, c := range []struct {
		name  string
		steps func(*testing.T) []clientStep
	}{
		{"kubo-rpc-client", jsSteps},
		{"kubo/client/rpc", goSteps},
		{"go-ipfs-api", shellSteps},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := c.steps(t)
			us, them := newCalled(t, ours, neighbour), newCalled(t, kubo, neighbour)
			for _, s := range steps {
				if s.differs != "" && !reasons[s.differs] {
					t.Errorf("%s: %q is no reason of a difference in %s", s.name, s.differs, differencesPage)
				}
				got, want := us.answer(t, s), them.answer(t, s)
				switch equal := s.same(got, want); {
				case s.differs == "" && !equal:
					t.Errorf("%s\nipns: %s\nKubo: %s", s.name, got, want)
				case s.differs != "" && equal:
					t.Errorf("%s: both answer %s: where is the difference (%s)?", s.name, got, s.differs)
				}
			}
		})
	}
}

// A clientStep is one call of a client.
type clientStep struct {
	name    string // what is called, with its arguments
	call    func(context.Context, *called) (any, error)
	shape   bool   // only the fields and their types are compared: the values are each daemon's own
	more    bool   // ours may have further fields
	differs string // why the answers differ: a reason of the table in differencesPage
}

// called is a daemon that clients call, with what the steps know of it.
type called struct {
	*typist
	neighbour *node
}

// callStepTimeout bounds one call: routing at a neighbour that does not answer takes longest.
const callStepTimeout = 3 * time.Minute

func newCalled(t *testing.T, p *program, neighbour *node) *called {
	t.Helper()
	n := newNode(t, p, p.name)
	n.start()
	join(n, neighbour)
	return &called{newTypist(t, n), neighbour}
}

// given replaces the variables of a text, such as {self}, by the values of this daemon.
func (c *called) given(text string) string {
	return c.vars.Replace(strings.ReplaceAll(text, "{neighbour}", c.neighbour.peerID()))
}

// answer does a step and renders what the client returned, with variables in place of
// what is the daemon's own.
func (c *called) answer(t *testing.T, s clientStep) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callStepTimeout)
	defer cancel()
	v, err := s.call(ctx, c)
	if err != nil {
		return "error: " + c.hide.Replace(address.ReplaceAllString(err.Error(), "{address}"))
	}
	b, err := json.Marshal(v)
	mustDo(t, err)
	return c.hide.Replace(string(b))
}

// address is a host and port in an error.
var address = regexp.MustCompile(`127\.0\.0\.1:[0-9]+|/ip4/127\.0\.0\.1/(tcp|udp)/[0-9]+`)

func (s clientStep) same(got, want string) bool {
	var g, w any
	if !s.shape && !s.more || json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
		return got == want
	}
	return covers(g, w, s.shape)
}

// covers reports whether got has all that want has: with shape, the fields and their
// types, for which of a list the first elements stand, if it has any; else the values,
// too.
func covers(got, want any, shape bool) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for field, v := range w {
			ok = ok && has(g, field) && covers(g[field], v, shape)
		}
		return ok
	case []any:
		g, ok := got.([]any)
		if shape && (len(g) == 0 || len(w) == 0) {
			return ok || got == nil
		}
		if shape {
			return ok && covers(g[0], w[0], shape)
		}
	}
	if shape {
		return fmt.Sprintf("%T", got) == fmt.Sprintf("%T", want)
	}
	return reflect.DeepEqual(got, want)
}

func has(m map[string]any, field string) bool {
	_, ok := m[field]
	return ok
}

// differencesPage is the one list of what differs from Kubo, and why.
const differencesPage = "../docs/from-kubo.md"

// differences returns the reasons of the table in differencesPage. Each test here that
// lets an answer differ names one of them.
var differences = func() func(*testing.T) map[string]bool {
	read := sync.OnceValues(func() (map[string]bool, error) {
		b, err := os.ReadFile(differencesPage)
		reasons := make(map[string]bool)
		for line := range strings.Lines(string(b)) {
			cells := strings.Split(strings.TrimSpace(line), " | ")
			if len(cells) == 4 && strings.HasPrefix(line, "| ") {
				reasons[strings.TrimSuffix(cells[3], " |")] = true
			}
		}
		return reasons, err
	})
	return func(t *testing.T) map[string]bool {
		t.Helper()
		reasons, err := read()
		mustDo(t, err)
		return reasons
	}
}()

// TestDifferencesAreListed holds the reasons of all tables against the page.
func TestDifferencesAreListed(t *testing.T) {
	reasons := differences(t)
	var used []string
	for _, r := range rpcRequests {
		used = append(used, r.ownWords)
	}
	for _, s := range transcripts(t) {
		for _, st := range s.steps {
			used = append(used, st.ownWay)
		}
	}
	slices.Sort(used)
	for _, why := range slices.Compact(used) {
		if why != "" && !reasons[why] {
			t.Errorf("%q is no reason of a difference in %s", why, differencesPage)
		}
	}
}
