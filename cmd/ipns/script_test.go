package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ipns": main, "ipfs": main, "curl": curl})
}

// TestScripts runs testdata/script/*.txtar, which specify the command. Beside
// the commands of testscript they use:
//
//	start LOG TEXT ipns …   run in the background until TEXT is in the file LOG
//	interrupt LOG           interrupt it and wait for its end
//	kill9 LOG               the same with kill -9
//	ended LOG               wait for its end
//	await LOG TEXT          wait until TEXT is in LOG
//	kubo DIR [new]          make a Kubo repo in DIR, with content or new; see newKuboRepo
//	ethereum VAR CHAIN NAME HEX  set VAR to an Ethereum node, where NAME has a contenthash
//	dns VAR HOST TEXT       set VAR to a DNS server at which HOST has the TXT record TEXT
//	pins VAR                set VAR to a pinning service whose key is key; requests go to pins.log
//	hook VAR LOG            set VAR to a receiver of webhooks, which writes what it gets to LOG
//	prints FILE FROM …      want the text of FILE in the others, whose … stands for anything
//	capture VAR FILE REGEXP set VAR to the first group; FILE may be stdout
func TestScripts(t *testing.T) {
	t.Parallel() // it waits for other processes
	testscript.Run(t, scripts("testdata/script"))
}

// scripts are the scripts in a folder, with what they need.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv("IPNS_PATH", filepath.Join(e.WorkDir, "repo"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GOGC", "off") // for commands, which end soon; start does not pass it on
			e.Setenv("NOBODY", "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV")
			e.Setenv("STRANGER", "k51qzi5uqu5dkna9kqbg1ratyu45c9vua5aucc3y3i8r9duuhqfwjsfjv2d7u0")
			e.Values[processes{}] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":     start,
			"interrupt": func(ts *testscript.TestScript, _ bool, args []string) { end(ts, args[0], syscall.SIGINT) },
			"kill9":     func(ts *testscript.TestScript, _ bool, args []string) { end(ts, args[0], syscall.SIGKILL) },
			"ended":     func(ts *testscript.TestScript, _ bool, args []string) { wait(ts, args[0], "being told to stop") },
			"await":     func(ts *testscript.TestScript, _ bool, args []string) { await(ts, args[0], args[1]) },
			"kubo":      kuboRepo,
			"capture":   capture,
			"prints":    prints,
			"ethereum":  ethereum,
			"dns":       dnsServer,
			"pins":      pinService,
			"identity":  writeIdentity,
			"hook":      webhook,
		},
	}
}

// Limits of what is waited for. They are for what hangs: a busy machine takes its time.
const (
	readyTimeout = 3 * time.Minute
	stopTimeout  = 2 * time.Minute
)

// processes is the key of a script's processes, which are named by their logs.
type processes struct{}

type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func start(ts *testscript.TestScript, _ bool, args []string) {
	log, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	path, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[2]))
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir = ts.Getenv("WORK")
	for _, v := range []string{"PATH", "HOME", "IPNS_PATH", "IPFS_PATH", "TMPDIR", "SSH_AUTH_SOCK", "GOLOG_LOG_FMT"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		log.Close()
		close(p.ended)
	}()
	running(ts)[args[0]] = p
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	await(ts, args[0], args[1])
}

func running(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processes{}).(map[string]*process)
}

func await(ts *testscript.TestScript, log, text string) {
	p := running(ts)[log]
	deadline := time.Now().Add(readyTimeout)
	for {
		b, err := os.ReadFile(ts.MkAbs(log))
		ts.Check(err)
		if strings.Contains(string(b), text) {
			return
		}
		select {
		case <-p.ended:
			ts.Fatalf("%s ended without %q:\n%s", log, text, b)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %q in %s after %v:\n%s", text, log, readyTimeout, b)
		}
	}
}

func end(ts *testscript.TestScript, log string, sig syscall.Signal) {
	p := running(ts)[log]
	ts.Check(p.cmd.Process.Signal(sig))
	wait(ts, log, sig.String())
	if sig == syscall.SIGINT && !p.cmd.ProcessState.Success() {
		ts.Fatalf("%s ended with %v:\n%s", log, p.cmd.ProcessState, ts.ReadFile(log))
	}
}

func wait(ts *testscript.TestScript, log, what string) {
	select {
	case <-running(ts)[log].ended:
	case <-time.After(stopTimeout):
		ts.Fatalf("%s still runs %v after %s", log, stopTimeout, what)
	}
}

func capture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if m == nil {
		ts.Fatalf("no %s in %s:\n%s", args[2], args[1], ts.ReadFile(args[1]))
	}
	ts.Setenv(args[0], m[1])
}
