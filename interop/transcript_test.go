package interop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata/cli with what the programs print")

// TestTranscripts types the commands of testdata/cli/*.txt. Kubo must answer as
// the files say, which keeps them true; ipns must then answer the same.
//
// A transcript is a list of commands, each followed by what it printed:
//
//	# a comment
//	$ add -Q hello.txt      the command line, without the name of the program
//	@ hello.txt             standard input, if any: a file of the working directory
//	1> zQm…                 one line of standard output
//	2> Error: …             the first line of standard error that tells the error
//	= 1                     the exit code, if not 0
//	~ reason                why ipns answers in its own way, which follows:
//	~1> …                   and so on
//
// Words in braces stand for what differs from run to run: {self}, {self32} and
// {peer} are the node's name in base36, base32 and base58, {repo} and {dir} the paths of the
// repository and of the working directory, {prog} the name of the program in a hint.
//
// Each program runs each file twice, without a daemon and with one (offline):
// what a command prints does not depend on that. At last Kubo's commands are
// typed against the daemon of ipns, which tests the RPC API by its own client.
func TestTranscripts(t *testing.T) {
	for file, script := range transcripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			if *update {
				script.record(t)
				script.write(t, file)
			}
			for _, m := range typingModes {
				t.Run(m.name, func(t *testing.T) { script.check(t, m.open(t), m.ours) })
			}
		})
	}
}

// transcripts returns those of testdata/cli by the names of their files.
func transcripts(t *testing.T) map[string]*transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/cli/*.txt")
	mustDo(t, err)
	scripts := make(map[string]*transcript, len(files))
	for _, file := range files {
		scripts[file] = readTranscript(t, file)
	}
	return scripts
}

// typingModes are the ways to have the commands of a transcript answered.
var typingModes = []struct {
	name string
	ours bool // ipns answers
	open func(*testing.T) *node
}{
	{"ipfs", false, func(t *testing.T) *node { return newNode(t, kubo, "ipfs") }},
	{"ipfs-daemon", false, func(t *testing.T) *node { return newOfflineDaemon(t, kubo) }},
	{"ipns", true, func(t *testing.T) *node { return newNode(t, ours, "ipns") }},
	{"ipns-daemon", true, func(t *testing.T) *node { return newOfflineDaemon(t, ours) }},
	{"ipfs-at-ipns-daemon", true, func(t *testing.T) *node { return clientOf(newOfflineDaemon(t, ours)) }},
}

func newOfflineDaemon(t *testing.T, p *program) *node {
	t.Helper()
	n := newNode(t, p, p.name)
	n.start("--offline")
	return n
}

type transcript struct {
	steps []*step
	tail  []string // comments after the last command
}

// A step is one command and its answer.
type step struct {
	line     int
	comments []string
	args     string
	stdin    string
	want     answer
	ownWay   string // why ipns answers in another way; empty: it does not
	own      answer // that way
}

// An answer is what a script can see of a command, with variables in place of their values.
type answer struct {
	stdout []string
	failed string // the line of standard error that tells the error
	code   int
}

func (a answer) String() string {
	var b strings.Builder
	for _, l := range a.stdout {
		fmt.Fprintf(&b, "1> %s\n", l)
	}
	if a.failed != "" {
		fmt.Fprintf(&b, "2> %s\n", a.failed)
	}
	if a.code != 0 {
		fmt.Fprintf(&b, "= %d\n", a.code)
	}
	return b.String()
}

func readTranscript(t *testing.T, file string) *transcript {
	t.Helper()
	b, err := os.ReadFile(file)
	mustDo(t, err)
	s := new(transcript)
	var pending []string
	var last *step
	for i, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		kind, rest, _ := strings.Cut(l, " ")
		into := new(answer)
		if last != nil {
			into = &last.want
		}
		if k, own := strings.CutPrefix(kind, "~"); own && k != "" && last != nil {
			kind, into = k, &last.own
		}
		switch {
		case kind == "$":
			last = &step{line: i + 1, comments: pending, args: rest}
			s.steps = append(s.steps, last)
			pending = nil
		case kind == "#" || l == "":
			pending = append(pending, l)
		case last == nil:
			t.Fatalf("%s:%d: %q before the first command", file, i+1, l)
		case kind == "@":
			last.stdin = rest
		case kind == "1>":
			into.stdout = append(into.stdout, rest)
		case kind == "2>":
			into.failed = rest
		case kind == "~":
			last.ownWay = rest
		case kind == "=":
			if _, err := fmt.Sscan(rest, &into.code); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		default:
			t.Fatalf("%s:%d: %q is no line of a transcript", file, i+1, l)
		}
	}
	s.tail = pending
	return s
}

func (s *transcript) write(t *testing.T, file string) {
	t.Helper()
	var b strings.Builder
	for _, st := range s.steps {
		for _, c := range st.comments {
			fmt.Fprintln(&b, c)
		}
		fmt.Fprintf(&b, "$ %s\n", st.args)
		if st.stdin != "" {
			fmt.Fprintf(&b, "@ %s\n", st.stdin)
		}
		b.WriteString(st.want.String())
		if st.ownWay != "" {
			fmt.Fprintf(&b, "~ %s\n", st.ownWay)
			for l := range strings.Lines(st.own.String()) {
				b.WriteString("~" + l)
			}
		}
	}
	for _, c := range s.tail {
		fmt.Fprintln(&b, c)
	}
	mustDo(t, os.WriteFile(file, []byte(b.String()), 0o644))
}

// record replaces the answers by those that are given now, without daemons.
func (s *transcript) record(t *testing.T) {
	them, us := newTypist(t, newNode(t, kubo, "ipfs")), newTypist(t, newNode(t, ours, "ipns"))
	for _, st := range s.steps {
		st.want, st.own = them.answer(t, st), us.answer(t, st)
	}
}

func (s *transcript) check(t *testing.T, n *node, ours bool) {
	r := newTypist(t, n)
	for _, st := range s.steps {
		got, want := r.answer(t, st), st.want
		if ours && st.ownWay != "" && !(n.prog == kubo && got.String() == want.String()) {
			want = st.own // Kubo's client may put an answer of ipns into its own words
			if n.prog == kubo {
				want.failed = withoutNextStep(want.failed, got.failed)
			}
		}
		if got.String() != want.String() {
			t.Errorf("line %d: %s %s\ngot:\n%swant:\n%s", st.line, n.prog, st.args, got, want)
		}
	}
}

// withoutNextStep returns an error as an ipns daemon sends it: what to do next is
// added by the command line of ipns, which Kubo's client is not. got is that error
// if it is the same one.
//
// A command that there is not is one that Kubo's client has, and does not find.
func withoutNextStep(told, got string) string {
	const unknown, notFound = "Error: unknown command ", "Error: Command not found."
	if strings.HasPrefix(told, unknown) && got == notFound {
		return got
	}
	next, ok := strings.CutPrefix(told, got)
	if ok && got != "" && (strings.HasPrefix(next, "; ") || strings.HasPrefix(next, " (")) {
		return got
	}
	return told
}

// A typist types the commands of a transcript into one node.
type typist struct {
	node *node
	vars *strings.Replacer // from variables to their values
	hide *strings.Replacer // and back
}

func newTypist(t *testing.T, n *node) *typist {
	t.Helper()
	n.dir = writeTree(t, map[string]string{
		"hello.txt":        "hello\n",
		"empty.txt":        "",
		"site/index.html":  "<p>a front page\n",
		"site/.hidden":     "not added without -H\n",
		"site/css/one.css": "p {}\n",
		"void/":            "",
	})
	vars := []string{"{repo}", n.repo, "{dir}", n.dir}
	for _, f := range []string{"ed25519.key", "v1v2.ipns-record", "v2.ipns-record"} {
		b, err := os.ReadFile(filepath.Join("testdata", f))
		mustDo(t, err)
		mustDo(t, os.WriteFile(filepath.Join(n.dir, f), b, 0o600))
		vars = append(vars, "{"+f+"}", string(b))
	}
	self, _, _ := strings.Cut(n.line("key", "list", "-l"), " ")
	self32, _, _ := strings.Cut(n.line("key", "list", "-l", "--ipns-base=base32"), " ")
	peer := n.peerID()
	return &typist{
		node: n,
		vars: strings.NewReplacer(append(vars, "{self}", self, "{peer}", peer)...),
		hide: strings.NewReplacer(self, "{self}", self32, "{self32}", peer, "{peer}", n.repo, "{repo}", n.dir, "{dir}",
			"'ipfs ", "'{prog} ", "`ipfs ", "`{prog} ", "'ipns ", "'{prog} ", "`ipns ", "`{prog} "),
	}
}

func (r *typist) answer(t *testing.T, st *step) answer {
	t.Helper()
	var in io.Reader
	if st.stdin != "" {
		b, err := os.ReadFile(filepath.Join(r.node.dir, st.stdin))
		mustDo(t, err)
		in = bytes.NewReader(b)
	}
	res := r.node.try(in, strings.Fields(r.vars.Replace(st.args))...)
	a := answer{code: res.code}
	if out := strings.TrimSuffix(r.hide.Replace(res.stdout), "\n"); out != "" {
		a.stdout = strings.Split(out, "\n")
	}
	for l := range strings.Lines(r.hide.Replace(res.stderr)) {
		if strings.HasPrefix(l, "Error: ") {
			a.failed = strings.TrimSuffix(l, "\n")
			break
		}
	}
	return a
}
