package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// troubleGuide says what can go wrong.
const troubleGuide = "../../docs/guides/trouble.md"

// A fault is a part of the guide: the test runs into it.
type fault struct {
	begin                  string // the script that leads to it
	before, after, instead map[string]string
}

const (
	aRepo     = "exec ipns init --profile=test\nexec ipns key gen blog\n"
	aDaemon   = "start daemon.log 'Daemon is ready' ipns daemon\n"
	aName     = "exec ipns key ls -l\ncapture NAME stdout '(k51\\w+) blog'\n"
	offlineIt = "ipns name publish --allow-offline --key=blog /ipfs/bafkqaaa"
	aTestnet  = "start testnet.log 'Testnet is ready' ipns testnet\ncapture PEER testnet.log 'ipfs swarm connect (\\S+)'\n"
	joined    = "exec ipns config --json Bootstrap '[\"'$PEER'\"]'\nexec ipns config --bool Routing.LoopbackAddressesOnLanDHT true\n"
)

var faults = map[string]fault{
	"The repo is in use": {begin: aRepo + aDaemon},
	"A port is taken": {
		begin: aRepo + "exec ipns --repo-dir=other init --profile=test\nstart other.log 'Daemon is ready' ipns --repo-dir=other daemon\n" +
			"capture PORT other.log 'Gateway server listening on /ip4/127.0.0.1/tcp/(\\d+)'\nexec ipns config Addresses.Gateway /ip4/127.0.0.1/tcp/$PORT\n",
		instead: map[string]string{"ipns config Addresses.Gateway /ip4/127.0.0.1/tcp/8081": "ipns config Addresses.Gateway /ip4/127.0.0.1/tcp/0"},
	},
	"No daemon answers": {
		begin:   aRepo,
		instead: map[string]string{"ipns --api=/ip4/127.0.0.1/tcp/5001 name status blog": "ipns --api=/ip4/127.0.0.1/tcp/9 name status blog"},
	},
	"The API refuses": {
		begin:   aRepo + `exec ipns config --json API.Authorizations '{"me": {"AuthSecret": "bearer:secret", "AllowedPaths": ["/api/v0"]}}'` + "\n" + aDaemon,
		after:   map[string]string{"ipns shutdown --api-auth=bearer:secret": "ended daemon.log\n"},
		instead: map[string]string{"ipns config Addresses.API /ip4/0.0.0.0/tcp/5001": "ipns config Addresses.API /ip4/0.0.0.0/tcp/0"},
	},
	"The config has an error": {begin: aRepo + "exec sed -i s/\\\"Gateway\\\"/\\\"Gatway\\\"/ repo/config\n"},
	"The passphrase is wrong, or missing": {
		begin: aRepo + "exec sh -c 'printf right > right; printf wrong > wrong'\nidentity repo/keystore right\nexec ipns key encrypt --passphrase-file=right\n",
	},
	"The key is not here":                {begin: aRepo},
	"The repo is newer than the program": {begin: aRepo + "exec sh -c 'echo 999 > repo/version'\n"},
	"Too few files may be open":          {begin: aRepo},
	"The database of the node is damaged": {
		begin: aRepo + "exec ipns name publish --allow-offline --resolve=false --key=blog /ipfs/bafkqaaa\n" +
			"exec sh -c 'for f in repo/db/*.sst; do printf damage | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null; done'\n",
		after: map[string]string{"ipns key ls": "stdout '^blog$'\n"},
	},
	"Nobody can be reached": {
		begin: aRepo + "env PEER=$NOBODY\nenv NAME=$STRANGER\n" + joined + aDaemon,
	},
	"Nobody has the name": {begin: aRepo + "env NAME=$STRANGER\n" + aTestnet + joined + aDaemon},
	"The record has expired": {
		begin: aRepo + aName + "exec ipns name publish --allow-offline --resolve=false --lifetime=1s --key=blog /ipfs/bafkqaaa\nexec sleep 1.1\n",
		after: map[string]string{offlineIt: "exec ipns name resolve $NAME\nstdout '^/ipfs/bafkqaaa$'\n"},
	},
	"The last sequence is unknown": {
		begin: "env IPNS_PATH=$WORK/other\n" + aRepo + "exec ipns key export --output=other.key blog\nenv IPNS_PATH=$WORK/repo\n" +
			"exec ipns init --profile=test\nexec ipns key import blog other.key\n",
	},
	"Somebody else publishes with your key": {
		begin: aTestnet + aRepo + joined + "exec ipns key export --output=blog.key blog\n" + aDaemon +
			"exec ipns name publish --key=blog --resolve=false /ipfs/bafkqaaa\n" +
			"env IPNS_PATH=$WORK/other\n" + "exec ipns init --profile=test\nexec ipns key import blog blog.key\n" + joined +
			"start other.log 'Daemon is ready' ipns daemon\n" +
			"exec ipns name publish --key=blog --resolve=false /ipfs/bafkqablomv3wk4q\nenv IPNS_PATH=$WORK/repo\n",
		after: map[string]string{"ipns name publish --key=blog --resolve=false /ipfs/bafkqaaa": "stderr '\\(sequence 2\\)$'\n"},
	},
	"A newer record is known": {
		begin: aRepo + aName + "exec ipns name publish --allow-offline --resolve=false --key=blog /ipfs/bafkqaaa\nexec sh -c 'ipns --offline name get $NAME > old.record'\n" +
			"exec ipns name publish --allow-offline --resolve=false --key=blog /ipfs/bafkqabtimvwgy3yk\n",
	},
}

// TestWhatCanGoWrongSaysWhatTheGuideSays runs into each fault of docs/guides/trouble.md, with the
// lines that it has there: the binary prints what is quoted. Three parts have tests below.
func TestWhatCanGoWrongSaysWhatTheGuideSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	page, err := os.ReadFile(troubleGuide)
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]bool{fullDisk: true, databaseAway: true}
	for part := range strings.SplitSeq(string(page), "\n## ") {
		heading, text, _ := strings.Cut(part, "\n")
		f, ok := faults[heading]
		switch {
		case ok:
			t.Run(heading, func(t *testing.T) {
				typed{troubleGuide, heading, f.before, f.after, f.instead}.run(t, f.begin)
			})
		case strings.Contains(text, "```sh\n") && !others[heading]:
			t.Errorf("nothing leads to %q", heading)
		case strings.Contains(text, "```text\n") && !others[heading]:
			for _, block := range regexp.MustCompile("(?s)```text\n(.*?)\n```").FindAllStringSubmatch(text, -1) {
				inSource(t, block[1])
			}
		}
	}
}

const (
	fullDisk     = "The disk is full"
	databaseAway = "The database of several daemons cannot be reached"
)

// TestAFullDiskSaysWhatTheGuideSays fills a small disk.
func TestAFullDiskSaysWhatTheGuideSays(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // it is gone with its mount
	typed{
		page: troubleGuide, section: fullDisk,
		before: map[string]string{"ipns repo gc": "exec rm " + dir + "/ballast\nexec sleep 0.3\n"},
	}.run(t, "env IPNS_PATH="+dir+"/repo\n"+aRepo+aDaemon+"! exec dd if=/dev/zero of="+dir+"/ballast bs=64k\nexec sleep 0.3\n")
}

// TestADatabaseThatIsAwaySaysWhatTheGuideSays stops the server of the database.
func TestADatabaseThatIsAwaySaysWhatTheGuideSays(t *testing.T) {
	if _, err := pgtest.Find(); err != nil {
		t.Skip(err)
	}
	t.Parallel() // it waits for other processes
	server := pgtest.Start(t)
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile=test", "--store="+server.Database(t))
	runIpns(t, repo, "key", "gen", "blog")
	server.Stop()
	typed{page: troubleGuide, section: databaseAway}.run(t, "env IPNS_PATH="+repo+"\n")
}

// inSource wants what is quoted in a string of the program, for faults that no test leads to: other
// clocks than this one's, and networks whose routers let nobody in. What stands for … must be a part of its own.
func inSource(t *testing.T, quoted string) {
	t.Helper()
	for part := range strings.SplitSeq(strings.Join(strings.Fields(quoted), " "), "…") {
		if part = strings.Trim(part, " :;,"); len(strings.Fields(part)) < 2 {
			continue
		}
		found := false
		for _, piece := range regexp.MustCompile("[:;] ").Split(part, -1) {
			if found = strings.Contains(programStrings(t), piece); !found {
				t.Errorf("no string of the program has %q", piece)
			}
		}
	}
}

var allStrings string

// programStrings are the strings of the program, those that are added up as one, with \x00 between them.
func programStrings(t *testing.T) string {
	t.Helper()
	if allStrings != "" {
		return allStrings
	}
	var b strings.Builder
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "testdata" || d.Name() == "interop" || d.Name() == "bench" || d.Name() == ".git") {
			if d != nil && d.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(source, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s, ok := added(e); ok {
					b.WriteString(s + "\x00")
					return false
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	allStrings = b.String()
	return allStrings
}

// added is the value of a string, or of strings that are added.
func added(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		x, okX := added(e.X)
		y, okY := added(e.Y)
		return x + y, e.Op == token.ADD && (okX || okY)
	}
	return "", false
}
