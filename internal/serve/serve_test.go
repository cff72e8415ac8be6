package serve

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/internal/repo"
)

func TestAPIBeyondLoopbackNeedsAuthorizationOrConsent(t *testing.T) {
	open := repo.API{AllowUnauthenticated: true}
	secret := repo.API{Authorizations: map[string]*repo.Authorization{"a": {AuthSecret: "bearer:x"}}}
	for _, c := range []struct {
		addr string
		api  repo.API
		ok   bool
	}{
		{"/ip4/127.0.0.1/tcp/5001", repo.API{}, true},
		{"/ip4/127.9.9.9/tcp/5001", repo.API{}, true},
		{"/ip6/::1/tcp/5001", repo.API{}, true},
		{"/unix/run/api.sock", repo.API{}, true},
		{"/ip4/0.0.0.0/tcp/5001", repo.API{}, false},
		{"/ip6/::/tcp/5001", repo.API{}, false},
		{"/ip4/192.168.1.2/tcp/5001", repo.API{}, false},
		{"/ip6/fe80::1/tcp/5001", repo.API{}, false},
		{"/ip4/0.0.0.0/tcp/5001", open, true},
		{"/ip6/::/tcp/5001", secret, true},
	} {
		s := &Servers{API: ma.StringCast(c.addr), o: Options{Log: slog.New(slog.DiscardHandler)}}
		if err := s.mayOpen(&repo.Config{API: c.api}); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrOpen) {
			t.Errorf("%s with %+v: %v", c.addr, c.api, err)
		}
	}
}

func TestStaleUnixSocketIsReplacedAndLiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err := listen("API", "/unix"+path)
	if err != nil {
		t.Fatal("stale:", err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&7 != 0 {
		t.Errorf("the socket is open to all: %v, %v", info.Mode(), err)
	}
	if second, err := listen("API", "/unix"+path); err == nil {
		second.Close()
		t.Error("a socket in use was taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := listen("API", "/unix"+file); err == nil {
		l.Close()
		t.Error("a file was replaced by a socket")
	}
}
