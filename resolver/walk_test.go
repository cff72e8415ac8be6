package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// zone is a DNS in memory: TXT records by domain.
type zone map[string][]string

func (z zone) lookup(_ context.Context, domain string) ([]string, time.Duration, error) {
	txt, ok := z[domain]
	if !ok {
		return nil, 0, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
	}
	return txt, time.Minute, nil
}

// publish publishes a value under a new key of this node.
func (f *fixture) publish(value string) ipns.Name {
	f.t.Helper()
	rec := newName(f.t).record(1, value)
	f.take(rec, recordstore.Hosted)
	return rec.Name()
}

func TestRestOfThePathIsKeptAtEveryHop(t *testing.T) { // P-23, D-11
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		inner := f.publish(pathA + "/z")
		slash := f.publish(pathA + "/z/")
		outer := f.publish("/ipns/" + inner.String() + "/y")
		f.LookupTXT = zone{
			"_dnslink.example.com.": {"dnslink=/ipns/" + outer.String() + "/d"},
			"_dnslink.slash.test.":  {"dnslink=/ipns/example.com/"},
			"_dnslink.ipld.test.":   {"dnslink=/ipld/bafkqaalb/e"},
		}.lookup
		for path, want := range map[string]string{
			inner.String():                    pathA + "/z",
			"/ipns/" + inner.String() + "/":   pathA + "/z/",
			inner.String() + "/x":             pathA + "/z/x",
			"/ipns/" + inner.String() + "/x/": pathA + "/z/x/",
			slash.String():                    pathA + "/z/",
			slash.String() + "/":              pathA + "/z/",
			slash.String() + "/x":             pathA + "/z/x",
			outer.String() + "/x":             pathA + "/z/y/x",
			"/ipns/example.com":               pathA + "/z/y/d",
			"example.com/x/":                  pathA + "/z/y/d/x/",
			"ipns://example.com/x?y#z":        pathA + "/z/y/d/x?y#z",
			"slash.test":                      pathA + "/z/y/d/",
			"slash.test/x":                    pathA + "/z/y/d/x",
			"ipld.test/x":                     "/ipld/bafkqaalb/e/x",
			"example.com//a/./b/../c":         pathA + "/z/y/d/a/c",
		} {
			if got := f.resolve(path, Options{}); got.Path != want {
				t.Errorf("%s leads to %s, want %s", path, got.Path, want)
			}
		}
	})
}

func TestOneHop(t *testing.T) { // P-24, A-22
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		n := f.publish("/ipns/example.com/sub/")
		res := f.resolve(n.String()+"/x", Options{OneHop: true})
		if res.Path != "/ipns/example.com/sub/x" || len(res.Hops) != 1 {
			t.Errorf("%+v", res)
		}
		if res = f.resolve(n.String(), Options{OneHop: true}); res.Path != "/ipns/example.com/sub/" {
			t.Errorf("%+v", res)
		}
	})
}

func TestDepth(t *testing.T) { // P-24, P-25
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		chain := zone{}
		f.LookupTXT = chain.lookup
		// Names and domains in turn, so that both count.
		next := pathA
		var heads []string
		for i := range MaxDepth + 1 {
			if i%2 == 0 {
				next = f.publish(next).Path()
			} else {
				domain := fmt.Sprintf("d%d.test", i)
				chain["_dnslink."+domain+"."] = []string{"dnslink=" + next}
				next = "/ipns/" + domain
			}
			heads = append(heads, next)
		}
		if res := f.resolve(heads[MaxDepth-1], Options{}); res.Path != pathA || len(res.Hops) != MaxDepth {
			t.Errorf("%d hops lead to %s", len(res.Hops), res.Path)
		}
		err := f.fails(heads[MaxDepth], Options{}, ErrRecursion)
		if !strings.HasPrefix(err.Error(), "could not resolve name (recursion limit exceeded)") {
			t.Error(err)
		}
	})
}

func TestLoopsEnd(t *testing.T) { // P-25
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		self, a := newName(t), newName(t)
		b := f.publish(mustName(t, a).Path() + "/b")
		f.take(self.record(1, mustName(t, self).Path()+"/grow"), recordstore.Hosted)
		f.take(a.record(1, b.Path()+"/a"), recordstore.Hosted)
		domains := zone{
			"_dnslink.loop.test.": {"dnslink=/ipns/loop.test"},
			"_dnslink.LOOP.test.": {"dnslink=/ipns/loop.test"},
			"_dnslink.name.test.": {"dnslink=" + f.publish("/ipns/name.test.").Path()},
		}
		lookups := 0
		f.LookupTXT = func(ctx context.Context, domain string) ([]string, time.Duration, error) {
			lookups++
			return domains.lookup(ctx, domain)
		}
		start := time.Now()
		for _, path := range []string{mustName(t, self).String(), mustName(t, a).String(), b.String(), "loop.test", "Loop.Test.", "name.test"} {
			f.fails(path, Options{}, ErrRecursion)
		}
		if lookups > 4 || time.Since(start) > 0 {
			t.Errorf("%d DNS lookups in %v to see loops", lookups, time.Since(start))
		}
	})
}

func TestPathLengthIsBounded(t *testing.T) { // P-25
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		next := pathA
		for range MaxPathLength/2000 + 1 {
			next = f.publish(next + "/" + strings.Repeat("x", 2000)).Path()
		}
		f.fails(next, Options{}, ErrRecursion)
	})
}

// A value that is not a valid domain is never looked up.
func TestBadValue(t *testing.T) { // R-65, D-17
	synctest.Test(t, func(t *testing.T) {
		for _, value := range []string{"/ipns/169.254.169.254", "/ipns/[::1]", "/ipns/a b", "/ipns/localhost:8080", "https://example.com"} {
			f := newFixture(t)
			f.Static = map[string]string{"example.com": value}
			f.fails("example.com", Options{}, ipns.ErrValue)
		}
	})
}

func TestChainIsAsGoodAsItsWeakestHop(t *testing.T) { // P-31
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.LookupTXT = zone{"_dnslink.example.com.": {"dnslink=" + mustName(t, n).Path()}}.lookup
		rec := n.sign(ipns.Fields{Value: pathA, TTL: time.Second, EOL: time.Now().Add(time.Hour)})
		hold(rec, f.net.Servers...)
		res := f.resolve("example.com", Options{})
		if res.TTL != time.Second || !res.EOL().Equal(rec.EOL()) || len(res.Hops) != 2 || !res.LastModified.Equal(time.Now()) {
			t.Errorf("%+v", res)
		}
		if link := res.Hops[0]; link.Source != "dnslink" || link.TTL != time.Minute || link.Root != "example.com" {
			t.Errorf("%+v", link)
		}

		f = newFixture(t)
		rec = n.sign(ipns.Fields{Value: pathA}) // not to be cached
		hold(rec, f.net.Servers...)
		f.LookupTXT = zone{"_dnslink.example.com.": {"dnslink=" + rec.Name().Path()}}.lookup
		if res = f.resolve("example.com", Options{}); res.TTL != 0 {
			t.Errorf("a TTL of 0 in the chain: %v", res.TTL)
		}

		// An unknown TTL from DNS is ignored.
		f = newFixture(t)
		rec = n.record(2, pathA)
		hold(rec, f.net.Servers...)
		f.LookupTXT = func(context.Context, string) ([]string, time.Duration, error) {
			return []string{"dnslink=" + rec.Name().Path()}, 0, nil
		}
		if res = f.resolve("example.com", Options{}); res.TTL != 5*time.Minute {
			t.Errorf("unknown TTL of the DNSLink: %v", res.TTL)
		}
	})
}

func TestStatic(t *testing.T) { // P-33, D-19
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		n := f.publish(pathB)
		var err error
		f.Static, err = ParseStatic("Example.com:" + pathA + "/x," + n.PeerID().String() + ":/ipns/other.test,other.test:" + pathC + ",")
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"example.com/y":  pathA + "/x/y",
			n.String() + "/": pathC + "/",
			"other.test.":    pathC,
		} {
			res := f.resolve(path, Options{})
			if res.Path != want || res.TTL != 0 || res.Hops[0].Source != "static" {
				t.Errorf("%s: %+v", path, res)
			}
		}
		f.searches(0)
		for _, bad := range []string{"example.com", "example.com:ipfs/x", "a b:" + pathA, "example.com:/ipns"} {
			if got, err := ParseStatic(bad); err == nil {
				t.Errorf("%q gives %v", bad, got)
			}
		}
	})
}

// A better first hop leads elsewhere, and the stream follows.
func TestStreamFollowsEveryAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		a, c := f.publish(pathA), f.publish(pathC)
		broken := f.publish("/ipns/nowhere.test")
		f.LookupTXT = zone{}.lookup
		for i, s := range f.net.Servers[:3] {
			s.Delay = time.Duration(i+1) * 10 * time.Millisecond
		}
		hold(n.record(1, a.Path()), f.net.Servers[0])
		hold(n.record(2, broken.Path()), f.net.Servers[1])
		hold(n.record(3, c.Path()), f.net.Servers[2])
		var got []string
		for res, err := range f.Stream(t.Context(), mustName(t, n).String(), Options{Confidence: All}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(res.Path, res.Final))
		}
		// An error behind the second answer does not matter once there is a third.
		if len(got) < 2 || got[0] != pathA+"false" || got[len(got)-1] != pathC+"true" {
			t.Errorf("%q", got)
		}

		// Behind the last answer it does.
		hold(n.record(4, broken.Path()), f.net.Servers[:3]...)
		var last error
		count := 0
		for _, err := range f.Stream(t.Context(), mustName(t, n).String(), Options{NoCache: true, Confidence: All}) {
			last = err
			count++
		}
		if !errors.Is(last, ErrNotFound) {
			t.Errorf("ends with %v after %d", last, count)
		}
	})
}
