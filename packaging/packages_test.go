// Package packaging has tests of what packaging/ holds, and of what its script build makes.
package packaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var reproduce = flag.String("reproduce", "", "platforms, such as linux/arm64, that are built twice, from nothing, in two folders (none)")

// mostExposed is what systemd-analyze may call the exposure of the service at most, in tenths.
const mostExposed = 20

func TestServiceMayDoLittle(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skipf("%v: it is of systemd", err)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", fmt.Sprintf("--threshold=%d", mostExposed), "systemd/ipns.service").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exposure := regexp.MustCompile(`Overall exposure level for ipns.service: (\S+)`).FindSubmatch(out)
	if exposure == nil {
		t.Fatalf("no exposure in:\n%s", out)
	}
	t.Logf("exposure %s", exposure[1])
}

// TestUnitsAreWhatSystemdUnderstands lets systemd read the units, with the program where they
// expect it.
func TestUnitsAreWhatSystemdUnderstands(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skipf("%v: it is of systemd", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"ipns.service", "ipns-api.socket", "ipns-gateway.socket"} {
		b, err := os.ReadFile("systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// The program need not be installed here, nor its man pages.
		b = bytes.ReplaceAll(b, []byte("=/usr/bin/ipns "), []byte("=/bin/true "))
		b = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAll(b, nil)
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(analyze, "verify", "--recursive-errors=no", filepath.Join(dir, "ipns.service"), filepath.Join(dir, "ipns-api.socket"), filepath.Join(dir, "ipns-gateway.socket"))
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ipns") {
			t.Error(line)
		}
	}
	if err != nil && !strings.Contains(string(out), "ipns") {
		t.Skipf("systemd-analyze verifies nothing here: %v: %s", err, out)
	}
}

// TestScriptsAreWhatShUnderstands reads each script without running it.
func TestScriptsAreWhatShUnderstands(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("scripts: %q, %v", scripts, err)
	}
	for shell, files := range map[string][]string{"sh": scripts, "bash": {"build", "apt-repository"}} {
		for _, f := range files {
			if out, err := exec.Command(shell, "-n", f).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", f, err, out)
			}
		}
	}
}

func TestLaunchdGetsXML(t *testing.T) {
	f, err := os.Open("launchd/org.goipns.ipns.plist")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestVersionsAreThatOfTheSource looks where a version is written a second time.
func TestVersionsAreThatOfTheSource(t *testing.T) {
	source, err := os.ReadFile("../node/version.go")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^const Release = "(.*)"$`).FindSubmatch(source)
	if version == nil {
		t.Fatal("node/version.go has no Release as build looks for it")
	}
	for _, file := range []string{"homebrew/ipns.rb", "nix/default.nix"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, version[1]) {
			t.Errorf("%s is not of version %s", file, version[1])
		}
	}
}

// TestPackagedFilesHaveModesOfTheirOwn: git keeps none but whether a file is a program.
func TestPackagedFilesHaveModesOfTheirOwn(t *testing.T) {
	b, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(b), "\ncontents:\n")
	list, _, found := strings.Cut(list, "\nscripts:\n")
	entries := strings.Split(list, "- src: ")[1:]
	if !found || len(entries) < 5 {
		t.Fatalf("nfpm.yaml has no contents as this test reads them: %q", entries)
	}
	for _, entry := range entries {
		want := "mode: 06"
		switch {
		case strings.HasPrefix(entry, "${DIST}/"):
			continue // build has made it
		case strings.Contains(entry, "dst: /etc/default/ipns\n"):
			want = "mode: 0600" // the guide puts the secret of the API there
		}
		if !strings.Contains(entry, want) {
			t.Errorf("no %q in: %s", want, entry)
		}
	}
}

// TestBuildsHaveTheSameBytes builds twice, in two folders, with two caches that are empty, from
// clones of users with two umasks.
func TestBuildsHaveTheSameBytes(t *testing.T) {
	if *reproduce == "" {
		t.Skip("-reproduce names no platform: two builds from nothing take minutes")
	}
	platforms := strings.Split(*reproduce, ",")
	var sums [2]map[string][sha256.Size]byte
	for i, umask := range []string{"022", "077"} {
		sums[i] = buildFromNothing(t, platforms, umask)
	}
	if len(sums[0]) < 2 {
		t.Fatalf("only %d files were built", len(sums[0]))
	}
	for name, sum := range sums[0] {
		if sums[1][name] != sum {
			t.Errorf("%s differs", name)
		}
	}
	if len(sums[0]) != len(sums[1]) {
		t.Errorf("%d and %d files", len(sums[0]), len(sums[1]))
	}
}

// buildFromNothing builds platforms from a copy of the source that is in git, and returns the
// hashes of what comes out.
func buildFromNothing(t *testing.T, platforms []string, umask string) map[string][sha256.Size]byte {
	t.Helper()
	dir, err := os.MkdirTemp("", "build-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source, dist := filepath.Join(dir, "source"), filepath.Join(dir, "dist")
	if out, err := exec.Command("sh", "-c", `umask "$0" && exec git clone -q --no-hardlinks .. "$1"`, umask, source).CombinedOutput(); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(source, "packaging/build"), platforms...)
	cmd.Env = append(os.Environ(), "DIST="+dist, "GOCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	files, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string][sha256.Size]byte{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dist, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums[f.Name()] = sha256.Sum256(b)
	}
	return sums
}

func TestContainerHasItsAPIOnLoopbackOnly(t *testing.T) {
	for _, file := range []string{"container/Containerfile", "container/compose.yaml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var code []string
		for line := range strings.Lines(string(b)) {
			if code = append(code, line); strings.HasPrefix(strings.TrimSpace(line), "#") {
				code = slices.Delete(code, len(code)-1, len(code))
			}
		}
		if text := strings.Join(code, ""); strings.Contains(text, "5001") || strings.Contains(text, "8080") {
			t.Errorf("%s offers the API or the gateway", file)
		}
	}
}
