//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one of the two programs.
type contender struct {
	name, home string // home: the variable that names its repo
	program    *string
	daemon     []string
}

var contenders = [2]contender{
	{"Kubo", "IPFS_PATH", ipfs, []string{"daemon", "--offline"}},
	{"ours", "IPNS_PATH", ipns, []string{"daemon", "--offline"}},
}

// usage is what one add took.
type usage struct{ wall, cpu, written, memory float64 }

// measured is one turn.
type measured struct {
	first, again usage
	disk         float64 // more than before
	root         string
}

// measure adds data twice to a new repo.
func (c contender) measure(ctx context.Context, repo, data string, online bool) (m measured, err error) {
	if err := os.RemoveAll(repo); err != nil {
		return m, err
	}
	init := c.command(ctx, repo, "init", "--profile", "test")
	if out, err := init.CombinedOutput(); err != nil {
		return m, fmt.Errorf("init: %w: %s", err, out)
	}
	var daemon *exec.Cmd
	if online {
		if daemon, err = c.start(ctx, repo); err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, end(daemon)) }()
	}
	before := diskOf(repo)
	unix.Sync() // nobody pays for the turn before
	if m.first, m.root, err = c.add(ctx, repo, data, daemon); err != nil {
		return m, err
	}
	m.disk = diskOf(repo) - before
	m.again, _, err = c.add(ctx, repo, data, daemon)
	return m, err
}

func (c contender) command(ctx context.Context, repo string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, *c.program, args...)
	cmd.Env = append(os.Environ(), c.home+"="+repo, "IPFS_TELEMETRY=off")
	return cmd
}

// start starts a daemon and waits until it is ready.
func (c contender) start(ctx context.Context, repo string) (*exec.Cmd, error) {
	cmd := c.command(ctx, repo, c.daemon...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Daemon is ready") {
			return cmd, nil
		}
	}
	return nil, errors.Join(errors.New("the daemon does not start"), end(cmd))
}

func end(daemon *exec.Cmd) error {
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return daemon.Wait()
}

// add runs an add, and measures it with what the daemon does meanwhile.
func (c contender) add(ctx context.Context, repo, data string, daemon *exec.Cmd) (u usage, root string, err error) {
	var cpu, written float64
	if daemon != nil {
		// Its highest memory counts from here.
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", daemon.Process.Pid), []byte("5"), 0); err != nil {
			return u, "", err
		}
		if cpu, written, _, err = ofProcess(daemon.Process.Pid); err != nil {
			return u, "", err
		}
	}
	cmd := c.command(ctx, repo, "add", "-r", "-Q", data)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return u, "", err
	}
	// The figures of a process are there until it is waited for.
	var info unix.Siginfo
	for {
		if err = unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	u.wall = time.Since(start).Seconds()
	if err != nil {
		return u, "", err
	}
	if u.written, err = bytesWritten(cmd.Process.Pid); err != nil {
		return u, "", err
	}
	if err := cmd.Wait(); err != nil {
		return u, "", fmt.Errorf("add: %w: %s", err, errs.Bytes())
	}
	u.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	u.memory = float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
	if daemon != nil {
		after, more, memory, err := ofProcess(daemon.Process.Pid)
		if err != nil {
			return u, "", err
		}
		u.cpu, u.written, u.memory = u.cpu+after-cpu, u.written+more-written, max(u.memory, memory)
	}
	return u, strings.TrimSpace(out.String()), nil
}

// ofProcess returns the processor time, the bytes written and the highest memory of a process that runs.
func ofProcess(pid int) (cpu, written, memory float64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, f := range fields[11:13] { // user and system, in 1/100 s
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, 0, err
		}
		cpu += n / 100
	}
	if written, err = bytesWritten(pid); err != nil {
		return 0, 0, 0, err
	}
	kb, err := field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	return cpu, written, kb * 1024, err
}

func bytesWritten(pid int) (float64, error) {
	return field(fmt.Sprintf("/proc/%d/io", pid), "write_bytes:")
}

// field returns the number after a name in a file of /proc.
func field(path, name string) (float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, path)
}

// diskOf returns the bytes of all files in a folder.
func diskOf(dir string) (n float64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // deleted meanwhile
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += float64(info.Size())
		}
		return nil
	})
	return n
}
