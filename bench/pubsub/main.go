// Command pubsub measures how long an update takes from a publish in one process to the
// Book of a subscriber in another, beside a ping between the two. bench/README.md
// explains the columns and keeps the results.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/publisher"
)

// arrival says when a subscriber had a record.
type arrival struct {
	sequence uint64
	at       int64 // Unix nanoseconds; both processes read the same clock
}

func main() {
	updates := flag.Int("updates", 500, "updates to measure")
	name := flag.String("name", "", "the name to listen to, and nothing else: for the subscriber's own process")
	from := flag.String("from", "", "the node that publishes it")
	flag.Parse()
	err := func() error {
		if *name != "" {
			return subscribe(context.Background(), *name, *from, os.Stdout)
		}
		f, err := measure(context.Background(), *updates, elsewhere)
		if err != nil {
			return err
		}
		fmt.Println("| updates | ping p50 | stored to subscriber p50 / p99 | publish to subscriber p50 / p99 | goal | late |")
		fmt.Println("|---|---|---|---|---|---|")
		fmt.Println(f)
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pubsub:", err)
		os.Exit(1)
	}
}

// figures are what was measured, each in order.
type figures struct {
	pings, stored, published []time.Duration
	late                     int // updates that took more than a second: a message was lost, and sent again
}

// goal is 1.5 round trips and 5 ms.
func (f figures) goal() time.Duration { return at(f.pings, 50)*3/2 + 5*time.Millisecond }

func at(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)*percent/100]
}

func (f figures) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
	return fmt.Sprintf("| %d | %s ms | %s / %s ms | %s / %s ms | %s ms | %d |", len(f.published), ms(at(f.pings, 50)),
		ms(at(f.stored, 50)), ms(at(f.stored, 99)), ms(at(f.published, 50)), ms(at(f.published, 99)), ms(f.goal()), f.late)
}

// pause is between two updates: each finds the machine at rest.
const pause = 20 * time.Millisecond

// patience is how long anything may take.
const patience = time.Minute

// measure publishes updates of a name to one subscriber.
func measure(ctx context.Context, updates int, start func(ctx context.Context, name, from string) (<-chan arrival, func() error, error)) (f figures, err error) {
	n, closeNode, err := open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, closeNode()) }()
	stored := make(chan int64, 1)
	defer n.Book.Subscribe(func(names.Change) {
		select {
		case stored <- time.Now().UnixNano():
		default: // told twice
		}
	})()
	addr := fmt.Sprintf("%s/p2p/%s", n.Host.Addrs()[0], n.Host.ID())
	arrivals, stop, err := start(ctx, n.Name.String(), addr)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	deadline := time.Now().Add(patience)
	for !listening(n) {
		if time.Now().After(deadline) {
			return f, errors.New("nobody listens")
		}
		time.Sleep(pause)
	}
	if f.pings, err = pings(ctx, n, updates); err != nil {
		return f, err
	}
	for i := range updates {
		time.Sleep(pause)
		select {
		case <-stored: // of the last update, told twice
		default:
		}
		begin := time.Now().UnixNano()
		res, err := n.Publish(ctx, "", publisher.Request{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), Wait: publisher.WaitStored})
		if err != nil {
			return f, err
		}
		durable := <-stored
		for {
			var a arrival
			ok := true
			select {
			case a, ok = <-arrivals:
			case <-time.After(patience):
				return f, fmt.Errorf("update %d has not come", i)
			}
			if !ok {
				return f, errors.New("the subscriber has ended")
			}
			if a.sequence < res.Record.Sequence() {
				continue
			}
			if i > 0 { // the first one may come by a fetch
				f.published = append(f.published, time.Duration(a.at-begin))
				f.stored = append(f.stored, time.Duration(a.at-durable))
			}
			break
		}
	}
	slices.Sort(f.published)
	slices.Sort(f.stored)
	for _, d := range f.published {
		if d > time.Second {
			f.late++
		}
	}
	return f, nil
}

// listening reports whether somebody listens to a topic.
func listening(n *node.Node) bool { return n.Pubsub.Stats().Topics > 0 }

// pings measures round trips to the one peer there is.
func pings(ctx context.Context, n *node.Node, count int) (list []time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, n.Host, n.Host.Network().Peers()[0])
	for range count {
		time.Sleep(pause / 4)
		r := <-results
		if r.Error != nil {
			return nil, r.Error
		}
		list = append(list, r.RTT)
	}
	slices.Sort(list)
	return list, nil
}

// open opens a node with pubsub on a new repo, which goes when it is closed.
func open(ctx context.Context) (*node.Node, func() error, error) {
	dir, err := os.MkdirTemp("", "pubsub")
	if err != nil {
		return nil, nil, err
	}
	on := true
	n, err := node.Open(ctx, node.Config{Dir: dir, Profile: "test", Pubsub: &on})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return n, func() error { return errors.Join(n.Close(), os.RemoveAll(dir)) }, nil
}

// subscribe listens to a name that a node publishes, and writes a line for each record
// that came, until ctx or the process ends.
func subscribe(ctx context.Context, name, from string, out io.Writer) (err error) {
	parsed, err := ipns.ParseName(name)
	if err != nil {
		return err
	}
	publisher, err := peer.AddrInfoFromString(from)
	if err != nil {
		return err
	}
	n, closeNode, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeNode()) }()
	defer n.Book.Subscribe(func(c names.Change) {
		_, _ = fmt.Fprintln(out, c.Entry.Record.Sequence(), time.Now().UnixNano())
	})()
	if err := n.Host.Connect(ctx, *publisher); err != nil {
		return err
	}
	for range n.Pubsub.Watch(ctx, parsed) {
	}
	return nil
}

// elsewhere starts a subscriber in another process.
func elsewhere(ctx context.Context, name, from string) (<-chan arrival, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-name", name, "-from", from)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	arrivals := make(chan arrival, 16)
	go read(out, arrivals) // ends with the process
	return arrivals, func() error {
		killed := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return killed
	}, nil
}

// read reads what a subscriber writes.
func read(out io.Reader, arrivals chan<- arrival) {
	defer close(arrivals)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a arrival
		if _, err := fmt.Sscan(lines.Text(), &a.sequence, &a.at); err == nil {
			arrivals <- a
		}
	}
}
