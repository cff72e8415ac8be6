package main

import (
	"os/exec"
	"testing"
)

func TestDaemonThatEndsByItselfIsNoticed(t *testing.T) {
	for _, c := range []struct {
		script string
		wait   bool // until it has ended
		ended  string
	}{{"exec sleep 60", false, ""}, {"exit 2", true, "exit status 2"}, {"exit 0", true, "exit status 0"}} {
		cmd := exec.Command("sh", "-c", c.script)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.wait {
			_, _ = out.Read(make([]byte, 1)) // it is closed then
		}
		d := &daemon{cmd: cmd}
		got := ""
		if err := d.kill(); err != nil {
			got = err.Error()
		}
		if got != c.ended {
			t.Errorf("%s: it ended with %q, want %q", c.script, got, c.ended)
		}
	}
}
