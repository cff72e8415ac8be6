package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
)

// TestOwnWritesAreReadThroughEveryDoor publishes and reads at once, through
// each door of a daemon: the new value must be there although the TTL of the
// old one has not passed. R11.
func TestOwnWritesAreReadThroughEveryDoor(t *testing.T) {
	t.Parallel() // it waits for other processes
	pairs := 10_000
	if testing.Short() {
		pairs = 500
	}
	repo := t.TempDir()
	runIpns(t, repo, "init", "--profile", "test")
	d := startDaemon(t, repo)
	defer d.kill()
	doors := map[string]func(publishAnswer, string) error{
		"resolve": func(p publishAnswer, _ string) error {
			return wantPath(d, url.Values{"arg": {p.Name}}, p.Value)
		},
		"resolve nocache": func(p publishAnswer, _ string) error {
			return wantPath(d, url.Values{"arg": {p.Name}, "nocache": {"true"}}, p.Value)
		},
		"name get": func(p publishAnswer, _ string) error {
			resp, err := http.Post(d.api+"/api/v0/name/get?arg="+p.Name, "", nil)
			return wantRecord(resp, err, p)
		},
		"gateway": func(p publishAnswer, content string) error {
			resp, err := http.Get(d.gateway + "/ipns/" + p.Name)
			return wantBody(resp, err, content)
		},
		"gateway record": func(p publishAnswer, _ string) error {
			resp, err := http.Get(d.gateway + "/ipns/" + p.Name + "?format=ipns-record")
			return wantRecord(resp, err, p)
		},
	}
	stale := 0
	for i := range pairs / len(doors) {
		content := fmt.Sprintf("value %d", i)
		p, err := d.publish("self", inline(t, content))
		if err != nil {
			t.Fatal(err)
		}
		if p.Sequence != uint64(i) {
			t.Fatalf("publish %d has sequence %d", i, p.Sequence)
		}
		for door, read := range doors {
			if err := read(p, content); err != nil {
				t.Errorf("after publish %d: %s: %v", i, door, err)
				stale++
			}
		}
		if stale > 10 {
			break
		}
	}
	t.Logf("%d pairs, %d stale", pairs, stale)
}

func wantPath(d *daemonProcess, query url.Values, want string) error {
	var resolved struct{ Path string }
	if err := d.call(&resolved, "name/resolve", query); err != nil {
		return err
	}
	if resolved.Path != want {
		return fmt.Errorf("got %s, want %s", resolved.Path, want)
	}
	return nil
}

func wantBody(resp *http.Response, err error, want string) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, ipns.MaxRecordSize+1))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(b) != want {
		return fmt.Errorf("got %s %q, want %q", resp.Status, b, want)
	}
	return nil
}

func wantRecord(resp *http.Response, err error, p publishAnswer) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, ipns.MaxRecordSize+1))
	if err != nil {
		return err
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, ipns.RecordMediaType) {
		return fmt.Errorf("got %s %s: %q", resp.Status, got, raw)
	}
	name, err := ipns.ParseName(p.Name)
	if err != nil {
		return err
	}
	rec, err := ipns.Open(name, raw, time.Now())
	if err != nil {
		return err
	}
	if rec.Sequence() != p.Sequence || rec.Value() != p.Value {
		return fmt.Errorf("got sequence %d %s, want %d %s", rec.Sequence(), rec.Value(), p.Sequence, p.Value)
	}
	return nil
}
