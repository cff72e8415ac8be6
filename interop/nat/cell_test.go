package nat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	contentBytes   = 100_000          // that are fetched
	fetchTimeout   = 25 * time.Second // until the first byte; after that it counts as refused
	comeTimeout    = 75 * time.Second // the same, of content that should come
	announceWithin = 5 * time.Minute  // from adding to a provider record on the servers
)

// How content came.
const (
	direct  = "direct"      // who fetches connected to an address that others can connect to
	called  = "called back" // who has it connected to who fetches
	punched = "punched"     // both at once, told by a relay when
	byRelay = "by relay"    // all the way
	refused = "refused"     // it did not
	chance  = "by chance"   // or it did not, see expected
)

// A cell is one fetch: a name of one node is resolved on another, and content that only the one
// has is fetched by the other.
type cell struct {
	from, to *node
	cid      string        // only from has it
	took     time.Duration // until the name was resolved
	way      string
	first    time.Duration // until the first byte
	why      string        // it did not come though it should have
}

// add adds new content to a node.
func (n *node) add() (string, error) {
	content := make([]byte, contentBytes)
	_, _ = rand.Read(content) // never fails
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTimeout)
	defer cancel()
	resp, err := n.request(ctx, "add", url.Values{"cid-version": {"1"}, "quiet": {"true"}}, content)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var last struct{ Hash string }
	for d := json.NewDecoder(resp.Body); ; {
		if err := d.Decode(&last); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
	}
	return last.Hash, nil
}

// announced waits until the servers know that a node has content.
func (n *node) announced(cid string) error {
	_, err := eventually(announceWithin, fmt.Sprintf("the servers know that %v has %s", n, cid), func() bool {
		var ids []string
		return n.home.net.ask("/providers?cid="+cid, &ids) == nil && slices.Contains(ids, n.id)
	})
	return err
}

// firstByte is how long content takes to begin.
func (n *node) firstByte(path string, within time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), within)
	defer cancel()
	begin := time.Now()
	resp, err := n.request(ctx, "cat", url.Values{"arg": {path}}, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// disconnect ends all connections with a peer.
func (n *node) disconnect(peer string) error {
	var out struct{ Strings []string }
	err := n.call(&out, "swarm/disconnect", url.Values{"arg": {"/p2p/" + peer}})
	if err != nil && strings.Contains(err.Error(), "not connected") {
		return nil
	}
	return err
}

// resolve resolves the name of the cell.
func (c *cell) resolve() error {
	begin := time.Now()
	var got struct{ Path string }
	if err := c.to.call(&got, "name/resolve", url.Values{"arg": {c.from.name}, "nocache": {"true"}}); err != nil {
		return fmt.Errorf("%v resolves the name of %v: %w", c.to, c.from, err)
	}
	c.took = time.Since(begin)
	return nil
}

// expected is how content should come from a home of one kind to one of another.
func expected(from, to kind) string {
	switch {
	case from.ipv6 != to.ipv6:
		return refused // they have no protocol in common
	case from.noUDP != to.noUDP && (from.random || to.random):
		return refused
	case from.noUDP != to.noUDP:
		return chance // the one that has UDP seldom uses TCP, and may not know its TCP address
	case from.any:
		return direct
	case to.any:
		return called
	case from.random || to.random:
		return refused // the port that the one would have to call is known to nobody before
	}
	return punched
}

// mayBeRefused reports whether the content of the cell should not come, or comes by chance.
func (c *cell) mayBeRefused() bool {
	want := expected(c.from.home.kind, c.to.home.kind)
	return !c.from.home.relay && (want == refused || want == chance)
}

// asExpected reports whether the content of the cell came as it should. Over a relay of its owner
// it comes at once, whether or not there is a better way soon after.
func (c *cell) asExpected() bool {
	want := expected(c.from.home.kind, c.to.home.kind)
	switch {
	case c.from.home.relay && c.to.home.noUDP && c.to.prog == kubo:
		return true // it tries the relay's addresses one after the other, and may end before that of TCP
	case c.from.home.relay && want == chance:
		return c.way == byRelay || c.way == punched
	case c.from.home.relay && want != refused:
		return c.way == byRelay || c.way == want
	case c.from.home.relay:
		return c.way == byRelay
	}
	return c.way == want || want == chance
}

// failed is what is known just after content did not come.
func (c *cell) failed() string {
	conns, err := c.to.connections(c.from.id)
	addrs, err2 := c.from.addresses()
	begin := time.Now()
	again, stderr, err3 := c.to.try("ping", "-n", "1", c.from.id)
	return fmt.Sprintf("connections %v (%v); ping after %v: %s%s (%v)\n%s (%v)", conns, err, time.Since(begin), again, stderr, err3, strings.Join(addrs, "\n"), err2)
}

// fetch fetches the content of the cell, from a state in which the two are not connected.
func (c *cell) fetch() error {
	if err := c.to.disconnect(c.from.id); err != nil {
		return err
	}
	within := comeTimeout
	if c.mayBeRefused() {
		within = fetchTimeout
	}
	first, err := c.to.firstByte("/ipfs/"+c.cid, within)
	if err != nil {
		if c.way = refused; !c.asExpected() {
			c.why = c.failed()
		}
		return nil
	}
	c.first = first
	c.way, err = c.to.wayTo(c.from)
	return err
}

// wayTo is how a node is connected to another one.
func (n *node) wayTo(from *node) (string, error) {
	conns, err := n.connections(from.id)
	if err != nil {
		return "", err
	}
	way := ""
	for _, c := range conns {
		switch {
		case strings.Contains(c.Addr, "p2p-circuit"):
			if way == "" {
				way = byRelay
			}
		case from.home.any:
			way = direct
		case n.home.any:
			way = called
		default:
			way = punched
		}
	}
	if way == "" {
		return "", fmt.Errorf("%v has content of %v, with which it is not connected", n, from)
	}
	return way, nil
}
