package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/goipns/ipns/internal/testnet"
)

// An action is what of a composite action's file matters here.
type action struct {
	Inputs map[string]struct {
		Description string
		Default     string
		Required    bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	ID, Name, Shell, Uses, Run string
	Env                        map[string]string
}

func readAction(t *testing.T) action {
	t.Helper()
	b, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a action
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 2 {
		t.Fatalf("%+v", a.Runs)
	}
	return a
}

// An actionRunner runs the steps of the action, as GitHub does: each script by bash, with the
// environment of its step, and files for what it returns.
type actionRunner struct {
	t         *testing.T
	action    action
	dir, temp string   // the workspace; RUNNER_TEMP
	path      string   // what earlier steps have put on the PATH
	caches    []string // of Go, as GitHub's runners have them
	outputs   map[string]string
	summary   string
	log       string
}

func newActionRunner(t *testing.T, dir string) *actionRunner {
	caches := []string{"GOCACHE=" + goEnv(t, "GOCACHE"), "GOMODCACHE=" + goEnv(t, "GOMODCACHE")}
	return &actionRunner{t: t, action: readAction(t), dir: dir, temp: t.TempDir(), caches: caches}
}

var expression = regexp.MustCompile(`\$\{\{ *([a-z_.-]+) *\}\}`)

// run runs all steps, and returns the exit code of the last.
func (r *actionRunner) run(inputs map[string]string) int {
	r.t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		r.t.Fatal(err)
	}
	known := map[string]string{"github.action_path": root, "runner.temp": r.temp}
	for name, in := range r.action.Inputs {
		known["inputs."+name] = in.Default
		if v, ok := inputs[name]; ok {
			known["inputs."+name] = v
		}
	}
	for name := range inputs {
		if _, ok := r.action.Inputs[name]; !ok {
			r.t.Fatalf("there is no input %q", name)
		}
	}
	value := func(text string) string {
		return expression.ReplaceAllStringFunc(text, func(e string) string {
			v, ok := known[expression.FindStringSubmatch(e)[1]]
			if !ok {
				r.t.Errorf("%s is unknown", e)
			}
			return v
		})
	}
	r.summary, r.log = "", ""
	for i, step := range r.action.Runs.Steps {
		code := r.step(i, step, value, known)
		if code != 0 {
			return code
		}
	}
	r.outputs = map[string]string{}
	for name, out := range r.action.Outputs {
		r.outputs[name] = value(out.Value)
	}
	return 0
}

func (r *actionRunner) step(i int, step actionStep, value func(string) string, known map[string]string) int {
	r.t.Helper()
	files := map[string]string{}
	var env []string
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"} {
		files[name] = filepath.Join(r.temp, fmt.Sprint(name, i))
		if err := os.WriteFile(files[name], nil, 0o600); err != nil {
			r.t.Fatal(err)
		}
		env = append(env, name+"="+files[name])
	}
	for name, text := range step.Env {
		env = append(env, name+"="+value(text))
	}
	script := filepath.Join(r.temp, "script.sh")
	if err := os.WriteFile(script, []byte(step.Run), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir = r.dir
	cmd.Env = append(env, "HOME="+r.temp, "PATH="+r.path+os.Getenv("PATH"), "TMPDIR="+os.TempDir(),
		"GOPROXY=off", "GOTOOLCHAIN=local") // nothing is fetched here
	cmd.Env = append(cmd.Env, r.caches...)
	out, err := cmd.CombinedOutput()
	r.log += string(out)
	read := func(name string) string {
		b, err := os.ReadFile(files[name])
		if err != nil {
			r.t.Fatal(err)
		}
		return string(b)
	}
	for line := range strings.Lines(read("GITHUB_PATH")) {
		r.path = strings.TrimSpace(line) + string(os.PathListSeparator) + r.path
	}
	for line := range strings.Lines(read("GITHUB_OUTPUT")) {
		name, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		known["steps."+step.ID+".outputs."+name] = v
	}
	r.summary += read("GITHUB_STEP_SUMMARY")
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// What is put into a script by an expression is run, whoever wrote it.
func TestActionPutsNoInputIntoAScript(t *testing.T) {
	a := readAction(t)
	for _, s := range a.Runs.Steps {
		if strings.Contains(s.Run, "${{") || s.Shell != "bash" || s.Uses != "" {
			t.Errorf("step %q: %+v", s.Name, s)
		}
	}
	for name, in := range a.Inputs {
		if in.Description == "" {
			t.Errorf("input %s is not described", name)
		}
	}
	for name, out := range a.Outputs {
		if out.Description == "" || !expression.MatchString(out.Value) {
			t.Errorf("output %s: %+v", name, out)
		}
	}
}

// The action publishes, without a download: by a node in the runner, and by a daemon. What
// is in its inputs is never run.
func TestActionPublishes(t *testing.T) {
	t.Parallel() // it waits for other processes
	nw := testnet.ForTest(t, 25)
	dir, other := t.TempDir(), t.TempDir()
	site := filepath.Join(dir, "site")
	odd := filepath.Join(dir, "--a $(touch pwned) `touch pwned`\"; touch pwned; '")
	for _, folder := range []string{site, odd} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "index.html"), []byte(folder), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runIpns(t, other, "init", "--profile=test")
	runIpns(t, other, "key", "gen", "ci")
	runIpns(t, other, "key", "export", "--format=pem-pkcs8-cleartext", "--output="+filepath.Join(dir, "ci.pem"), "ci")
	pem, err := os.ReadFile(filepath.Join(dir, "ci.pem"))
	if err != nil {
		t.Fatal(err)
	}
	r := newActionRunner(t, dir)
	repo := filepath.Join(r.temp, "ipns-repo")
	runIpns(t, repo, "init", "--profile=test") // or it would join the public network
	runIpns(t, repo, "config", "--bool", "Routing.LoopbackAddressesOnLanDHT", "true")
	peers := nw.Addrs()[0] + "\n\n  " + nw.Addrs()[1] + "\n"

	code := r.run(map[string]string{"path": "site", "key": string(pem), "peers": peers, "timeout": "1m", "acks": "20"})
	if code != 0 || len(r.outputs) != 4 || r.outputs["sequence"] != "0" {
		t.Fatalf("exit code %d, outputs %q:\n%s", code, r.outputs, r.log)
	}
	name, cid := r.outputs["name"], r.outputs["cid"]
	if want := "https://" + name + ".ipns.dweb.link/"; !strings.HasPrefix(name, "k51") || !strings.HasPrefix(cid, "bafy") || r.outputs["url"] != want {
		t.Errorf("outputs %q", r.outputs)
	}
	if !strings.Contains(r.summary, "| `"+cid+"` | 0 | 20 of 20 |") {
		t.Errorf("summary:\n%s", r.summary)
	}
	if body := strings.Split(string(pem), "\n")[1]; strings.Contains(r.log+r.summary, body) {
		t.Error("the key is shown")
	}
	if keys := runIpns(t, repo, "key", "ls"); keys != "self" {
		t.Errorf("the keys of the runner: %q", keys)
	}

	// The program of that run is on the PATH, and builds no other.
	installed := map[string]string{"version": "installed", "key": string(pem), "peers": peers, "timeout": "1m", "gateway": ""}
	with := func(name, value string) map[string]string {
		in := map[string]string{"path": "site"}
		for k, v := range installed {
			in[k] = v
		}
		in[name] = value
		return in
	}
	if code := r.run(with("path", filepath.Base(odd))); code != 0 || r.outputs["sequence"] != "1" || r.outputs["url"] != "ipns://"+name {
		t.Errorf("an odd folder: exit code %d, outputs %q:\n%s", code, r.outputs, r.log)
	}
	evil := []string{
		"$(touch pwned)", "`touch pwned`", `"; touch pwned; "`, "'; touch pwned; '", "a\ncid=evil\n", "--help", "x${IFS}y", "\x1b[31m", "; touch pwned",
	}
	try := func(input, value string) {
		in := with(input, value)
		code := r.run(in)
		if code == 0 || strings.Contains(r.summary, "pwned") {
			t.Errorf("%s %q: exit code %d, outputs %q, summary %q:\n%s", input, value, code, r.outputs, r.summary, r.log)
		}
	}
	for i, value := range evil {
		try("path", value)
		if i%3 == 0 {
			try("gateway", value)
		}
	}
	for i, input := range []string{"key", "key-name", "record", "name", "acks", "lifetime", "ttl", "timeout", "api", "version", "peers", "pin-endpoint"} {
		for j := range 2 {
			try(input, evil[(2*i+j)%len(evil)])
		}
	}
	for _, folder := range []string{dir, r.temp} {
		if _, err := os.Stat(filepath.Join(folder, "pwned")); err == nil {
			t.Errorf("an input was run, in %s", folder)
		}
	}

	// A pinning service has the content first, also the second time in one job.
	log := filepath.Join(dir, "pins.log")
	pins := httptest.NewServer(pinsAt(log))
	defer pins.Close()
	for range 2 {
		in := with("pin-endpoint", pins.URL)
		in["pin-key"] = "key"
		if code := r.run(in); code != 0 || strings.Contains(r.log+r.summary, `"key"`) {
			t.Errorf("with a service: exit code %d:\n%s", code, r.log)
		}
	}
	if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), r.outputs["cid"]) {
		t.Errorf("the service got %s, %v", b, err)
	}

	// What is missing or makes no sense is said before anything is done.
	for _, tt := range []struct{ name, value, want string }{
		{"key", "", "one of key, key-name and record is needed"},
		{"key-name", "ci", "key-name needs api"},
	} {
		if code := r.run(with(tt.name, tt.value)); code != 2 || !strings.Contains(r.log, "::error::"+tt.want) {
			t.Errorf("%s: exit code %d:\n%s", tt.name, code, r.log)
		}
	}
	if code := r.run(with("key", "c2VjcmV0")); code != 3 || !strings.Contains(r.summary, "**no-key** (exit code 3)") {
		t.Errorf("no key: exit code %d:\n%s", code, r.summary)
	}
}
