package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// listing prints a list of folders. Of a stream it knows which folder an entry follows.
func (c *cli) listing(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	after := ""
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		var text string
		text, after = req.(*api.ListRequest).Table(res.Value.(api.Listing), after)
		if err := c.print(res.Value, display.Clean(text)); err != nil {
			return err
		}
	}
	return nil
}

// pinning prints what was pinned, and how far it is beside that.
func (c *cli) pinning(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		if p := res.Value.(api.Pinned); p.Pins == nil {
			display.Fprintf(c.errOut, "Fetched/Processed %d nodes (%s)\n", p.Progress, humanize.Bytes(p.Bytes))
			continue
		}
		if err := c.printResult(res); err != nil {
			return err
		}
	}
	return nil
}

// saving saves what is at a path.
func (c *cli) saving(ctx context.Context, n rpc.Caller, _ rpc.Spec, r any) error {
	req := *r.(*api.GetRequest)
	level, err := req.GzipLevel()
	if err != nil {
		return err
	}
	s, err := rpc.Do(ctx, n, api.Get, req)
	if err != nil {
		return err
	}
	defer s.Close()
	name := savedName(req, level)
	kind := "file(s)"
	if req.Archive || level != 0 {
		kind = "archive"
	}
	display.Fprintf(c.out, "Saving %s to %s\n", kind, name)
	bar := &progress{}
	if req.Progress == nil || *req.Progress {
		bar = c.progress("saving", progressbar.OptionShowBytes(true), progressbar.OptionShowCount())
	}
	defer bar.end()
	body := io.Reader(&counted{s, bar, 0})
	if kind == "archive" {
		return saveFile(name, body)
	}
	return unpack(body, name)
}

// counted shows how much was read.
type counted struct {
	io.Reader
	bar  *progress
	read int64
}

func (r *counted) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.read += int64(n)
	r.bar.file("", r.read)
	return n, err
}

// savedName is where a request is saved.
func savedName(req api.GetRequest, level int) string {
	name := req.Output
	if name == "" {
		name = path.Clean(path.Base(strings.TrimRight(req.Path, "/")))
	}
	if req.Archive && !strings.HasSuffix(name, ".tar") && !strings.HasSuffix(name, ".tar.gz") {
		name += ".tar"
	}
	if level != 0 && !strings.HasSuffix(name, ".gz") {
		name += ".gz"
	}
	return name
}

func saveFile(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
