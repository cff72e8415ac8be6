package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/rpc"
)

// cluster is several daemons as processes on one database, each with a repo, a user of the
// database and a way to it of its own.
type cluster struct {
	server  *pgtest.Server
	url     string // of the database, past the proxies
	net     *testnet.Network
	members []*member
	keys    map[string]sharedKey // by label
}

// sharedKey is a key that all daemons have.
type sharedKey struct {
	name   string
	signer ipns.Signer
}

type member struct {
	t     *testing.T
	c     *cluster
	repo  string
	user  string
	peer  string // its peer id
	way   *dbProxy
	flags []string
	life  atomic.Pointer[memberLife]
}

// memberLife is a process of a daemon, from its start to its end.
type memberLife struct {
	*daemonProcess
	client *rpc.Client
}

// newCluster starts PostgreSQL, a DHT of some servers and n daemons, which end with the test.
func newCluster(t *testing.T, n, servers int) *cluster {
	t.Helper()
	c := &cluster{server: pgtest.Start(t), keys: map[string]sharedKey{}}
	c.url = c.server.Database(t)
	c.net = testnet.ForTest(t, servers)
	for i := range n {
		m := &member{
			t: t, c: c, repo: filepath.Join(t.TempDir(), "repo"), user: fmt.Sprintf("daemon%d", i),
			way: newDBProxy(t, c.url), flags: []string{"--bootstrap", c.net.Server(0).Addr()},
		}
		// What a user does is done as the owner of the tables; who it was stays known.
		c.exec(t, fmt.Sprintf("create role %[1]s login in role ipns; alter role %[1]s set role = ipns", m.user))
		runIpns(t, m.repo, "init", "--profile", "test", "--store", m.way.url(t, c.url, m.user))
		m.peer = runIpns(t, m.repo, "id", "--format=<id>")
		c.members = append(c.members, m)
		m.start()
		t.Cleanup(func() {
			m.kill()
			if t.Failed() {
				t.Logf("%s, after its last start:\n%s", m.user, m.life.Load().log.String())
			}
		})
	}
	return c
}

// exec runs statements past the proxies.
func (c *cluster) exec(t *testing.T, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// start starts the daemon, which does not run, and waits until it is ready.
func (m *member) start() {
	m.t.Helper()
	d := startDaemonWith(m.t, m.repo, m.flags...)
	m.life.Store(&memberLife{d, apiClient(m.t, d)})
}

// halt ends the daemon in order.
func (m *member) halt() {
	d := m.life.Load()
	_ = d.cmd.Process.Signal(os.Interrupt) // it may have been killed
	_ = d.cmd.Wait()
}

// kill ends the daemon as kill -9 does.
func (m *member) kill() {
	if d := m.life.Load(); d != nil {
		d.kill()
	}
}

// stop has the daemon do nothing until resume.
func (m *member) stop()   { m.signal(syscall.SIGSTOP) }
func (m *member) resume() { m.signal(syscall.SIGCONT) }

func (m *member) signal(sig syscall.Signal) {
	if err := m.life.Load().cmd.Process.Signal(sig); err != nil {
		m.t.Error(err)
	}
}

// share makes a key for each label, and gives it to every daemon. It returns their names.
func (c *cluster) share(t *testing.T, labels ...string) (names []string) {
	t.Helper()
	for _, label := range labels {
		var made struct{ Id string }
		if err := c.members[0].life.Load().call(&made, "key/gen", url.Values{"arg": {label}}); err != nil {
			t.Fatal(err)
		}
		names = append(names, made.Id)
		file := filepath.Join(t.TempDir(), "key")
		runIpns(t, c.members[0].repo, "key", "export", "--output="+file, label)
		key, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.members[1:] {
			req := rpc.New[api.KeyImportRequest]()
			req.Name, req.Key = label, bytes.NewReader(key)
			if _, err = rpc.Do(t.Context(), m.life.Load().client, api.KeyImport, req); err != nil {
				t.Fatal(err)
			}
		}
		priv, err := ipns.ParsePrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		c.keys[label] = sharedKey{made.Id, ipns.NewSigner(priv)}
	}
	return names
}
