package interop

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A daemon is a running process. The node that started it stops it.
type daemon struct {
	cmd   *exec.Cmd
	log   *logBuffer
	ended chan struct{} // closed when the process has been waited for
}

// start runs the daemon and returns when it says that it is ready. It ends with
// the test at the latest, and also when the test is about to run out of time.
func (n *node) start(args ...string) {
	n.t.Helper()
	n.launch(append([]string{"daemon"}, args...), "Daemon is ready")
}

// launch runs a command that stays, and returns when it has printed ready.
func (n *node) launch(args []string, ready string) {
	n.t.Helper()
	if n.daemon != nil {
		n.t.Fatalf("%s: already running", n.name)
	}
	log := newLogBuffer(ready)
	cmd := exec.Command(n.bin, args...)
	cmd.Env = n.environ()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	d := &daemon{cmd: cmd, log: log, ended: make(chan struct{})}
	n.daemon = d
	go func() {
		cmd.Wait()
		close(d.ended)
	}()
	n.t.Cleanup(func() { d.cleanup(n.t, n.name) })
	d.killBefore(n.t)
	select {
	case <-log.ready:
	case <-d.ended:
		n.t.Fatalf("%s: ended before it was ready: %v", n.name, cmd.ProcessState)
	case <-time.After(readyTimeout):
		n.t.Fatalf("%s: not ready after %v", n.name, readyTimeout)
	}
}

// stop interrupts the daemon, as Ctrl-C does, and waits for its end.
func (n *node) stop() {
	n.t.Helper()
	d := n.daemon
	n.daemon = nil
	if !d.interrupt() {
		n.t.Fatalf("%s: still running %v after the interrupt", n.name, stopTimeout)
	}
}

// kill ends the daemon as kill -9 does.
func (n *node) kill() {
	n.t.Helper()
	d := n.daemon
	n.daemon = nil
	if err := d.cmd.Process.Kill(); err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	<-d.ended
}

func (d *daemon) interrupt() bool {
	d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.ended:
		return true
	case <-time.After(stopTimeout):
		d.cmd.Process.Kill()
		<-d.ended
		return false
	}
}

// cleanup ends a daemon that still runs and shows its log if the test failed.
func (d *daemon) cleanup(t *testing.T, name string) {
	select {
	case <-d.ended:
	default:
		if !d.interrupt() {
			t.Errorf("%s: still running %v after the interrupt", name, stopTimeout)
		}
	}
	if t.Failed() {
		t.Logf("log of %s:\n%s", name, d.log)
	}
}

// killBefore kills the daemon shortly before go test would panic: then no cleanup runs.
func (d *daemon) killBefore(t *testing.T) {
	deadline, ok := t.Deadline()
	if !ok {
		return
	}
	timer := time.AfterFunc(time.Until(deadline)-cleanupReserve, func() { d.cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop() })
}

// A logBuffer keeps the output of a process and tells when a line has appeared in it.
type logBuffer struct {
	ready chan struct{} // closed when the awaited text has been written

	mu    sync.Mutex
	await []byte // nil once seen
	buf   bytes.Buffer
}

func newLogBuffer(await string) *logBuffer {
	return &logBuffer{ready: make(chan struct{}), await: []byte(await)}
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p)
	if b.await != nil && bytes.Contains(b.buf.Bytes(), b.await) {
		b.await = nil
		close(b.ready)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
