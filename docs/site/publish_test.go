package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTheSiteIsPublishedByIPNS runs the example: the site is made and put under a name, and every link
// of it works there, by path and on a host of its own.
func TestTheSiteIsPublishedByIPNS(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "ipns"), "./cmd/ipns")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("../../examples/docs/publish.sh", "--testnet")
	cmd.Env = append(os.Environ(), "IPNS="+filepath.Join(dir, "ipns"), "IPNS_PATH="+filepath.Join(dir, "repo"), "HTML="+filepath.Join(dir, "html"))
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		_ = cmd.Wait()                         // it was interrupted
	})
	var gateway, announced string
	for lines := bufio.NewScanner(said); announced == "" && lines.Scan(); {
		if to, ok := strings.CutPrefix(lines.Text(), "gateway "); ok {
			gateway = strings.TrimSpace(to)
		}
		if strings.HasPrefix(lines.Text(), "announced to ") {
			announced = lines.Text()
		}
	}
	if gateway == "" || announced == "" {
		t.Fatalf("not published: gateway %q, announced %q", gateway, announced)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // ends with the process

	rest, _ := strings.CutPrefix(gateway, "http://")
	address, name, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/ipns/")
	want := 0
	for range made(t) {
		want++
	}
	for _, way := range []struct{ host, base string }{
		{address, "/ipns/" + name + "/"},
		{name + ".ipns.localhost", "/"},
	} {
		found := map[string]bool{"index.html": true}
		for todo := []string{""}; len(todo) > 0; todo = todo[1:] {
			kind, body, err := get("http://"+address+way.base+todo[0], way.host)
			if err != nil {
				t.Errorf("%s: %v", todo[0], err)
				continue
			}
			if !strings.HasPrefix(kind, "text/html") {
				continue
			}
			for _, one := range tags(t, body) {
				to, _, _ := strings.Cut(one.link(), "#")
				if to == "" || strings.HasPrefix(to, "https://") {
					continue
				}
				if to = path.Join(path.Dir(todo[0]), to); !found[to] {
					found[to] = true
					todo = append(todo, to)
				}
			}
		}
		if len(found) != want {
			t.Errorf("at %s%s %d files were found, want %d", way.host, way.base, len(found), want)
		}
	}
}

// get asks a gateway as if it had the name host.
func get(url, host string) (kind string, body []byte, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", nil, err
	}
	req.Host = host
	res, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
	return res.Header.Get("Content-Type"), body, err
}
