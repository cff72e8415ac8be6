package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/goipns/ipns/interop/js"
)

// callTimeout is how long a call of a JavaScript client may take.
const callTimeout = 3 * time.Minute

// A jsClient is a running js/client.mjs: the JavaScript clients, which do one call
// after the other.
type jsClient struct {
	calls   *json.Encoder
	answers *bufio.Reader
	cmd     *exec.Cmd
}

func startJS(t *testing.T) *jsClient {
	t.Helper()
	return startClient(t, js.Need(t, "js"))
}

// startClient runs the client.mjs of some packages, with more of an environment.
func startClient(t *testing.T, packages js.Packages, env ...string) *jsClient {
	t.Helper()
	cmd := exec.Command(packages.Node, "client.mjs")
	cmd.Dir, cmd.Stderr, cmd.Env = packages.Dir, os.Stderr, append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	mustDo(t, err)
	out, err := cmd.StdoutPipe()
	mustDo(t, err)
	mustDo(t, cmd.Start())
	t.Cleanup(func() {
		in.Close() // it ends at the end of its input
		timer := time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("client.mjs: %v", err)
		}
	})
	return &jsClient{calls: json.NewEncoder(in), answers: bufio.NewReader(out), cmd: cmd}
}

// args are the named arguments of a call.
type args map[string]any

// try does a call. Its error is the one that the client threw.
func (c *jsClient) try(t *testing.T, into any, function string, a args) error {
	t.Helper()
	timer := time.AfterFunc(callTimeout, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	mustDo(t, c.calls.Encode([]any{function, a}))
	line, err := c.answers.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%s: no answer from client.mjs: %v", function, err)
	}
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	mustDo(t, json.Unmarshal(line, &answer))
	switch {
	case answer.Error != "":
		return errors.New(answer.Error)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer.Result, into)
}

// call does a call that must succeed.
func (c *jsClient) call(t *testing.T, into any, function string, a args) {
	t.Helper()
	if err := c.try(t, into, function, a); err != nil {
		t.Fatalf("%s(%v): %v", function, a, err)
	}
}
