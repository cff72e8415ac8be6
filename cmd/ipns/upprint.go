package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/contenthash"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/repo"
)

// printName prints the name in each form that users need.
func (u *siteUp) printName(p api.Published) error {
	c := u.c
	name, err := ipns.ParseName(p.Name)
	if err != nil {
		return err
	}
	display.Fprintf(c.out, "name         %s\n", p.Name)
	display.Fprintf(c.out, "URI          ipns://%s\n", p.Name)
	display.Fprintf(c.out, "contenthash  %s\n", contenthash.Hex(contenthash.Encode(name)))
	display.Fprintf(c.out, "content      %s\n", strings.TrimPrefix(p.Value, "/ipfs/"))
	if gw, err := u.r.Gateway(); err == nil && u.o.stays() && !u.o.elsewhere {
		display.Fprintf(c.out, "gateway      %s/ipns/%s/\n", gw, p.Name)
	}
	if u.o.qr != "" {
		return printQR(c.out, u.o.qr, p.Name)
	}
	return nil
}

// printOutcome prints who has the record and what the user should do next. It
// returns an error if nobody has the record, somebody should, and this process will not retry.
func (u *siteUp) printOutcome(p api.Published) error {
	c, o := u.c, u.o
	if c.asJSON() {
		u.view.json(publishedEvent(p, len(u.index.Files)))
	} else {
		for _, w := range p.Warnings {
			display.Fprintf(c.errOut, "warning: %s\n", w)
		}
		display.Fprintln(c.out, p.Receipt())
	}
	switch {
	case o.throwAway:
		display.Fprintln(c.errOut, "This was a trial: repo, key and network are gone when it ends. Without --testnet they stay.")
	case !o.elsewhere:
		display.Fprintf(c.errOut, "Back up the key: without it the name can never change again. %s\n", backupHint(u.r, o.key))
	}
	switch {
	case p.Alone && !o.stays(): // so storing it was all that was asked, as by --offline
		display.Fprintln(c.errOut, "Nobody else can see it: this node is on no network. 'ipns daemon' announces it as soon as there is one.")
	case p.Announced == 0 && o.isDaemon && !p.Alone:
		return errors.New("nothing was announced; the daemon keeps trying")
	case p.Announced == 0 && !o.stays():
		return errors.New("nothing was announced; run 'ipns daemon', which does it as soon as there is a network")
	case p.Announced == 0:
		display.Fprintln(c.errOut, "Nobody else can see it yet: it is announced as soon as there is a network.")
	case !o.stays() && !o.throwAway:
		display.Fprintln(c.errOut, "Nobody serves the content now, and the record ends in 48 hours: run 'ipns daemon' to keep both alive.")
	}
	return nil
}

// stays reports whether a node keeps running after the folder is published.
func (o upOptions) stays() bool { return o.isDaemon || !o.once }

func backupHint(r repo.Repo, key string) string {
	if key == "self" {
		return fmt.Sprintf("It is in %s.", filepath.Join(string(r), "config"))
	}
	return fmt.Sprintf("Run 'ipns key export %s'.", key)
}
