package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// savingProfile saves profiles of the daemon.
func (c *cli) savingProfile(ctx context.Context, n rpc.Caller, _ rpc.Spec, r any) error {
	req := *r.(*api.DiagProfileRequest)
	// No colons, which file names on Windows must not have.
	name := cmp.Or(req.Output, "ipfs-profile-"+strings.ReplaceAll(time.Now().Format(time.RFC3339), ":", "_")+".zip")
	s, err := rpc.Do(ctx, n, api.DiagProfile, req)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := saveFile(name, s); err != nil {
		return err
	}
	display.Fprintf(c.out, "Wrote profiles to: %s\n", name)
	return nil
}
