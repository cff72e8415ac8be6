package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
)

var (
	sharedNames = flag.Int("shared-names", 600, "how many names are put while a daemon is stopped, cut off or killed")
	takeOvers   = flag.Int("take-overs", 1, "how often a daemon is killed while the others are to take over")
)

const (
	ownNames     = 6                      // that are renewed meanwhile
	leaseServers = 21                     // one more than should hold a record
	longDelay    = 150 * time.Millisecond // of each answer, so that a sweep lasts longer than a lease
	shortDelay   = 5 * time.Millisecond
	resumedFor   = 5 * time.Second  // until the next trouble, so that it is seen what it does
	stoppedFor   = 20 * time.Second // longer than a lease
	visitGrace   = 2 * time.Second  // from the begin of a visit until its first put is seen, on a busy machine
	putWithin    = 5 * time.Minute  // within which all names must be put
	takeOverMost = 30 * time.Second // from the death of a holder
)

// A daemon that was stopped in the middle of a sweep, or cut off from the database, begins no
// visit and swaps nothing after the end of its lease: only what was on its way arrives. The
// others put the names. When daemons are killed, others take over within half a minute, and
// nothing is put twice as often as it should. R3.
func TestWhatHasNoLeasePutsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes: daemons are stopped for longer than their leases")
	}
	t.Parallel() // it mostly waits
	c := newCluster(t, clusterDaemons, leaseServers)
	c.watchLeases(t)
	visits := &visitLog{begun: map[visitKey]*visit{}, copies: map[ipns.Name]int{}}
	c.net.Hear(visits.hear)
	slow := func(d time.Duration) {
		for i := range leaseServers {
			c.net.Server(i).Slow(d)
		}
	}
	slow(longDelay)
	var renewed []ipns.Name
	// begin starts all daemons when there is much to put, and returns one that puts.
	begin := func(what string) (*member, []ipns.Name, time.Time) {
		own := c.share(t, c.labels(what)...)
		for _, m := range c.members {
			m.halt()
		}
		names := c.load(t, *sharedNames)
		renewed = append(renewed, c.loadOwn(t, own)...)
		for _, m := range c.members {
			m.start()
		}
		return c.awaitSweep(t, visits), names, time.Now()
	}
	stopped, names, at := begin("stopped")
	stopped.stop()
	cut := c.awaitSweep(t, visits, stopped)
	cut.way.set(way{noRequests: true, noAnswers: true})
	time.Sleep(stoppedFor)
	stopped.resume()
	time.Sleep(resumedFor)
	cut.way.set(way{})
	slow(shortDelay)
	c.awaitPut(t, names, visits)
	c.checkVisits(t, visits, stopped, at, "stopped")
	c.checkVisits(t, visits, cut, at, "cut off")
	var took []time.Duration
	for i := range *takeOvers {
		what := fmt.Sprintf("killed %d", i)
		m, names, at := begin(what)
		m.kill()
		took = append(took, c.awaitTakeOver(t, m, at)...)
		m.start()
		c.awaitPut(t, names, visits)
		c.checkVisits(t, visits, m, at, what)
	}
	slices.Sort(took)
	t.Logf("%d sectors taken over from %d daemons that were killed: median %v, longest %v", len(took), *takeOvers, took[len(took)/2], took[len(took)-1])
	if longest := took[len(took)-1]; longest > takeOverMost {
		t.Errorf("a take-over took %v", longest)
	}
	visits.check(t)
	c.checkSwaps(t, renewed)
}

// watchLeases has the database note each change of a lease and of an entry, and by whom.
func (c *cluster) watchLeases(t *testing.T) {
	t.Helper()
	c.exec(t, `
		create table leases_seen (prefix bytea, who text, epoch int8, at timestamptz default clock_timestamp(), until timestamptz);
		create table swaps_seen (k bytea, who text, at timestamptz default clock_timestamp());
		create function see_lease() returns trigger language plpgsql as $$ begin
			insert into leases_seen (prefix, who, epoch, until) values (new.prefix, session_user, new.epoch, new.until); return null; end $$;
		create function see_swap() returns trigger language plpgsql as $$ begin
			insert into swaps_seen (k, who) values (new.k, session_user); return null; end $$;
		create trigger see after insert or update on ipns.leases for each row execute function see_lease();
		create trigger see after update on ipns.names for each row execute function see_swap()`)
}

// load stores records that were never put, of new names, and returns the names.
func (c *cluster) load(t *testing.T, n int) []ipns.Name {
	t.Helper()
	s, err := postgres.Open(t.Context(), c.url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	book := &names.Book{Store: s}
	list := make([]ipns.Name, n)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			key, err := ipns.GenerateKey(ipns.Ed25519, 0)
			if err != nil {
				return err
			}
			rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), ipns.Fields{
				Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: time.Now().Add(48 * time.Hour),
			}, ipns.V2Only)
			if err != nil {
				return err
			}
			list[i] = rec.Name()
			_, err = book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return list
}

// labels returns labels for the keys of one part of the test.
func (c *cluster) labels(part string) (list []string) {
	for i := range ownNames {
		list = append(list, fmt.Sprintf("%s-%d", strings.ReplaceAll(part, " ", "-"), i))
	}
	return list
}

// loadOwn stores records that must be renewed, of names whose keys all daemons have. Less than half
// of their lifetime is left, so that the holder of the sector renews them before it puts them, but
// not so little that it puts them before, or that others renew them in its place, with no lease.
func (c *cluster) loadOwn(t *testing.T, own []string) (list []ipns.Name) {
	t.Helper()
	s, err := postgres.Open(t.Context(), c.url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	then := func() time.Time { return time.Now().Add(-ipns.DefaultLifetime * 9 / 16) }
	pub := &publisher.Publisher{Book: &names.Book{Store: s, Now: then}, Now: then}
	for label, key := range c.keys {
		if !slices.Contains(own, key.name) {
			continue
		}
		res, err := pub.Publish(t.Context(), key.signer, publisher.Request{Value: "/ipfs/bafkqaaa/" + label, Wait: publisher.WaitStored})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, res.Record.Name())
	}
	return list
}

// awaitSweep waits until a daemon sweeps that is none of some, and returns it.
func (c *cluster) awaitSweep(t *testing.T, l *visitLog, but ...*member) *member {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < putWithin {
		for _, m := range c.members {
			if !slices.Contains(but, m) && l.since(m.peer, begin) > leaseServers {
				return m
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("nobody puts names:\n%s", c.members[0].life.Load().log.String())
	return nil
}

// awaitPut waits until the put of each name is noted.
func (c *cluster) awaitPut(t *testing.T, list []ipns.Name, l *visitLog) {
	t.Helper()
	s, err := postgres.Open(t.Context(), c.url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	missing := slices.Clone(list)
	for begin := time.Now(); len(missing) > 0; time.Sleep(200 * time.Millisecond) {
		missing = slices.DeleteFunc(missing, func(name ipns.Name) bool {
			u, err := s.Upkeep(t.Context(), name)
			return err == nil && !u.LastPut.IsZero()
		})
		if time.Since(begin) > putWithin {
			t.Fatalf("the put of %d of %d names is not noted; %d came to servers", len(missing), len(list), l.count(list))
		}
	}
}

// leaseSeen is a lease as the database had it for some time.
type leaseSeen struct {
	sector    int
	who       string
	epoch     int64
	at, until time.Time
}

func (c *cluster) leases(t *testing.T) (list []leaseSeen) {
	t.Helper()
	c.query(t, `select get_byte(prefix, 0) >> 2, who, epoch, at, case when until = '-infinity' then at else until end from leases_seen order by at`, func(row pgx.CollectableRow) error {
		var l leaseSeen
		err := row.Scan(&l.sector, &l.who, &l.epoch, &l.at, &l.until)
		list = append(list, l)
		return err
	})
	return list
}

func (c *cluster) query(t *testing.T, q string, f func(pgx.CollectableRow) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), q)
	if err == nil {
		_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, f(row) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitTakeOver waits until others have all sectors of a daemon, and returns how long each took.
func (c *cluster) awaitTakeOver(t *testing.T, m *member, died time.Time) (took []time.Duration) {
	t.Helper()
	for ; ; time.Sleep(200 * time.Millisecond) {
		held := map[int]bool{} // by the dead one, until another takes it
		took = nil
		for _, l := range c.leases(t) {
			switch {
			case l.who == m.user && l.until.After(l.at):
				held[l.sector] = true
			case held[l.sector] && l.at.After(died):
				took = append(took, l.at.Sub(died).Round(time.Millisecond))
				fallthrough
			default:
				delete(held, l.sector)
			}
		}
		if len(held) == 0 && len(took) > 0 {
			return took
		}
		if time.Since(died) > putWithin {
			t.Fatalf("nobody has taken %d sectors", len(held))
		}
	}
}

// checkVisits looks whether each visit that a daemon has begun since was within a lease.
func (c *cluster) checkVisits(t *testing.T, l *visitLog, m *member, begin time.Time, what string) {
	t.Helper()
	leases := c.leases(t)
	inLease := func(sector int, at time.Time) bool {
		return slices.ContainsFunc(leases, func(s leaseSeen) bool {
			return s.who == m.user && s.sector == sector && !at.Before(s.at) && at.Before(s.until.Add(visitGrace))
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	late, begun, onTheWay := 0, 0, 0
	for key, v := range l.begun {
		if key.from != m.peer || !v.last.After(begin) {
			continue
		}
		switch {
		case v.first.Before(begin) && !inLease(key.sector, v.last):
			onTheWay++ // what was on its way
		case !inLease(key.sector, v.first):
			late++
			t.Errorf("%s: a visit of sector %d began %v after that, with no lease", what, key.sector, v.first.Sub(begin).Round(time.Millisecond))
		default:
			begun++
		}
	}
	t.Logf("%s: since then %d visits within a lease, %d that had begun before, %d with no lease", what, begun, onTheWay, late)
}

// swapSeen is a swap that a daemon made of a name that was there.
type swapSeen struct {
	k   []byte
	who string
	at  time.Time
}

func (c *cluster) swaps(t *testing.T) (list []swapSeen) {
	t.Helper()
	c.query(t, `select k, who, at from swaps_seen where who like 'daemon%'`, func(row pgx.CollectableRow) error {
		var s swapSeen
		err := row.Scan(&s.k, &s.who, &s.at)
		list = append(list, s)
		return err
	})
	return list
}

// checkSwaps waits until names are renewed, each by one swap, by whoever had the lease of its
// sector. Nobody publishes, so that daemons make no other swaps.
func (c *cluster) checkSwaps(t *testing.T, renewed []ipns.Name) {
	t.Helper()
	times := map[string]int{}
	for begin := time.Now(); len(times) < len(renewed); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > putWithin {
			t.Fatalf("%d of %d names are renewed", len(times), len(renewed))
		}
		clear(times)
		for _, s := range c.swaps(t) {
			times[string(s.k)]++
		}
	}
	for _, name := range renewed {
		if kad := name.Kad(); times[string(kad[:])] != 1 {
			t.Errorf("%s was renewed %d times", name, times[string(kad[:])])
		}
	}
	leases := c.leases(t)
	for _, s := range c.swaps(t) {
		if !slices.ContainsFunc(leases, func(l leaseSeen) bool {
			return l.who == s.who && l.sector == int(s.k[0]>>2) && !s.at.Before(l.at) && s.at.Before(l.until)
		}) {
			t.Errorf("%s swapped in sector %d at %v with no lease", s.who, s.k[0]>>2, s.at)
		}
	}
	t.Logf("%d names were renewed once each, with a lease", len(renewed))
}
