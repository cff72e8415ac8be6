package nat

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// upnpRules are what miniupnpd adds to.
const upnpRules = `
table inet upnp {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain to { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd
	}
	chain from { type nat hook postrouting priority srcnat - 1; jump postrouting_miniupnpd
	}
}
`

// upnpConfig is that of a router which opens ports for its home: by UPnP, NAT-PMP and PCP.
const upnpConfig = `ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
port=5000
uuid=6cb5730b-a732-45f3-b52f-15ded86d7f90
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
lease_file=%s
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// A portOpener is a miniupnpd that runs on a router.
type portOpener struct {
	home *home
	conf string
	log  *logBuffer
	cmd  *exec.Cmd
	done chan struct{}
}

// needUPnP skips the test where there is no miniupnpd.
func needUPnP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("miniupnpd"); err != nil {
		lacking(t, "there is no miniupnpd: install miniupnpd-nftables")
	}
}

// newPortOpener makes the router of a home open ports.
func newPortOpener(t *testing.T, h *home) *portOpener {
	t.Helper()
	dir := t.TempDir()
	o := &portOpener{home: h, conf: filepath.Join(dir, "conf"), log: &logBuffer{}}
	if err := os.WriteFile(o.conf, fmt.Appendf(nil, upnpConfig, filepath.Join(dir, "leases")), 0o644); err != nil {
		t.Fatal(err)
	}
	o.start(t)
	t.Cleanup(func() {
		o.stop()
		if t.Failed() {
			t.Logf("miniupnpd said:\n%s", o.log.tail())
		}
	})
	return o
}

// start starts a router that has just been switched on: it knows of no open ports.
func (o *portOpener) start(t *testing.T) {
	t.Helper()
	o.home.router.nft(t, o.home.rules()+upnpRules)
	o.cmd, o.done = o.home.router.command(context.Background(), "miniupnpd", "-d", "-f", o.conf, "-P", o.conf+".pid"), make(chan struct{})
	o.cmd.Stdout, o.cmd.Stderr = o.log, o.log
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := o.cmd, o.done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
}

func (o *portOpener) stop() { interrupt(o.cmd, o.done) }

// open reports whether the port of ours is open for TCP and UDP.
func (o *portOpener) open() bool {
	out, err := o.home.router.command(context.Background(), "nft", "list", "chain", "inet", "upnp", "prerouting_miniupnpd").Output()
	to := fmt.Sprintf("%s:%d", o.home.lan(2), oursPort)
	return err == nil && strings.Count(string(out), to) >= 2
}
