package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/goipns/ipns"
)

const monitoring = "../../docs/monitoring"

// writeCertificate writes a certificate for this machine.
func writeCertificate(t *testing.T, dir string, end time.Time) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// figures returns what a daemon shows at /debug/metrics/prometheus, and the value of each
// series.
func (d *daemonProcess) figures() (text []byte, values map[string]float64) {
	d.t.Helper()
	resp, err := http.Get(d.api + "/debug/metrics/prometheus")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(resp.Body); err != nil {
		d.t.Fatal(err)
	}
	values = map[string]float64{}
	for line := range strings.Lines(string(text)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, "} "); i >= 0 { // a label may have blanks
			series, value = line[:i+1], strings.TrimSpace(line[i+2:])
		}
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(line, "#") {
			values[series] = v
		}
	}
	return text, values
}

// until waits until a series of a daemon is as wanted.
func (d *daemonProcess) until(series string, is func(float64) bool) {
	d.t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, values := d.figures()
		if v, ok := values[series]; ok && is(v) {
			return
		}
		if time.Since(begin) > readyTimeout {
			d.t.Fatalf("%s stays %v", series, values[series])
		}
	}
}

// watchedDaemon is a daemon that shows all that there is of one on its own: it has names, a
// tenant whose put was refused, and a certificate.
func watchedDaemon(t *testing.T) (d *daemonProcess, cert string, end time.Time) {
	t.Helper()
	dir := t.TempDir()
	r := filepath.Join(dir, "repo")
	runIpns(t, r, "init", "--profile=test")
	end = time.Now().Add(5 * 24 * time.Hour).Truncate(time.Second)
	cert, key := writeCertificate(t, dir, end)
	runIpns(t, r, "config", "Addresses.Hosting", "/ip4/127.0.0.1/tcp/0")
	runIpns(t, r, "config", "--json", "Hosting", fmt.Sprintf(`{"Policy":"token","TLSCert":%q,"TLSKey":%q}`, cert, key))
	token, err := ipnsCommand(t, r, "host", "token", "create", "--tenant=friends").Output()
	if err != nil {
		t.Fatal(err)
	}
	d = startDaemon(t, r)
	t.Cleanup(d.kill)
	runIpns(t, r, "name", "publish", "--allow-offline", "--resolve=false", "/ipfs/bafkqaaa")
	runIpns(t, r, "name", "resolve", "--offline", "/ipns/"+strings.Fields(runIpns(t, r, "key", "ls", "-l"))[0])
	if resp, err := http.Get(d.gateway + "/ipfs/bafkqaaa"); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`Hosting server listening on /ip4/127.0.0.1/tcp/(\d+)`).FindStringSubmatch(d.log.String())
	if at == nil {
		t.Fatalf("it does not say where hosting listens:\n%s", d.log.String())
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(priv), ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: end, TTL: time.Minute}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{rec.Raw(), []byte("no record")} {
		req, err := http.NewRequest(http.MethodPut, "https://127.0.0.1:"+at[1]+"/routing/v1/ipns/"+rec.Name().String(), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		req.Header.Set("Content-Type", "application/vnd.ipfs.ipns-record")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || (resp.StatusCode == http.StatusOK) != (body[0] != 'n') {
			t.Fatalf("put: %s, %v: %s", resp.Status, err, text)
		}
	}
	return d, cert, end
}

// seriesIn returns the metrics that an expression of PromQL names.
func seriesIn(expr string) (list []string) {
	expr = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|"[^"]*"`).ReplaceAllString(expr, "")
	return regexp.MustCompile(`\b(ipns|go|process|libp2p|promhttp)_\w+`).FindAllString(expr, -1)
}

// TestRulesAndDashboardNameWhatADaemonShows finds every series of docs/monitoring among the
// metrics of a real daemon, and lints these. The metrics of its kind move as the things happen.
func TestRulesAndDashboardNameWhatADaemonShows(t *testing.T) {
	t.Parallel()
	d, cert, end := watchedDaemon(t)
	d.until(`ipns_hosting_names{tenant="friends"}`, func(v float64) bool { return v == 1 })
	text, values := d.figures()

	exprs := map[string]string{}
	rules, err := os.ReadFile(filepath.Join(monitoring, "ipns.rules"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+expr: (.*)$`).FindAllStringSubmatch(string(rules), -1) {
		exprs["rule "+m[1]] = m[1]
	}
	b, err := os.ReadFile(filepath.Join(monitoring, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil || len(board.Panels) < 20 {
		t.Fatalf("the dashboard has %d panels, %v", len(board.Panels), err)
	}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			exprs["panel "+p.Title+": "+target.Expr] = target.Expr
		}
	}
	shown := map[string]bool{}
	for series := range values {
		name, _, _ := strings.Cut(series, "{")
		shown[name] = true
	}
	if len(exprs) < 50 || len(shown) < 50 {
		t.Fatalf("%d expressions, %d metrics", len(exprs), len(shown))
	}
	for where, expr := range exprs {
		list := seriesIn(expr)
		if len(list) == 0 {
			t.Errorf("%s names no metric", where)
		}
		for _, name := range list {
			if !shown[name] {
				t.Errorf("%s: a daemon shows no %s", where, name)
			}
		}
	}

	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "ipns_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}

	for series, want := range map[string]float64{
		"ipns_names_own": 1, "ipns_names_own_expired": 0, "ipns_sectors_held": 64, "ipns_store_silent_seconds": 0, "ipns_clock_known": 0,
		`ipns_certificate_end_timestamp_seconds{door="hosting"}`: float64(end.Unix()), `ipns_publish_seconds_count{result="ok"}`: 1,
		`ipns_resolve_seconds_count{result="error"}`: 0, `ipns_http_request_duration_seconds_count{code="200",door="gateway"}`: 1,
	} {
		if got, ok := values[series]; !ok || got != want {
			t.Errorf("%s is %v, not %v", series, got, want)
		}
	}
	if free, reserve := values["ipns_disk_free_bytes"], values["ipns_disk_reserve_bytes"]; free <= 0 || reserve <= 0 || values["ipns_repo_size_bytes"] <= 0 {
		t.Errorf("disk: free %v, reserve %v", free, reserve)
	}

	// What alerts are for.
	writeCertificate(t, filepath.Dir(cert), end.Add(90*24*time.Hour))
	later := time.Now().Add(time.Minute)
	for _, file := range []string{"cert.pem", "key.pem"} {
		if err := os.Chtimes(filepath.Join(filepath.Dir(cert), file), later, later); err != nil {
			t.Fatal(err)
		}
	}
	runIpns(t, d.repo, "name", "publish", "--allow-offline", "--resolve=false", "--lifetime=1s", "/ipfs/bafkqaaa")
	d.until("ipns_names_at_risk", func(v float64) bool { return v == 1 })
	d.until("ipns_names_own_expired", func(v float64) bool { return v == 1 })
	d.until(`ipns_certificate_end_timestamp_seconds{door="hosting"}`, func(v float64) bool { return v == float64(end.Add(90*24*time.Hour).Unix()) })
}

// TestRulesFireAndAreSilent has promtool read the rules, and feed them figures of daemons that
// are well and of such that are not.
func TestRulesFireAndAreSilent(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not here; Debian's package prometheus has it")
	}
	rules, err := os.ReadFile(filepath.Join(monitoring, "ipns.rules"))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile("testdata/monitoring/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]int{}
	for _, m := range regexp.MustCompile(`alertname: (\w+)(\}?)`).FindAllStringSubmatch(string(cases), -1) {
		if m[2] == "" {
			tested[m[1]] |= 1 // it fires
		} else {
			tested[m[1]] |= 2 // it is silent
		}
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if tested[m[1]] != 3 {
			t.Errorf("no case shows that %s fires, or none that it is silent", m[1])
		}
		delete(tested, m[1])
	}
	if len(tested) > 0 {
		t.Errorf("cases of alerts that there are not: %v", maps.Keys(tested))
	}
	for _, args := range [][]string{{"check", "rules", filepath.Join(monitoring, "ipns.rules")}, {"test", "rules", "testdata/monitoring/rules_test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, fmt.Sprint(string(out)))
		}
	}
}
