package api

import (
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/request"
	"github.com/goipns/ipns/rpc"
)

// hostile are values that a terminal would obey, or that forge lines which
// scripts read.
var hostile = []string{
	"a\nFORGED", "a\r\nFORGED", "a\x1b[31m", "\x1b]0;title\x07", "a\x9b31m", "a\u009b31m", "a\u202egpj.exe",
	"\u2028FORGED", "a\tFORGED", "\x00\x7f\b", "\u2066a\u2069\u200f",
}

// fill sets every text in v to s, and every list, map and pointer to one element.
func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), s)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), s)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, s)
		fill(value, s)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(s))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && (f.Kind() != reflect.Slice || f.Type().Elem() != v.Type()) { // a tree ends
				fill(v.Field(i), s)
			}
		}
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Uint:
		if v.CanInt() {
			v.SetInt(1)
		} else {
			v.SetUint(1)
		}
	}
}

// No command prints what a value would make a terminal or a script do, whatever
// options it has.
func TestNoTextObeysItsValues(t *testing.T) {
	texts := 0
	for _, spec := range All {
		if spec.Response() == reflect.TypeFor[rpc.Stream]() || spec.Describe().Path == RoutingGet.Path {
			continue // bytes as they are
		}
		for _, s := range hostile {
			for _, on := range []bool{false, true} {
				req, resp := spec.New(), reflect.New(spec.Response())
				for _, o := range request.Options(req) {
					if on && o.IsBool() && !strings.HasPrefix(o.Name, "quiet") && o.Name != "silent" {
						if err := o.Set("true"); err != nil {
							t.Fatal(err)
						}
					}
				}
				fill(resp.Elem(), s)
				text, err := spec.Print(req, resp.Elem().Interface())
				if err != nil {
					continue // refused is as well
				}
				texts++
				for line := range strings.Lines(text) {
					line = strings.TrimSuffix(line, "\n")
					if !display.IsPlain(strings.ReplaceAll(line, "\t", "")) || strings.HasPrefix(strings.TrimSpace(line), "FORGED") {
						t.Errorf("%s of %q prints %q", spec.Describe().Path, s, text)
					}
				}
			}
		}
	}
	if texts < 400 {
		t.Errorf("only %d texts", texts)
	}
}

// A script that reads where a name leads gets that or an error, never something
// like it.
func TestResolveRefusesToPrintWhatIsNotPlain(t *testing.T) {
	for _, s := range hostile {
		if text, err := NameResolve.Print(new(ResolveRequest), Resolved{Path: "/ipfs/x/" + s}); err == nil || text != "" {
			t.Errorf("%q: %q, %v", s, text, err)
		}
	}
	if text, err := NameResolve.Print(new(ResolveRequest), Resolved{Path: "/ipfs/x/ü 日本"}); err != nil || text != "/ipfs/x/ü 日本\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRawValuesAreExact(t *testing.T) {
	raw := "\x00\x9b\n\xff"
	text, err := RoutingGet.Print(new(RoutingGetRequest), QueryEvent{Extra: base64.StdEncoding.EncodeToString([]byte(raw))})
	if err != nil || text != raw {
		t.Errorf("%q, %v", text, err)
	}
}

func TestHexDumpsArePrintedAsTheyAre(t *testing.T) {
	dump := hex.Dump([]byte("\x00\x9b a record, with more than one line of bytes |\n"))
	if text, err := NameInspect.Print(new(InspectRequest), Inspected{HexDump: dump}); err != nil || !strings.HasSuffix(text, "\nHex Dump:\n"+dump) {
		t.Errorf("%s, %v", text, err)
	}
}
