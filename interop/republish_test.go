package interop

import (
	"flag"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"
)

var (
	besideRepublish = flag.Bool("beside.republish", false, "measure republishing beside Kubo: some eight minutes")
	besideOurs      = flag.Int("beside.ours", 5000, "names that ipns republishes each minute in that measurement")
	besideKubos     = flag.Int("beside.kubos", 200, "names that Kubo does")
)

// TestRepublishBesideKubo lets a Kubo daemon and ours, one after the other, keep
// names alive on one network of 50 servers, each name once a minute, and prints how
// much processor of the daemon a name costs.
func TestRepublishBesideKubo(t *testing.T) {
	if !*besideRepublish {
		t.Skip("measures for some eight minutes: run with -beside.republish")
	}
	_, addr := startTestnet(t, 50)
	const minutes = 2
	theirs := republishing{kubo, *besideKubos}.measure(t, addr, minutes)
	mine := republishing{ours, *besideOurs}.measure(t, addr, minutes)
	t.Logf("each name once a minute, for %d minutes, on 50 servers: processor of the daemon, without what it takes idle\n"+
		"| | names | CPU a name |\n|---|---|---|\n| Kubo | %d | %.2f ms |\n| ours | %d | %.2f ms |\nours / Kubo: %.2f",
		minutes, *besideKubos, ms(theirs), *besideOurs, ms(mine), float64(mine)/float64(theirs))
}

// republishing is a program that keeps so many names alive.
type republishing struct {
	prog  *program
	names int
}

// measure returns the processor time that one name costs in one cycle.
func (r republishing) measure(t *testing.T, addr string, minutes int) time.Duration {
	idle := r.client(t, addr, "24h")
	before := idle.cpu()
	time.Sleep(30 * time.Second)
	resting := (idle.cpu() - before) * 2 // in a minute
	idle.stop()

	c := r.client(t, addr, "1m")
	first := c.newKey(t, "first")
	publishBy(t, c, "first")
	keys := make(chan string)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for key := range keys {
				c.newKey(t, key)
				publishBy(t, c, key)
			}
		})
	}
	for i := range r.names - 1 {
		keys <- fmt.Sprintf("name-%d", i)
	}
	close(keys)
	writers.Wait()
	time.Sleep(90 * time.Second) // the first turn has begun, whatever it waited for
	done, cpu := r.done(c, first), c.cpu()
	time.Sleep(time.Duration(minutes) * time.Minute)
	spent := c.cpu() - cpu - time.Duration(minutes)*resting
	puts := r.done(c, first) - done
	if puts < minutes*r.names/2 {
		t.Fatalf("%s: %d names put in %d minutes, want %d in each", c.name, puts, minutes, r.names)
	}
	c.stop()
	return spent / time.Duration(puts)
}

func publishBy(t *testing.T, c *client, key string) {
	t.Helper()
	var got published
	c.call(t, &got, "name/publish", url.Values{"arg": {"/ipfs/bafkqaaa/" + key}, "key": {key}, "resolve": {"false"}})
}

// done returns how many names have been put so far, from some moment on. Kubo does
// not tell, but signs each name anew in each turn: by how much that has moved the
// end of the first one's life says how many turns there were.
func (r republishing) done(c *client, first string) int {
	c.t.Helper()
	if r.prog == ours {
		var s struct{ Puts int }
		c.call(c.t, &s, "republish/status", nil)
		return s.Puts
	}
	eol := inspect(c.node, first, c.run("name", "get", first)).Entry.Validity
	return int(eol.Unix()/60) * r.names
}

// client starts a daemon that republishes that often.
func (r republishing) client(t *testing.T, addr, period string) *client {
	t.Helper()
	return newClient(t, r.prog, addr, "Ipns.RepublishPeriod", period)
}
