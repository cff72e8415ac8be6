package main

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector of OpenTelemetry, and what was sent to it.
type spans struct {
	mu    sync.Mutex
	seen  map[string]map[string]string // attributes of a span, and of the resource, by the names of both
	wrong []string
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &req)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "secret" {
		s.wrong = append(s.wrong, r.URL.Path)
	}
	for _, of := range req.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, span := range scope.Spans {
				attributes := map[string]string{}
				for _, a := range append(of.Resource.Attributes, span.Attributes...) {
					attributes[a.Key] = a.Value.GetStringValue()
				}
				s.seen[span.Name+" of "+attributes["ipns.name"]] = attributes
			}
		}
	}
}

// TestTracesGoToTheCollectorOfTheEnvironment: spans of a publish, a resolve, a put and a get
// on a network, with the name.
func TestTracesGoToTheCollectorOfTheEnvironment(t *testing.T) {
	t.Parallel() // it waits for other processes
	to := &spans{seen: map[string]map[string]string{}}
	server := httptest.NewServer(to)
	defer server.Close()
	dir := t.TempDir()
	net := &daemonProcess{t: t, cmd: ipnsCommand(t, filepath.Join(dir, "net"), "testnet")}
	net.cmd.Stdout, net.cmd.Stderr = &net.log, &net.log
	if err := net.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer net.kill()
	for begin := time.Now(); !strings.Contains(net.log.String(), "Testnet is ready"); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > readyTimeout {
			t.Fatalf("no testnet after %v:\n%s", readyTimeout, net.log.String())
		}
	}
	peer := regexp.MustCompile(`ipfs swarm connect (\S+)`).FindStringSubmatch(net.log.String())
	r := filepath.Join(dir, "repo")
	runIpns(t, r, "init", "--profile=test")
	runIpns(t, r, "config", "--json", "Bootstrap", `["`+peer[1]+`"]`)
	runIpns(t, r, "config", "--bool", "Routing.LoopbackAddressesOnLanDHT", "true")
	cmd := ipnsCommand(t, r, "daemon")
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_HEADERS=Authorization=secret",
		"OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test")
	d := startDaemonBy(t, r, cmd)
	defer d.kill()
	runIpns(t, r, "name", "publish", "--resolve=false", "/ipfs/bafkqaaa")
	own := strings.Fields(runIpns(t, r, "key", "ls", "-l"))[0]
	runIpns(t, r, "name", "resolve", own)
	const strange = "k51qzi5uqu5dhqnctcoloevxo31vh9ffov2uykuc7lgzfflfsesw8hw1riz5or"
	if out, err := ipnsCommand(t, r, "name", "get", strange).CombinedOutput(); err == nil {
		t.Errorf("a name that nobody published is found: %s", out)
	}
	want := []string{"ipns.publish of " + own, "ipns.put of " + own, "ipns.resolve of " + own, "ipns.get of " + strange}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		missing := ""
		to.mu.Lock()
		for _, span := range want {
			if at := to.seen[span]; at["service.name"] != "ipns" || at["deployment.environment"] != "test" {
				missing += span + ", "
			}
		}
		seen, wrong := slices.Sorted(maps.Keys(to.seen)), to.wrong
		if missing == "" && len(wrong) == 0 {
			to.mu.Unlock()
			return
		}
		if time.Since(begin) > readyTimeout {
			t.Fatalf("no span %sin %v; wrong requests: %v", missing, seen, wrong)
		}
		to.mu.Unlock()
	}
}
