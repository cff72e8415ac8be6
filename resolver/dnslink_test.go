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
)

func TestParseLinks(t *testing.T) { // D-4 to D-9, D-12
	many := make([]string, MaxTXT+1)
	for _, tc := range []struct {
		txt  []string
		want string
		err  error
	}{
		{[]string{"dnslink=/ipfs/bafkqaaa"}, "/ipfs/bafkqaaa", nil},
		{[]string{"v=spf1 -all", "dnslink=/ipns/example.com/a/", "other"}, "/ipns/example.com/a/", nil},
		{[]string{"dnslink=bafkqaaa"}, "/ipfs/bafkqaaa", nil},
		{[]string{"bafkqaaa"}, "/ipfs/bafkqaaa", nil},
		{[]string{"/ipfs/bafkqaaa/x"}, "/ipfs/bafkqaaa/x", nil},
		{[]string{"dnslink=/ipld/bafkqaaa"}, "/ipld/bafkqaaa", nil},
		{[]string{"dnslink=/ipfs/bafkqaaa", "dnslink=/ipfs/bafkqaaa"}, "/ipfs/bafkqaaa", nil},
		{[]string{"dnslink=/ipfs/bafkqaaa", "dnslink=/ipns/example.com"}, "", errTwoLinks},
		{[]string{"dnslink=/dnslink/example.com"}, "", ErrNotFound},
		{[]string{"dnslink=ipfs://bafkqaaa"}, "", ErrNotFound}, // N-27
		{[]string{"DNSLINK=/ipfs/bafkqaaa"}, "", ErrNotFound},
		{[]string{" dnslink=/ipfs/bafkqaaa"}, "", ErrNotFound},
		{[]string{"dnslink= /ipfs/bafkqaaa"}, "", ErrNotFound},
		{[]string{"dnslink=/ipfs/notacid"}, "", ErrNotFound},
		{[]string{"dnslink=/ipns/"}, "", ErrNotFound},
		{[]string{"dnslink=/ipfs/bafkqaaa/\n"}, "", ErrNotFound},
		{[]string{"dnslink=/ipfs/bafkqaaa/ü"}, "", ErrNotFound},
		{[]string{"dnslink=/ipfs/bafkqaaa/\xff"}, "", ErrNotFound},
		{[]string{"dnslink="}, "", ErrNotFound},
		{nil, "", ErrNotFound},
	} {
		got, err := ParseLinks(tc.txt)
		if got != tc.want || !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
			t.Errorf("%q: %q, %v; want %q, %v", tc.txt, got, err, tc.want, tc.err)
		}
	}
	if _, err := ParseLinks(many); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("%d records: %v", len(many), err)
	}
}

func TestLinkIsAskedForOnce(t *testing.T) { // D-2, D-3
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var asked []string
		f.LookupTXT = func(_ context.Context, domain string) ([]string, time.Duration, error) {
			asked = append(asked, domain)
			time.Sleep(delay)
			return []string{"dnslink=" + pathA}, time.Minute, nil
		}
		const askers = 100
		done := make(chan string, askers)
		for i := range askers {
			go func() {
				domain := []string{"example.com", "Example.com", "EXAMPLE.COM."}[i%3]
				res, err := f.Resolve(t.Context(), domain, Options{})
				done <- fmt.Sprint(res.Path, err)
			}()
		}
		for range askers {
			if got := <-done; got != pathA+"<nil>" {
				t.Fatal(got)
			}
		}
		f.resolve("_dnslink.example.com", Options{})
		if got := strings.Join(asked, " "); got != "_dnslink.example.com. _dnslink.example.com." {
			t.Errorf("asked for %s", got)
		}
	})
}

func TestLinkTTL(t *testing.T) { // D-13
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		value, ttl, lookups := pathA, time.Minute, 0
		f.LookupTXT = func(context.Context, string) ([]string, time.Duration, error) {
			lookups++
			return []string{"dnslink=" + value}, ttl, nil
		}
		first := f.resolve("example.com", Options{})
		time.Sleep(40 * time.Second)
		value = pathB
		res := f.resolve("example.com", Options{})
		if res.Path != pathA || res.TTL != 20*time.Second || !res.Hops[0].Cached || !res.LastModified.Equal(first.LastModified) {
			t.Errorf("within the TTL: %+v", res)
		}
		if res = f.resolve("example.com", Options{NoCache: true}); res.Path != pathB || res.TTL != time.Minute {
			t.Errorf("without the cache: %+v", res)
		}
		time.Sleep(time.Minute)
		if again := f.resolve("example.com", Options{}); !again.LastModified.Equal(res.LastModified) {
			t.Errorf("the value has not changed since %v: %+v", res.LastModified, again)
		}
		if lookups != 3 {
			t.Errorf("%d lookups, want 3", lookups)
		}
		// A value with an unknown TTL is not cached.
		ttl, lookups = 0, 0
		for range 3 {
			if res = f.resolve("other.test", Options{}); res.TTL != 0 || res.Hops[0].Cached {
				t.Errorf("%+v", res)
			}
		}
		if lookups != 3 {
			t.Errorf("%d lookups, want 3", lookups)
		}
		f.fails("third.test", Options{Offline: true}, errOffline)
	})
}

func TestLinkErrors(t *testing.T) { // D-8, D-9
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		lookups := 0
		f.LookupTXT = func(ctx context.Context, domain string) ([]string, time.Duration, error) {
			lookups++
			switch domain {
			case "_dnslink.two.test.":
				return []string{"dnslink=" + pathA, "dnslink=" + pathB}, time.Minute, nil
			case "_dnslink.broken.test.":
				return nil, 0, &net.DNSError{Err: "server misbehaving", Name: domain, IsTemporary: true}
			case "_dnslink.silent.test.":
				<-ctx.Done()
				return nil, 0, ctx.Err()
			}
			return nil, 0, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
		}
		err := f.fails("none.test", Options{}, ErrNotFound)
		if want := `DNSLink lookup for "none.test." failed: could not resolve name: DNSLink lookup could not find a TXT record (https://docs.ipfs.tech/concepts/dnslink/)`; err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
		err = f.fails("two.test", Options{}, errTwoLinks)
		if want := `DNSLink lookup for "two.test." failed: could not resolve name: DNSLink lookup returned more than one IPFS content path; ask domain owner to remove duplicate TXT records`; err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
		err = f.fails("broken.test", Options{}, nil)
		if errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "server misbehaving") {
			t.Error(err)
		}
		start := time.Now()
		f.fails("silent.test", Options{}, context.DeadlineExceeded)
		if took := time.Since(start); took != dnsTimeout {
			t.Errorf("gave up after %v", took)
		}
		start = time.Now()
		f.fails("silent.test", Options{NoCache: true, Timeout: time.Second}, context.DeadlineExceeded)
		if took := time.Since(start); took != time.Second {
			t.Errorf("gave up after %v", took)
		}
		settle()
		// Failures are cached too, for a shorter or longer time.
		lookups = 0
		for range 3 {
			f.fails("none.test", Options{}, ErrNotFound)
			f.fails("broken.test", Options{}, nil)
		}
		if lookups != 1 {
			t.Errorf("%d lookups, want 1", lookups)
		}
	})
}
