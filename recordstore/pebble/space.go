package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
)

const (
	// maxGoing bounds the writes in progress, including those that no one waits for any
	// more.
	maxGoing = 16_384
	// certainty is how long a write may outlive its caller's context before its outcome
	// is reported as unknown.
	certainty = time.Second
)

// Do runs a write, unless there is too little space. It returns when the write or ctx
// has ended, or when the disk is full or broken. Unless the write has ended, the error
// is also recordstore.ErrDoubt: the write may continue and succeed, so it owns what it
// uses.
func (d *Disk) Do(ctx context.Context, write func() error) error {
	if err := d.Room(); err != nil {
		return err
	}
	return d.await(ctx, d.start(write))
}

// Spare is Do for writes that are refused before those of names: twice the reserve must
// be free.
func (d *Disk) Spare(ctx context.Context, write func() error) error {
	if err := d.room(2); err != nil {
		return err
	}
	return d.await(ctx, d.start(write))
}

// Freeing is Do for writes that free space, which the reserve is for: only a write that has found no space at all stops
// them.
func (d *Disk) Freeing(ctx context.Context, write func() error) error {
	if err := d.room(0); err != nil {
		return err
	}
	return d.await(ctx, d.start(write))
}

// start runs a write and returns a channel that gets its result.
func (d *Disk) start(write func() error) <-chan error {
	d.mu.Lock()
	d.going++
	d.mu.Unlock()
	done := make(chan error, 1)
	go func() { // CloseDB waits for it, unless the disk is full
		err := write()
		d.mu.Lock()
		if d.going--; d.going == 0 && d.quiet != nil {
			close(d.quiet)
			d.quiet = nil
		}
		d.mu.Unlock()
		done <- err
	}()
	return done
}

// idle returns a channel that is closed when no write is in progress.
func (d *Disk) idle() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.going == 0 {
		quiet := make(chan struct{})
		close(quiet)
		return quiet
	}
	if d.quiet == nil {
		d.quiet = make(chan struct{})
	}
	return d.quiet
}

// settle waits for the writes in progress.
func (d *Disk) settle(ctx context.Context) error {
	quiet := d.idle()
	done := make(chan error, 1)
	go func() { // ends with the last write
		<-quiet
		done <- nil
	}()
	return d.await(ctx, done)
}

// await waits for the result of a write, as described at Do.
func (d *Disk) await(ctx context.Context, done <-chan error) error {
	full, failed := d.filling(), d.Failed()
	var late <-chan time.Time
	var cause error
	ended := ctx.Done()
	for cause == nil {
		select {
		case err := <-done:
			return err
		case <-full:
			cause = d.fullError()
		case <-failed:
			cause = d.cause()
		case <-ended:
			t := time.NewTimer(certainty)
			defer t.Stop()
			ended, late = nil, t.C
		case <-late:
			cause = ctx.Err()
		}
	}
	select {
	case err := <-done:
		return err
	default:
		return fmt.Errorf("%w; %w", cause, recordstore.ErrDoubt)
	}
}

func (d *Disk) cause() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

// Room returns nil if there is space to write, else a recordstore.ErrFull that says how
// much is missing.
func (d *Disk) Room() error { return d.room(1) }

// room is Room with a multiple of the reserve.
func (d *Disk) room(times int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	switch {
	case d.died != nil:
		return d.died
	case d.gone != nil:
		return d.gone
	case d.waiting > 0 || d.readOnly || d.free() < times*d.reserve():
		return d.short(times * d.reserve())
	case d.going >= maxGoing:
		return fmt.Errorf("%d writes wait for the disk of %s: try again later", d.going, d.Dir)
	}
	return nil
}

// fullError is the error of a write that found no space.
func (d *Disk) fullError() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	return d.short(d.reserve())
}

// short returns an error that says what is missing. Call with mu held.
func (d *Disk) short(need int64) error {
	if d.free() >= need && !d.readOnly {
		return fmt.Errorf("%w: the disk of %s takes nothing more, though %d bytes are free on it: a quota, or too many files?",
			recordstore.ErrFull, d.Dir, d.free())
	}
	return fmt.Errorf("%w: %d bytes (%s, with a reserve of %s) must be free on the disk of %s, and %d are: free some, nothing has to be restarted",
		recordstore.ErrFull, need, mebibytes(need), mebibytes(d.reserve()), d.Dir, max(d.free(), 0))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// roomToOpen returns recordstore.ErrFull if there is too little space to open the
// database: the log becomes tables, and the reserve must be left.
func (d *Disk) roomToOpen() error {
	if d.Reserve < 0 {
		return nil
	}
	logs := int64(0)
	files, err := d.fs().List(d.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range files {
		if !strings.HasSuffix(name, logSuffix) {
			continue
		}
		if info, err := d.fs().Stat(d.fs().PathJoin(d.Dir, name)); err == nil {
			logs += info.Size()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	if need := d.reserve() + logs + openCost; d.free() < need {
		return d.short(need)
	}
	return nil
}

// look measures the free space, unless it was measured just now. Call with mu held.
func (d *Disk) look() {
	now := time.Now()
	if now.Sub(d.asked) <= usageKeep && !now.Before(d.asked) {
		return
	}
	d.asked = now
	d.space = vfs.DiskUsage{AvailBytes: 1 << 62}
	dir := d.Dir
	for {
		u, err := d.fs().GetDiskUsage(dir)
		if err == nil {
			d.space = u
			break
		}
		up := d.fs().PathDir(dir) // the directory may not exist yet
		if up == dir || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir = up
	}
	d.gone = d.check()
}

// free returns the free space in bytes. Call with mu held, after look.
func (d *Disk) free() int64 { return int64(min(d.space.AvailBytes, 1<<62)) }

// reserve returns the bytes that must stay free. Call with mu held, after look.
func (d *Disk) reserve() int64 {
	switch {
	case d.Reserve != 0:
		return max(d.Reserve, 0)
	case d.space.TotalBytes == 0:
		return DefaultReserve
	}
	return int64(min(DefaultReserve, d.space.TotalBytes/reserveShare))
}

// Space returns how many bytes are free on the disk, how many it has, 0 if that is unknown,
// and below how many free ones nothing is written.
func (d *Disk) Space() (free, total, reserve uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	return uint64(max(d.free(), 0)), d.space.TotalBytes, uint64(d.reserve())
}

// Full reports whether there is too little space to write.
func (d *Disk) Full() bool { return errors.Is(d.Room(), recordstore.ErrFull) }

// Scarce reports whether less than twice the reserve is free. Data from strangers is
// then not worth the space, which is left to the Store.
func (d *Disk) Scarce() bool { return errors.Is(d.room(2), recordstore.ErrFull) }

// filling returns a channel that is closed when a write finds no space.
func (d *Disk) filling() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full == nil {
		d.full = make(chan struct{})
		if d.waiting > 0 {
			close(d.full)
		}
	}
	return d.full
}

// isFull reports whether an error means that there is no space.
func isFull(err error) bool { return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) }

// retry runs f until it finds space, and returns its last error.
func (d *Disk) retry(f func() error) error {
	err := f()
	if !isFull(err) {
		return err
	}
	d.mu.Lock()
	if d.waiting++; d.waiting == 1 {
		d.log.Error("no space left on disk: nothing is written until there is some", "dir", d.Dir)
		if d.full != nil {
			close(d.full)
		}
	}
	d.mu.Unlock()
	for isFull(err) {
		time.Sleep(fullPoll)
		err = f()
	}
	d.mu.Lock()
	if d.waiting--; d.waiting == 0 {
		d.full, d.asked = nil, time.Time{}
		d.log.Info("there is space on disk again", "dir", d.Dir)
	}
	d.mu.Unlock()
	return err
}
