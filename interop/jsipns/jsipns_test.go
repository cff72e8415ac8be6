package jsipns

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/goipns/ipns/interop/js"
)

// line is what bench/record/emit and make.mjs write.
type line struct {
	Case, Error, Value, Sequence, TTL string
	Mutant                            bool
	RoutingKey, Raw                   []byte
}

// node runs a script of interop/js.
func node(t *testing.T, script string, in []byte) []byte {
	t.Helper()
	packages := js.Need(t, "../js")
	return run(t, packages.Dir, in, packages.Node, script)
}

// ours runs our side, which is a program of the main module.
func ours(t *testing.T, in []byte, arg string) []byte {
	t.Helper()
	return run(t, "../..", in, "go", "run", "./bench/record/emit", arg)
}

func run(t *testing.T, dir string, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return out
}

func lines(t *testing.T, b []byte) []line {
	t.Helper()
	var all []line
	dec := json.NewDecoder(bytes.NewReader(b))
	for dec.More() {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// A reason why one side refuses what the other accepts: words of the error or of
// the case, and why.
type reason struct{ words, why string }

func explain(list []reason, text string) string {
	for _, r := range list {
		if strings.Contains(text, r.words) {
			return r.why
		}
	}
	return ""
}

// jsRefusesOurs are the records of ours that js-ipns does not accept.
var jsRefusesOurs = []reason{
	{"ecdsa", "js-ipns does not verify ECDSA; the key type is optional"},
	{"structured", "js-ipns knows no links in the fields that it ignores"},
	{"zero", "js-ipns has no empty value; boxo and we read it as an empty block"},
}

// jsRefuses are its reasons on mutants, by words of its error.
var jsRefuses = []reason{
	{"Unsupported key type", "an empty pubKey counts as absent for boxo and us"},
	{`"validityType" did not match`, "an absent copy counts as zero for boxo and us"},
	{"tag not supported (42)", "js-ipns knows no links in the fields that it ignores"},
	{"Value must be a valid content path", "whether a value can be followed does not make a record valid"},
}

// weRefuse are our reasons on mutants, by words of our error.
var weRefuse = []reason{
	{"is repeated", "readers choose different ones of two fields or entries"},
	{"invalid validity", "js-ipns takes nearly any text as a time"},
	{"group or reserved", "groups have no use and nest without end"},
	{"field number out of range", "protobuf has no field 0"},
	{"more than 32 fields", "the limit of a record"},
	{"did not match between", "js-ipns compares the copies only where both value and signatureV1 are there; the specification says one is enough"},
	{"indefinite length", "DAG-CBOR has definite lengths"},
	{"shortest form", "DAG-CBOR has the shortest form"},
	{"is missing", "a record must have its five entries"},
	{"want an unsigned integer", "js-ipns does not look at the types of numbers"},
	{"want bytes", "js-ipns takes text where bytes belong"},
	{"64-bit floats are allowed", "DAG-CBOR has no short floats, no undefined and no other simple values"},
	{"NaN and infinities", "DAG-CBOR has none"},
	{"text is not UTF-8", "text is UTF-8"},
}

// What Sign makes, js-ipns accepts, and reads the same from it.
func TestJSAcceptsOurs(t *testing.T) {
	made, verdicts := judged(t, "0")
	for i, l := range made {
		v := verdicts[i]
		if l.Error != "" {
			t.Errorf("%s: we refuse our own: %s", l.Case, l.Error)
		}
		if v.Error != "" {
			if explain(jsRefusesOurs, l.Case) == "" {
				t.Errorf("%s: %s", l.Case, v.Error)
			}
			continue
		}
		if why := explain(jsRefusesOurs, l.Case); why != "" {
			t.Errorf("%s: accepted, though %s", l.Case, why)
		}
		if v.Value != l.Value || v.Sequence != l.Sequence || v.TTL != l.TTL {
			t.Errorf("%s: js-ipns reads %+v, we wrote %q %s %s", l.Case, v, l.Value, l.Sequence, l.TTL)
		}
	}
}

// judged makes records and has them judged.
func judged(t *testing.T, mutants string) (made, verdicts []line) {
	t.Helper()
	out := ours(t, nil, mutants)
	made, verdicts = lines(t, out), lines(t, node(t, "judge.mjs", out))
	if len(made) != len(verdicts) || len(made) < 80 {
		t.Fatalf("%d records, %d verdicts", len(made), len(verdicts))
	}
	return made, verdicts
}

// What js-ipns makes we accept, and read the same from it.
func TestWeAcceptJS(t *testing.T) {
	out := node(t, "make.mjs", nil)
	made, verdicts := lines(t, out), lines(t, ours(t, out, "judge"))
	if len(made) != len(verdicts) || len(made) < 30 {
		t.Fatalf("%d records, %d verdicts", len(made), len(verdicts))
	}
	for i, l := range made {
		v := verdicts[i]
		if v.Error != "" || v.Value != l.Value || v.Sequence != l.Sequence || v.TTL != l.TTL {
			t.Errorf("%s: we say %q %s %s, %s; it wrote %q %s %s", l.Case, v.Value, v.Sequence, v.TTL, v.Error, l.Value, l.Sequence, l.TTL)
		}
	}
}

// On mutants every difference has a reason.
func TestJSDifferences(t *testing.T) {
	made, verdicts := judged(t, "4000")
	both, neither, met := 0, 0, map[string]int{}
	for i, l := range made {
		v, why := verdicts[i], ""
		switch {
		case !l.Mutant:
			continue
		case l.Error == "" && v.Error == "":
			both++
			continue
		case l.Error != "" && v.Error != "":
			neither++
			continue
		case l.Error != "":
			if why = explain(weRefuse, l.Error); why == "" {
				t.Errorf("%s: js-ipns accepts, we say %s", l.Case, l.Error)
			}
		default:
			if why = explain(jsRefuses, v.Error); why == "" {
				t.Errorf("%s: we accept, js-ipns says %s", l.Case, v.Error)
			}
		}
		met[why]++
	}
	t.Logf("both accept %d, both refuse %d", both, neither)
	for why, count := range met {
		t.Logf("%6d differ: %s", count, why)
	}
	if both < 500 || neither < 500 || len(met) != len(weRefuse)+len(jsRefuses) {
		t.Errorf("the mutants are too much alike: %d, %d, %d", both, neither, len(met))
	}
}
