// Package debian has tests of the packages in a Debian that debootstrap makes.
package debian

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	suites = flag.String("suites", "", "Debian releases to install the package in, such as bookworm,trixie (default that of this machine)")
	built  = flag.String("dist", "", "the folder of the packages to install, which build has made (default they are made)")
	keep   = flag.String("roots", "", "a folder in which the systems of debootstrap are kept for the next run; they are used as they are")
)

// installGuide says how the program is installed.
const installGuide = "../../docs/guides/install.md"

// need skips the test if a program or root is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run debootstrap")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%v: .ci/setup installs it", err)
		}
	}
}

// run runs a program and returns what it prints.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mirror is where apt of this machine gets Debian from.
func mirror(t *testing.T) string {
	t.Helper()
	targets := run(t, nil, "apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Component: main")
	for site := range strings.Lines(targets) {
		if site = strings.TrimSpace(site); !strings.Contains(site, "security") {
			return site
		}
	}
	t.Skip("apt of this machine has no mirror of Debian")
	return ""
}

// bootstrap makes the smallest Debian of a release.
func bootstrap(t *testing.T, suite string) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), suite)
	from := mirror(t)
	kept := filepath.Join(*keep, suite)
	if *keep != "" {
		if _, err := os.Stat(kept); err == nil {
			run(t, nil, "cp", "-a", kept, root)
			return root
		}
	}
	run(t, nil, "debootstrap", "--variant=minbase", suite, root, from)
	if *keep != "" {
		run(t, nil, "cp", "-a", root, kept)
	}
	return root
}

// host is the platform and the architecture of Debian of this machine.
func host(t *testing.T) (platform, arch string) {
	t.Helper()
	arch = strings.TrimSpace(run(t, nil, "dpkg", "--print-architecture"))
	platforms := map[string]string{"amd64": "linux/amd64", "arm64": "linux/arm64", "armhf": "linux/armv7"}
	if platforms[arch] == "" {
		t.Skipf("there are no packages for %s", arch)
	}
	return platforms[arch], arch
}

// packages builds those for this machine and returns the folder that has them.
func packages(t *testing.T) (dist, arch string) {
	t.Helper()
	platform, arch := host(t)
	if *built != "" {
		return *built, arch
	}
	dist = filepath.Join(t.TempDir(), "dist")
	run(t, []string{"DIST=" + dist}, "../build", platform)
	return dist, arch
}

// older makes a package of an earlier version of one.
func older(t *testing.T, deb string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "older")
	run(t, nil, "dpkg-deb", "-R", deb, dir)
	control := filepath.Join(dir, "DEBIAN", "control")
	b, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	b = regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(b, []byte("Version: 0.0.1"))
	if err := os.WriteFile(control, b, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "dpkg-deb", "-Znone", "-b", dir, dir+".deb")
	return dir + ".deb"
}

// unit returns the values of a key of a systemd unit.
func unit(t *testing.T, path, key string) (values []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		t.Fatalf("%s has no %s", path, key)
	}
	return values
}

// start is what systemd does for a unit, in a system without it: it makes the StateDirectory,
// and runs ExecStart as its User. The public network of this test is on this machine, and its
// ports are any.
func start(t *testing.T) string {
	t.Helper()
	const file = "../systemd/ipns.service"
	user, state := unit(t, file, "User")[0], unit(t, file, "StateDirectory")[0]
	as := fmt.Sprintf("setpriv --reuid=%s --regid=%s --init-groups env HOME=/var/lib/%s %s", user, user, state, strings.Join(unit(t, file, "Environment"), " "))
	return strings.Join([]string{
		"ipns testnet > /root/testnet.log 2>&1 &",
		"ready /root/testnet.log 'Testnet is ready'",
		fmt.Sprintf("install -d -o %s -g %s -m %s /var/lib/%s", user, user, unit(t, file, "StateDirectoryMode")[0], state),
		as + " ipns init --profile=test",
		as + ` ipns config --json Bootstrap "[\"$(sed -n 's/.*ipfs swarm connect \([^ ]*\).*/\1/p' /root/testnet.log)\"]"`,
		as + " ipns config --bool Routing.LoopbackAddressesOnLanDHT true",
		"(umask " + unit(t, file, "UMask")[0] + "; " + as + " " + unit(t, file, "ExecStart")[0] + ") > /root/daemon.log 2>&1 &",
		"ready /root/daemon.log 'Daemon is ready'",
	}, "\n")
}

// TestPackageGoesFromInstallationToAPublishedName types every line of docs/guides/install.md in a
// Debian that has nothing else: an upgrade over an older package, a name on a private network,
// the service, another name by it, a purge that leaves the repo, and the apt repository.
func TestPackageGoesFromInstallationToAPublishedName(t *testing.T) {
	need(t, "debootstrap", "dpkg-deb", "apt-get", "unshare", "chroot", "gpg")
	if testing.Short() {
		t.Skip("it downloads a Debian")
	}
	dist, arch := packages(t)
	debs, err := filepath.Glob(filepath.Join(dist, "*_"+arch+".deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("packages for %s: %q, %v", arch, debs, err)
	}
	releases := strings.Split(*suites, ",")
	if *suites == "" {
		releases = []string{strings.TrimSpace(run(t, nil, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"))}
	}
	for _, suite := range releases {
		t.Run(suite, func(t *testing.T) { install(t, bootstrap(t, suite), debs[0]) })
	}
}

func install(t *testing.T, root, deb string) {
	home := filepath.Join(root, "root")
	run(t, nil, "cp", deb, filepath.Join(filepath.Dir(deb), "SHA256SUMS"), home)
	run(t, nil, "cp", older(t, deb), filepath.Join(root, "older.deb"))
	server := httptest.NewServer(http.FileServer(http.Dir(repository(t, deb))))
	defer server.Close()
	before := map[string]string{
		// There is an older version, with a config of its own.
		"dpkg -i ipns_*.deb": "dpkg -i /older.deb\necho '# mine' >> /etc/default/ipns",
		"dpkg --purge ipns":  "ipns shutdown",
	}
	instead := map[string]string{
		"systemctl enable --now ipns": start(t),
		"curl -o /etc/apt/keyrings/ipns.asc https://packages.example.com/ipns.asc": "mkdir -p /etc/apt/keyrings\n/usr/lib/apt/apt-helper download-file " + server.URL + "/ipns.asc /etc/apt/keyrings/ipns.asc",
		"apt-get update":       "apt-get update -o Dir::Etc::sourcelist=sources.list.d/ipns.list -o Dir::Etc::sourceparts=-",
		"apt-get install ipns": "apt-get install -y --no-install-recommends ipns",
	}
	after := map[string]string{
		"dpkg -i ipns_*.deb":            "grep -q '# mine' /etc/default/ipns\ntest \"$(dpkg-query -W -f '${Version}' ipns)\" != 0.0.1\n! command -v go",
		"ipns up --testnet --once site": "test -z \"$(ls -d ~/.ipns 2>/dev/null)\"",
		"ipns key ls -l":                "ipns key ls -l > /root/before",
		"ipns name status site":         "ipns name status site | grep -q 'Sequence: *0'\nipns name resolve $(sed -n 's/ *site *$//p' /root/before) | grep -q '^/ipfs/bafy'",
		"ipns daemon --reload":          "grep -q NoFetch /root/out",
		"dpkg --purge ipns":             "test ! -e /usr/bin/ipns\ntest -d /var/lib/ipns/keystore\ntest ! -e /etc/default/ipns\ngrep -q 'stays: it has the keys' /root/out",
		"apt-get install ipns":          "ipns key ls -l > /root/again\ncmp /root/before /root/again",
	}
	script := "set -e\nexport HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive\ncd\n" +
		"ready() { i=0; until grep -q \"$2\" \"$1\"; do i=$((i+1)); [ $i -lt 3000 ] || { cat \"$1\"; exit 1; }; sleep 0.1; done; }\n"
	typed := lines(t)
	for _, known := range []map[string]string{before, instead, after} {
		for line := range known {
			if !slices.Contains(typed, line) {
				t.Errorf("the guide has no line %q", line)
			}
		}
	}
	for _, line := range typed {
		if b := before[line]; b != "" {
			script += b + "\n"
		}
		command := line
		if i, ok := instead[line]; ok {
			command = i
		}
		command = strings.ReplaceAll(command, "https://packages.example.com", server.URL)
		script += "echo '$ " + strings.ReplaceAll(line, "'", "") + "'\n"
		if strings.Contains(command, "\n") || strings.HasPrefix(command, "export ") || strings.Contains(line, " > ") {
			script += command + "\n"
		} else {
			script += "{ " + command + "; } > /root/out 2>&1 || { cat /root/out; exit 1; }\ncat /root/out\n"
		}
		if a := after[line]; a != "" {
			// A line that fails ends the script; one with ! would not.
			for check := range strings.Lines(a) {
				check = strings.TrimSpace(check)
				script += "if " + check + "; then :; else echo 'not so: " + strings.ReplaceAll(check, "'", "") + "'; exit 1; fi\n"
			}
		}
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc="+filepath.Join(root, "proc"), "chroot", root, "sh")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		daemon, _ := os.ReadFile(filepath.Join(home, "daemon.log")) // it may not have started
		t.Fatalf("%v\n%s\nthe daemon says:\n%s", err, out.String(), daemon)
	}
	if !regexp.MustCompile(`announced to (1\d|20) of (1\d|20) servers`).MatchString(out.String()) {
		t.Errorf("no name was published to a private network:\n%s", out.String())
	}
	t.Log(out.String())
}

// lines are the lines that the guide says to type.
func lines(t *testing.T) (all []string) {
	t.Helper()
	page, err := os.ReadFile(installGuide)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// repository makes an apt repository with a package, signed by a new key.
func repository(t *testing.T, deb string) (folder string) {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // the path of its socket is short
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GNUPGHOME=" + home}
	t.Cleanup(func() {
		run(t, env, "gpgconf", "--kill", "all")
		os.RemoveAll(home)
	})
	run(t, env, "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "packages@example.com", "ed25519", "sign", "1d")
	folder = filepath.Join(t.TempDir(), "repository")
	run(t, env, "../apt-repository", "packages@example.com", folder, deb)
	run(t, env, "../apt-repository", "packages@example.com", folder, older(t, deb)) // beside it
	if _, err := os.Stat(filepath.Join(folder, "dists/stable/InRelease")); err != nil {
		t.Fatal(err)
	}
	return folder
}
