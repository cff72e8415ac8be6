package request_test

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/request"
)

//
func TestDecode(t *testing.T) {
	q, err := url.ParseQuery("arg=/ipfs/x&k=blog&ttl=1m30s&t=2d&resolve=false&allow-offline=&sequence=7&bogus=1")
	if err != nil {
		t.Fatal(err)
	}
	var got api.PublishRequest
	if err := request.Decode(q, &got); err != nil {
		t.Fatal(err)
	}
	ttl, lifetime, sequence := 90*time.Second, 48*time.Hour, uint64(7)
	want := api.PublishRequest{
		Path: "/ipfs/x", Key: "blog", TTL: &ttl, Lifetime: &lifetime, Sequence: &sequence,
		AllowOffline: true, IPNSBase: "base36",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		query, err string
		isOption   bool
	}{
		{"", `argument "ipfs-path" is required`, true},
		{"arg=x&resolve=maybe", `could not convert value "maybe" to type "bool" (for option "-resolve")`, true},
		{"arg=x&sequence=-1", `could not convert value "-1" to type "uint64" (for option "-sequence")`, true},
		{"arg=x&lifetime=1x", `error parsing lifetime option: time: unknown unit "x" in duration "1x"`, false},
	} {
		q, _ := url.ParseQuery(c.query)
		err := request.Decode(q, new(api.PublishRequest))
		if err == nil || err.Error() != c.err {
			t.Errorf("%s: %v, want %s", c.query, err, c.err)
		}
		var bad *request.Error
		if isOption := errors.As(err, &bad) && bad.Plain; isOption != c.isOption {
			t.Errorf("%s: an option error: %v, want %v", c.query, isOption, c.isOption)
		}
	}
}

// Every name of an option leads to the same field, and no two fields share one.
func TestOptionNames(t *testing.T) {
	for _, spec := range api.All {
		path, req := spec.Describe().Path, spec.New()
		seen := map[string]bool{}
		for _, o := range request.Options(req) {
			for _, name := range append([]string{o.Name}, o.Aliases...) {
				if seen[name] && !o.Arg {
					t.Errorf("%s: two options are called %q", path, name)
				}
				seen[name] = true
			}
			if !o.Arg && o.Help == "" {
				t.Errorf("%s: option %q has no help", path, o.Name)
			}
			if strings.Contains(o.Name, " ") && !o.Arg {
				t.Errorf("%s: option %q", path, o.Name)
			}
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "2d": 48 * time.Hour, "1w": 168 * time.Hour,
		"1w1d1h": 193 * time.Hour, "7d2h45m": 170*time.Hour + 45*time.Minute, "-1s": -time.Second,
	} {
		if got, err := request.ParseDuration(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "1", "1d2w", "-1d", "9999999d", "1x"} {
		if got, err := request.ParseDuration(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// What the client writes, the handler reads.
func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~]{1,20}`)
		u := rapid.Ptr(rapid.Uint64(), true)
		d := rapid.Map(rapid.Int64Range(0, 1<<50), func(n int64) time.Duration { return time.Duration(n) })
		want := api.PublishRequest{
			Path: text.Draw(t, "path"), Key: text.Draw(t, "key"), Resolve: rapid.Bool().Draw(t, "resolve"),
			Lifetime: rapid.Ptr(d, true).Draw(t, "lifetime"), TTL: rapid.Ptr(d, true).Draw(t, "ttl"),
			Quieter: rapid.Bool().Draw(t, "quieter"), V1Compat: rapid.Ptr(rapid.Bool(), true).Draw(t, "v1compat"),
			Sequence: u.Draw(t, "sequence"), IfSequence: u.Draw(t, "if-sequence"),
			Wait: text.Draw(t, "wait"), IPNSBase: text.Draw(t, "base"),
		}
		var got api.PublishRequest
		if err := request.Decode(request.Encode(&want), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}
