package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds how long a process has to answer its first request.
const startTimeout = 60 * time.Second

// server is a process that serves files.
type server struct {
	name, url string
	small     string // path of a file of 2 kB, under a name
	large     string // path of a large one; empty: none
	cmd       *exec.Cmd
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// startNode starts a node, of ours or of Kubo, on a network of its own, and gives it the files.
func startNode(ctx context.Context, c config, dir, name, bin string) (s *server, err error) {
	repo := filepath.Join(dir, name)
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "IPNS_PATH="+repo, "IPFS_PATH="+repo, "IPFS_TELEMETRY=off")
	command := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, bin, args...)
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w: %s", bin, strings.Join(args, " "), err, stderr.Bytes())
		}
		return strings.TrimSpace(string(out)), nil
	}
	steps := [][]string{
		{"init", "--profile", "test"},
		{"config", "Addresses.Gateway", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)},
		{"config", "--json", "Bootstrap", "[]"},
	}
	for _, args := range steps {
		if _, err := command(args...); err != nil {
			return nil, err
		}
	}
	s = &server{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", port), cmd: exec.CommandContext(ctx, bin, "daemon")}
	s.cmd.Env = env
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := waitFor(s.url + "/ipfs/bafkqaaa"); err != nil {
		return nil, err
	}
	site := filepath.Join(dir, name+"-site")
	if err := os.MkdirAll(site, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(site, "page.html"), bytes.Repeat([]byte("<p>two kB\n"), 205), 0o644); err != nil {
		return nil, err
	}
	root, err := command("add", "-Q", "-r", "--cid-version=1", site)
	if err != nil {
		return nil, err
	}
	published, err := command("name", "publish", "--allow-offline", "-Q", "/ipfs/"+root)
	if err != nil {
		return nil, err
	}
	s.small = "/ipns/" + published + "/page.html"
	if c.large > 0 {
		file := filepath.Join(dir, name+"-large")
		if err := random(file, c.large); err != nil {
			return nil, err
		}
		added, err := command("add", "-Q", "--cid-version=1", file)
		if err != nil {
			return nil, err
		}
		s.large = "/ipfs/" + added
	}
	return s, waitFor(s.url + s.small)
}

func random(file string, n int64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.Reader, n); err != nil {
		return err
	}
	return f.Close()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func waitFor(url string) error {
	for end := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %s", resp.Status)
		}
		if time.Now().After(end) {
			return fmt.Errorf("wait for %s: %w", url, err)
		}
	}
}

// reply is what the bare handler writes.
type reply struct {
	Addr   string
	Header http.Header
	Body   []byte
}

// startBare starts the bare handler in a process of its own, with an answer that a node has just given.
func startBare(ctx context.Context, dir string, like *server) (*server, error) {
	resp, err := http.Get(like.url + like.small)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := reply{Header: maps.Clone(resp.Header)}
	a.Header.Del("Date")
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	a.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	b, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "answer.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{name: "bare", url: "http://" + a.Addr, small: like.small, cmd: exec.CommandContext(ctx, self, "-bare", file)}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(s.url + s.small); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func serveBare(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var a reply
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	server := &http.Server{Addr: a.Addr, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), a.Header)
		_, _ = w.Write(a.Body)
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
