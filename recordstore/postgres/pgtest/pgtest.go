// Package pgtest runs PostgreSQL servers for tests: on a Unix socket in a folder of their
// own, as an unprivileged user where the test runs as root, which PostgreSQL refuses.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a server that a test may stop, kill and start again.
type Server struct {
	Port int // of the socket, too; 0: the usual one

	dir, bin string
	as       *syscall.Credential // nil: the user of the test
	cmd      *exec.Cmd
	ended    chan struct{}
	dbs      int
}

const startLimit = 3 * time.Minute

// Find returns the folder of the server's programs, or why there is none.
func Find() (bin string, err error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(dirs)
	slices.Reverse(dirs)
	for _, dir := range append(dirs, filepath.SplitList(os.Getenv("PATH"))...) {
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: apt-get install postgresql")
}

// Start starts a server with an empty data folder, which ends with the test. It skips the
// test where PostgreSQL is not installed. Settings are as in postgresql.conf.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	bin, err := Find()
	if err != nil {
		t.Skip(err)
	}
	s := newServer(t, bin)
	out, err := s.command("initdb", "-D", s.data(), "-A", "trust", "-U", "ipns", "-E", "UTF8", "--locale=C", "-N").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.configure(t, append([]string{"listen_addresses = ''", "max_connections = 100", "log_min_messages = fatal"}, settings...)...)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	return s
}

// newServer makes the folder of a server, which ends with the test.
func newServer(t testing.TB, bin string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{dir: dir, bin: bin}
	if os.Geteuid() == 0 {
		if err := s.unprivileged(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.Kill() })
	return s
}

// configure adds settings, of which later ones win, and the one of the server's socket.
func (s *Server) configure(t testing.TB, settings ...string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		settings = append(settings, fmt.Sprintf("unix_socket_directories = '%s'", s.dir))
		_, err = f.WriteString("\n" + strings.Join(settings, "\n") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unprivileged has the server run as user postgres, or else nobody.
func (s *Server) unprivileged() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err, err2, os.Chown(s.dir, uid, gid)); err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Data returns the data folder.
func (s *Server) Data() string { return s.data() }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return c
}

// Command returns a command of PostgreSQL, such as pg_dump, that runs as the server does.
func (s *Server) Command(name string, args ...string) *exec.Cmd {
	c := s.command(name, args...)
	c.Env = append(os.Environ(), "PGHOST="+s.dir, "PGUSER=ipns")
	return c
}

// Restart starts the server, which has been stopped, and waits until it takes connections.
func (s *Server) Restart() error {
	s.cmd = s.command("postgres", "-D", s.data())
	s.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() { defer close(ended); cmd.Wait() }()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return fmt.Errorf("the server has ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the server does not start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server as a power cut would, and waits until all its processes are gone.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in order, whatever clients do.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	<-s.ended
	// The processes of clients notice that the first one is gone, and keep the folder
	// locked until then.
	for range 1000 {
		if len(s.processes()) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = os.Remove(filepath.Join(s.data(), "postmaster.pid"))
	s.cmd = nil
}

// Freeze stops all processes of the server, until Thaw, and waits until they have stopped: a
// process that the first one was making would answer.
func (s *Server) Freeze() {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	for !stopped(s.cmd.Process.Pid) {
		time.Sleep(time.Millisecond)
	}
	for !s.freezeOthers() {
		time.Sleep(time.Millisecond)
	}
}

// freezeOthers stops all processes of the server, and reports whether they had stopped before.
func (s *Server) freezeOthers() bool {
	all := true
	for _, pid := range s.processes() {
		if !stopped(pid) {
			all = false
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	}
	return all
}

// Thaw lets the server go on.
func (s *Server) Thaw() {
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// processes returns those that have the server's folder as current one.
func (s *Server) processes() []int {
	var pids []int
	all, _ := fs.Glob(os.DirFS("/proc"), "[0-9]*")
	for _, text := range all {
		dir, err := os.Readlink(filepath.Join("/proc", text, "cwd"))
		if pid, e := strconv.Atoi(text); err == nil && e == nil && dir == s.data() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stopped reports whether a process runs no more, now or for good.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.IndexAny(state, "TZX") == 0
}

// URL returns the URL of a database, which may be on other servers, too.
func (s *Server) URL(db string, others ...*Server) string {
	hosts := s.dir
	for _, o := range others {
		hosts += "," + o.dir
	}
	url := fmt.Sprintf("postgres://ipns@/%s?host=%s", db, hosts)
	if s.Port != 0 {
		url += fmt.Sprintf("&port=%d", s.Port)
	}
	return url
}

// Write replaces a file in the data folder.
func (s *Server) Write(t testing.TB, name string, b []byte) {
	t.Helper()
	path := filepath.Join(s.data(), name)
	err := os.WriteFile(path, b, 0o600)
	if err == nil && s.as != nil {
		err = os.Chown(path, int(s.as.Uid), int(s.as.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Exec runs statements as superuser.
func (s *Server) Exec(t testing.TB, db, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(db))
	if err == nil {
		defer conn.Close(context.WithoutCancel(t.Context()))
		_, err = conn.Exec(t.Context(), statements)
	}
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.dbs++
	name := fmt.Sprintf("db%d", s.dbs)
	s.Exec(t, "postgres", "create database "+name)
	return s.URL(name)
}
