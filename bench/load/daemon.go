package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

const (
	strangers = 50  // names that are resolved
	writers   = 256 // that fill the store at once

	patience = 2 * time.Minute // for a daemon to be ready, and to have nothing late
)

// publishStrangers puts records of others on the network.
func publishStrangers(ctx context.Context, nw *testnet.Network) ([]ipns.Name, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	defer h.Close()
	d, err := dht.New(h, dht.Config{LoopbackOnLAN: true})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := nw.Join(ctx, h); err != nil {
		return nil, err
	}
	for d.Dual.LAN.RoutingTable().Size() < min(nw.Len(), 20) {
		select {
		case <-d.Dual.LAN.RefreshRoutingTable():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var list []ipns.Name
	for i := range strangers {
		rec, err := newRecord(ctx, fmt.Sprintf("/ipfs/bafkqaaa/%d", i))
		if err != nil {
			return nil, err
		}
		for _, err := range d.LAN.Put(ctx, rec, routing.Look{}) {
			if err != nil {
				return nil, err
			}
		}
		list = append(list, rec.Name())
	}
	return list, nil
}

// newRecord signs the first record of a new name. It lives for a year, so that it
// is not signed again.
func newRecord(ctx context.Context, value string) (*ipns.Record, error) {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return nil, err
	}
	f := ipns.Fields{Value: value, EOL: time.Now().Add(365 * 24 * time.Hour), TTL: time.Hour}
	return ipns.Sign(ctx, ipns.NewSigner(key), f, ipns.V1V2)
}

// daemon is the program under test and its repo.
type daemon struct {
	program string
	repo    repo.Repo
	cmd     *exec.Cmd
	base    string // URL of the API
	log     bytes.Buffer
}

// build builds the program.
func build(ctx context.Context, dir string) (*daemon, error) {
	d := &daemon{program: filepath.Join(dir, "ipns"), repo: repo.Repo(filepath.Join(dir, "repo"))}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", d.program, "github.com/goipns/ipns/cmd/ipns").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("building ipns: %w\n%s", err, out)
	}
	return d, nil
}

func (d *daemon) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "IPNS_PATH="+string(d.repo))
	return cmd
}

func (d *daemon) run(ctx context.Context, args ...string) error {
	if out, err := d.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ipns %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// fill makes a new repo that has so many own names, each put one turn ago. Their
// keys are nowhere: nothing is signed.
func (d *daemon) fill(ctx context.Context, count int, turn time.Duration) (err error) {
	if err := os.RemoveAll(string(d.repo)); err != nil {
		return err
	}
	for _, args := range [][]string{{"init", "--profile", "test"}, {"config", "Ipns.RepublishPeriod", turn.String()}, {"config", "Ipns.RecordLifetime", "48h"}} {
		if err := d.run(ctx, args...); err != nil {
			return err
		}
	}
	disk := &store.Disk{Dir: d.repo.Database()}
	db, err := store.OpenDB(ctx, disk, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	records, err := store.New(db, store.Options{Disk: disk, Witness: d.repo.Database() + ".witness"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	book := &names.Book{Store: records, Now: func() time.Time { return time.Now().Add(-turn) }}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range count {
		g.Go(func() error {
			rec, err := newRecord(ctx, fmt.Sprintf("/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/%d", i))
			if err != nil {
				return err
			}
			if _, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Own}); err != nil {
				return err
			}
			// The first turn of a sector that counts is an eighth of a period after the put.
			return book.Note(ctx, recordstore.Upkeep{Name: rec.Name(), LastPut: time.Now().Add(-turn / 8), Announced: rec.Hash(), Holders: 20})
		})
	}
	return g.Wait()
}

// start starts the daemon on the network.
func (d *daemon) start(ctx context.Context, network string) error {
	d.log.Reset()
	d.cmd = d.command(ctx, "daemon", "--bootstrap", network)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		api, err := d.repo.API()
		if err != nil {
			continue
		}
		parts := strings.Split(api, "/") // /ip4/127.0.0.1/tcp/5001
		d.base = "http://" + parts[2] + ":" + parts[4] + "/api/v0/"
		var id struct{ ID string }
		if d.call(ctx, &id, "id", nil) == nil {
			return nil
		}
	}
	d.stop()
	return errors.New("the daemon does not start")
}

// stop ends the daemon and waits for it.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(os.Interrupt) // it may have ended
	_ = d.cmd.Wait()
}

// settle waits until the first scan has been made and what was due is done, but
// for what comes due all the time.
func (d *daemon) settle(ctx context.Context) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Second) {
		if s, err := d.status(ctx); err != nil {
			return err
		} else if !s.ScannedAt.IsZero() && s.Late == 0 && time.Until(end) < patience-70*time.Second {
			return nil
		}
	}
	return errors.New("names stay late")
}

type status struct {
	ScannedAt time.Time
	Late      int
	Puts      int
}

func (d *daemon) status(ctx context.Context) (s status, err error) {
	return s, d.call(ctx, &s, "republish/status", nil)
}

func (d *daemon) puts(ctx context.Context) int {
	s, err := d.status(ctx)
	if err != nil {
		return 0
	}
	return s.Puts
}

// call calls the RPC API.
func (d *daemon) call(ctx context.Context, into any, command string, args url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+command+"?"+args.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", command, resp.Status, b)
	}
	return json.Unmarshal(b, into)
}

// cpu is the processor time that the daemon has used.
func (d *daemon) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
