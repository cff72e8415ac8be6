package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

var (
	failoverNames = flag.Int("failover.names", 2000, "names of TestFailOverOfEachDaemonDuringASweep")
	failoverKills = flag.Int("failover.kills", 3, "kills of daemons in it")
)

// Periods that are shorter than real ones, so that a test need not last for days.
const (
	ownPeriod    = 40 * time.Minute
	hostedPeriod = 80 * time.Minute
)

// errDead is the answer of a store to a process that does not live any more.
var errDead = errors.New("this process was killed")

// shared is a Memory as one process sees it, which can be killed.
type shared struct {
	*recordstore.Memory
	dead *atomic.Bool
}

func (s shared) alive() error {
	if s.dead.Load() {
		return errDead
	}
	return nil
}

func (s shared) Get(ctx context.Context, n ipns.Name) (recordstore.Entry, error) {
	if err := s.alive(); err != nil {
		return recordstore.Entry{}, err
	}
	return s.Memory.Get(ctx, n)
}

func (s shared) Swap(ctx context.Context, e recordstore.Entry, l recordstore.Lease) (recordstore.Entry, error) {
	if err := s.alive(); err != nil {
		return recordstore.Entry{}, err
	}
	return s.Memory.Swap(ctx, e, l)
}

func (s shared) SetUpkeep(ctx context.Context, notes ...recordstore.Upkeep) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Memory.SetUpkeep(ctx, notes...)
}

func (s shared) Lease(ctx context.Context, holder string, ttl time.Duration, regions ...recordstore.Region) ([]recordstore.Lease, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.Memory.Lease(ctx, holder, ttl, regions...)
}

func (s shared) Release(ctx context.Context, leases ...recordstore.Lease) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Memory.Release(ctx, leases...)
}

func (s shared) Leases(ctx context.Context) ([]recordstore.Leased, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.Memory.Leases(ctx)
}

// put is one put of a record.
type put struct {
	at   time.Time
	hash [32]byte
}

// fleet is the network that daemons share, with all that was put and signed.
type fleet struct {
	t    *testing.T
	net  *simnet.Network
	db   *recordstore.Memory
	rows *recordstore.MemoryRows
	keys map[ipns.Name]recordstoretest.Key

	mu     sync.Mutex // guards all below
	puts   map[ipns.Name][]put
	values map[string]string // of a name and a sequence that was signed
	signed int
}

// counting is the router of one daemon, which notes what is put.
type counting struct {
	*dht.Router
	f *fleet
}

func (c counting) note(rec *ipns.Record) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.puts[rec.Name()] = append(c.f.puts[rec.Name()], put{time.Now(), rec.Hash()})
	version := fmt.Sprintf("%s %d", rec.Name(), rec.Sequence())
	if was, known := c.f.values[version]; known && was != rec.Value() {
		c.f.t.Errorf("%s has the values %s and %s", version, was, rec.Value())
	}
	c.f.values[version] = rec.Value()
}

func (c counting) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return c.count(c.Router.Put(ctx, rec, look), rec)
}

func (c counting) Sweep(ctx context.Context, region routing.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	list := slices.Collect(records)
	return c.count(c.Router.Sweep(ctx, region, slices.Values(list)), list...)
}

// Survival implements routing.Sweeper: nothing is known of it, so that periods stay as they are.
func (c counting) Survival(routing.Region) routing.Survival { return routing.Survival{} }

// count notes each record when its first target has taken it.
func (c counting) count(acks iter.Seq2[routing.Ack, error], records ...*ipns.Record) iter.Seq2[routing.Ack, error] {
	byName := make(map[ipns.Name]*ipns.Record)
	for _, rec := range records {
		byName[rec.Name()] = rec
	}
	return func(yield func(routing.Ack, error) bool) {
		for ack, err := range acks {
			if rec := byName[ack.Name]; err == nil && ack.Err == nil && rec != nil {
				c.note(rec)
				delete(byName, ack.Name)
			}
			if !yield(ack, err) {
				return
			}
		}
	}
}

func (f *fleet) signer(_ context.Context, name ipns.Name) (ipns.Signer, error) {
	k, ok := f.keys[name]
	if !ok {
		return nil, republisher.ErrElsewhere
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signed++
	return k.Signer, nil
}

// process is one daemon of the fleet: a member, its Book and its republisher.
type process struct {
	*cluster.Member
	r    *republisher.Republisher
	dead *atomic.Bool
	kill func()
	stop func()
}

func (f *fleet) start(number int) *process {
	h, err := f.net.NewHost(fmt.Sprintf("daemon%d", number))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context()))
	kad := f.join(ctx, h)
	router := dht.NewRouter(kad, dht.RouterConfig{Network: "wan"})
	p := &process{dead: new(atomic.Bool)}
	s := shared{f.db, p.dead}
	begin := time.Now()
	p.Member = cluster.New(s, f.rows, func() time.Duration { return time.Since(begin) })
	p.Daemon.Takes = true
	book := &names.Book{Store: s}
	p.r = &republisher.Republisher{
		Book: book, Router: counting{router, f}, Signers: f.signer, Leases: p.Member,
		OwnPeriod: ownPeriod, HostedPeriod: hostedPeriod,
	}
	var parts sync.WaitGroup
	parts.Go(func() { _ = book.Run(ctx) })
	parts.Go(func() { _ = p.Run(ctx) })
	parts.Go(func() { _ = p.r.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
		router.Close()
		kad.Close()
		h.Close()
	})
	p.kill = func() { p.dead.Store(true); p.stop() }
	return p
}

// working reports whether it puts something now.
func (p *process) working() bool {
	return slices.ContainsFunc(p.r.Status().Sectors, func(s republisher.Sector) bool { return s.Working })
}

// join connects a host to the network.
func (f *fleet) join(ctx context.Context, h host.Host) *kaddht.IpfsDHT {
	bootstrap := f.net.Bootstrap(6)
	for _, p := range bootstrap {
		if err := h.Connect(ctx, p); err != nil {
			f.t.Fatal(err)
		}
	}
	kad, err := kaddht.New(h, kaddht.Mode(kaddht.ModeClient), kaddht.ProtocolPrefix("/goipns"), kaddht.V1ProtocolOverride(dht.ProtocolWAN),
		kaddht.Validator(dht.Validator(nil)), kaddht.BootstrapPeers(bootstrap...), kaddht.DisableAutoRefresh())
	if err != nil {
		f.t.Fatal(err)
	}
	<-kad.ForceRefresh()
	return kad
}

// fill enters names that were announced evenly over the last period: a quarter of them own,
// with a record that has to be renewed soon.
func (f *fleet) fill(count int) {
	ctx, book := f.t.Context(), &names.Book{Store: f.db}
	for i := range count {
		k := recordstoretest.KeyFromSeed(f.t, uint64(i))
		life := 10 * 24 * time.Hour
		own := i%4 == 0
		if own {
			life = 6 * ownPeriod
			f.keys[k.Name] = k
			if err := book.Create(ctx, k.Name); err != nil {
				f.t.Fatal(err)
			}
		}
		rec, err := ipns.Sign(ctx, k.Signer, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: time.Now().Add(life)}, ipns.V2Only)
		if err != nil {
			f.t.Fatal(err)
		}
		if own {
			e, err := book.Get(ctx, k.Name)
			if err == nil {
				e.Span = life
				_, err = book.Enter(ctx, e, rec, names.Entrance{})
			}
			if err != nil {
				f.t.Fatal(err)
			}
		} else if _, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// Each of three daemons is killed in turn while all names are put, and started again. No name
// is put later than it would be otherwise by more than a lease lasts and a sweep takes, none
// is put twice as often, and no two records of one sequence have different values.
func TestFailOverOfEachDaemonDuringASweep(t *testing.T) {
	count := *failoverNames
	if testing.Short() {
		count = min(count, 100)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{
			t: t, net: simnet.New(simnet.Config{Servers: 150, Seed: 1}), db: recordstore.NewMemory(), rows: new(recordstore.MemoryRows),
			keys: map[ipns.Name]recordstoretest.Key{}, puts: map[ipns.Name][]put{}, values: map[string]string{},
		}
		defer f.net.Close()
		f.fill(count)
		var list []*process
		for i := range 3 {
			list = append(list, f.start(i))
		}
		defer func() {
			for _, p := range list {
				p.stop()
			}
		}()
		time.Sleep(10 * time.Minute)
		begin := time.Now()
		kills := *failoverKills
		lasts := 4 * hostedPeriod
		for i := range kills {
			time.Sleep(lasts / time.Duration(kills+1) / 2)
			victim := i % 3
			for range 1000 { // until it is putting something
				if list[victim].working() {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			list[victim].kill()
			time.Sleep(lasts / time.Duration(kills+1) / 4)
			list[victim] = f.start(3 + i)
		}
		time.Sleep(max(lasts-time.Since(begin), 0))
		f.check(begin, time.Since(begin))
	})
}

// check checks when names were put.
func (f *fleet) check(begin time.Time, lasted time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var worst time.Duration
	most, again, total := 0, 0, 0
	for name, k := range f.puts {
		_, own := f.keys[name]
		period := hostedPeriod
		if own {
			period = ownPeriod
		}
		n, early := 0, 0
		last := begin
		for _, p := range k {
			if p.at.Before(begin) {
				continue
			}
			n++
			total++
			gap := p.at.Sub(last)
			if n == 1 {
				gap -= period / 8 // the first turn is up to an eighth later
			} else if gap < period/2 {
				early++ // a daemon was killed before it could note the put
			}
			if worst = max(worst, gap-period); gap-period > 15*time.Second+2*time.Minute {
				f.t.Errorf("%s was put %v after %v, in place of %v", name, gap, last.Sub(begin), period)
			}
			last = p.at
		}
		if rest := begin.Add(lasted).Sub(last); rest > period+15*time.Second+2*time.Minute {
			f.t.Errorf("%s was not put for %v", name, rest)
		}
		turns := int(lasted / period)
		if n > turns+2 || early > 1 {
			f.t.Errorf("%s was put %d times in %d turns, %d times out of turn", name, n, turns, early)
		}
		again += early
		most = max(most, n-turns)
	}
	f.t.Logf("%d names, %d puts, %d signatures; the latest was %v late; %d were put once more because of a kill; no more than %d above the turns",
		len(f.puts), total, f.signed, worst, again, most)
}
