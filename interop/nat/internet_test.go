package nat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	serversTimeout = 5 * time.Minute // until the servers know each other
	lookEvery      = 200 * time.Millisecond
	socketTimeout  = 2 * time.Minute // one question to the servers
)

// An internet is a public network: a bridge on which homes are, and its servers.
type internet struct {
	name   string
	bridge namespace
	client *http.Client // of the process of the servers
	homes  int          // made so far
	first  int          // number of the first address that is left for homes
	peers  []peerAddrs
}

// newInternet makes a network with so many servers, which ends with the test.
func newInternet(t *testing.T, name string, servers int) *internet {
	t.Helper()
	n := &internet{name: name, bridge: newNamespace(t, name+"-pub"), first: maxServers}
	n.bridge.run(t, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0")
	n.bridge.ip(t, "link add br0 type bridge", "link set br0 up")
	for i := range maxServers { // more than there are servers: relays of our own
		n.bridge.ip(t, "addr add "+address4(i)+link4+" dev br0", "addr add "+address6(i)+link6+" dev br0 nodad")
	}
	n.serve(t, servers)
	return n
}

// serve starts the process of the servers and waits until they know each other.
func (n *internet) serve(t *testing.T, servers int) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "servers")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := n.bridge.command(context.Background(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", envServers, servers), envSocket+"="+socket)
	alive, err := cmd.StdinPipe() // the servers end when this process does, whatever ends it
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		alive.Close()
		<-ended
		if t.Failed() {
			t.Logf("the servers said:\n%s", log.tail())
		}
	})
	n.client = &http.Client{Timeout: socketTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	for deadline := time.Now().Add(serversTimeout); ; time.Sleep(lookEvery) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		select {
		case <-ended:
			t.Fatalf("the servers ended: %s", log.tail())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the servers do not know each other")
		}
	}
	if err := n.ask("/peers", &n.peers); err != nil {
		t.Fatal(err)
	}
}

// ask asks the servers.
func (n *internet) ask(path string, into any) error {
	resp, err := n.client.Get("http://servers" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the servers: %s %s %v", resp.Status, body, err)
	}
	return json.Unmarshal(body, into)
}

// holders says which servers have a record of the name, the closest first.
func (n *internet) holders(name string) (all []holding, err error) {
	err = n.ask("/holders?name="+name, &all)
	return all, err
}

// bootstrap is the config's Bootstrap on this network. Like that of the public network it has
// both kinds: a domain, under which the peers are found, and addresses.
func (n *internet) bootstrap(version int) string {
	var peers []string
	for _, p := range n.peers[:bootstraps] {
		peers = append(peers, "/dnsaddr/"+bootstrapDomain+"/p2p/"+p.ID)
	}
	last := n.peers[bootstraps-1]
	for _, a := range last.Addrs {
		if strings.HasPrefix(a, fmt.Sprintf("/ip%d/", version)) {
			peers = append(peers, a+"/p2p/"+last.ID)
		}
	}
	list, err := json.Marshal(peers)
	if err != nil {
		panic(err) // strings
	}
	return string(list)
}

// tell tells the servers to do something.
func (n *internet) tell(path string) error {
	resp, err := n.client.Post("http://servers"+path, "", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the servers: %s", resp.Status)
	}
	return nil
}
