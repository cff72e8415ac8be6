// Command watch measures what it costs to watch names, and how soon watchers and webhooks
// hear of a change.
//
// Watchers read Server-Sent Events in a process of their own. Each update has the time of
// its making as its value, so that they see how long it took.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/watch"
)

var (
	watchers = flag.Int("watchers", 10_000, "watchers")
	hooks    = flag.Int("webhooks", 1000, "webhooks")
	only     = flag.String("only", "", "measure only this: watchers, webhooks")
	count    = flag.Int("names", 1000, "names")
	client   = flag.String("client", "", "be the watchers of this URL; for the program itself")
)

func main() {
	flag.Parse()
	var err error
	if *client != "" {
		err = watchAll(*client)
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// world is a Book on disk with names of others.
type world struct {
	book *names.Book
	rows recordstore.Rows
	keys []key
}

type key struct {
	signer   ipns.Signer
	name     ipns.Name
	sequence uint64
}

func run() (err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "watch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	disk := &pebble.Disk{Dir: filepath.Join(dir, "db")}
	db, err := pebble.OpenDB(ctx, disk, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	store, err := pebble.New(db, pebble.Options{Disk: disk})
	if err != nil {
		return err
	}
	defer store.Close()
	w := &world{book: &names.Book{Store: store}, rows: store.Rows()}
	for range *count {
		k, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			return err
		}
		s := ipns.NewSigner(k)
		name, err := ipns.NameOf(s.Public())
		if err != nil {
			return err
		}
		w.keys = append(w.keys, key{signer: s, name: name})
		if err := w.update(ctx, len(w.keys)-1); err != nil {
			return err
		}
	}
	if *only != "webhooks" {
		if err := w.measureWatchers(ctx); err != nil {
			return err
		}
	}
	if *only == "watchers" {
		return nil
	}
	return w.measureWebhooks(ctx)
}

// update publishes a name with the time as its value.
func (w *world) update(ctx context.Context, i int) error {
	k := &w.keys[i]
	now := time.Now()
	rec, err := ipns.Sign(ctx, k.signer, ipns.Fields{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", now.UnixNano()), Sequence: k.sequence, EOL: now.Add(48 * time.Hour), TTL: time.Minute,
	}, ipns.V1V2)
	if err != nil {
		return err
	}
	k.sequence++
	_, err = w.book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted, Tenant: "t"})
	return err
}

func (w *world) measureWatchers(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n := &watch.Names{Book: w.book}
	server := &http.Server{Handler: &watch.Handler{Names: n}, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends by Close
	defer server.Close()
	before := resident()
	child := exec.Command(os.Args[0], "-client", "http://"+l.Addr().String(), "-watchers", strconv.Itoa(*watchers))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }() // it may have ended
	// The child asks for the names, and says when all have begun.
	var list []string
	for _, k := range w.keys {
		list = append(list, k.name.String())
	}
	if _, err := fmt.Fprintln(in, strings.Join(list, " ")); err != nil {
		return err
	}
	lines := newLines(out)
	if text, err := lines.next(); err != nil || text != "ready" {
		return errors.Join(err, fmt.Errorf("the watchers say %q", text))
	}
	readers, watched := n.Readers()
	fmt.Printf("%d watchers of %d names: %.1f KiB each (resident memory)\n", readers, watched, float64(resident()-before)/float64(*watchers)/1024)
	each := *watchers / *count
	single, err := w.timed(ctx, lines, in, 100, each, 50*time.Millisecond)
	if err != nil {
		return err
	}
	fmt.Printf("100 updates one by one, each to %d watchers: %s\n", each, single)
	all, err := w.timed(ctx, lines, in, *count, each, 0)
	if err != nil {
		return err
	}
	fmt.Printf("%d updates at once, %d events: %s\n", *count, *count*each, all)
	fmt.Printf("memory after that: %.1f KiB a watcher\n", float64(resident()-before)/float64(*watchers)/1024)
	return nil
}

// timed makes updates and returns how long they took to reach their watchers.
func (w *world) timed(ctx context.Context, lines *lines, in interface{ Write([]byte) (int, error) }, updates, each int, pause time.Duration) (string, error) {
	if _, err := fmt.Fprintln(in, updates*each); err != nil {
		return "", err
	}
	start := time.Now()
	for i := range updates {
		if err := w.update(ctx, i); err != nil {
			return "", err
		}
		time.Sleep(pause)
	}
	made := time.Since(start)
	text, err := lines.next()
	return fmt.Sprintf("%s (made in %s)", text, made.Round(time.Millisecond)), err
}

// resident returns the resident memory of this process, after what is free was given back.
func resident() int64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kb << 10
}
