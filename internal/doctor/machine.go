package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/dustin/go-humanize"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/internal/repo"
)

// Limits of what a node needs.
const (
	leastDisk        = 512 << 20
	leastDescriptors = 4096
	mostOff          = time.Minute      // of the clock
	mostAhead        = 10 * time.Minute // of the time of a file
)

// Machine is what the machine and the files of a repo tell.
type Machine struct {
	// Open are files with secrets that others than their owner can read or replace.
	Open []File
	// Newest is the time of the newest file of the repo.
	Newest time.Time
	// Free is how many bytes of disk are left; Descriptors is how many files a process may
	// have open. 0: unknown.
	Free        uint64
	Descriptors int
	// Busy are addresses of the config that another program listens on.
	Busy []string
}

// File is a file and its mode.
type File struct {
	Path string
	Mode fs.FileMode
}

// Look gathers what can be seen from here. The addresses are tried only if no daemon runs.
func Look(path string, addresses []string) (Machine, error) {
	var m Machine
	for _, secret := range []string{"config", "keystore"} {
		at := filepath.Join(path, secret)
		info, err := os.Stat(at)
		if err != nil {
			return m, err
		}
		m.see(at, info)
	}
	entries, err := os.ReadDir(filepath.Join(path, "keystore"))
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return m, err
		}
		m.see(filepath.Join(path, "keystore", e.Name()), info)
	}
	if disk, err := machine.DiskAt(path); err == nil {
		m.Free = disk.Free
	}
	m.Descriptors = machine.Here().Descriptors
	for _, a := range addresses {
		if busy(a) {
			m.Busy = append(m.Busy, a)
		}
	}
	return m, nil
}

// see notes the mode and the time of a file or folder. A folder may be read by others as long
// as its files may not.
func (m *Machine) see(path string, info fs.FileInfo) {
	others := fs.FileMode(0o077)
	if info.IsDir() {
		others = 0o022
	}
	// On Windows a mode says nothing of who may read.
	if info.Mode().Perm()&others != 0 && runtime.GOOS != "windows" {
		m.Open = append(m.Open, File{path, info.Mode().Perm()})
	}
	if info.ModTime().After(m.Newest) {
		m.Newest = info.ModTime()
	}
}

// busy reports whether another program listens on a multiaddr.
func busy(address string) bool {
	a, err := ma.NewMultiaddr(address)
	if err != nil {
		return false
	}
	first, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_TCP })
	if first == nil || len(first) == len(a) {
		return false // no TCP; UDP is not worth its own way
	}
	tcp := a[:len(first)+1]
	l, err := manet.Listen(tcp)
	if err != nil {
		return repo.Taken(err)
	}
	l.Close()
	return false
}

func files(f Facts) []Finding {
	var all []Finding
	for _, file := range f.Open {
		all = append(all, Finding{
			Subject: file.Path, Found: fmt.Sprintf("its mode is %04o", file.Mode),
			Means: "others on this machine can read or replace private keys, and publish under your names",
			Mend:  "chmod go-rwx " + file.Path,
		})
	}
	if !f.InClear && !f.Kubo {
		return all
	}
	mend := "keep disk and backups encrypted"
	if !f.Kubo {
		mend = "ipns key encrypt, with the daemon stopped; or " + mend
	}
	return append(all, Finding{
		Subject: filepath.Join(f.Path, "keystore"), Note: true, Found: "private keys are stored in clear",
		Means: "who can read the disk or a backup of it has the names", Mend: mend,
	})
}

func clock(f Facts) []Finding {
	const mend = "timedatectl set-ntp true"
	const means = "records are signed with wrong times: they expire early, or are refused by others"
	switch {
	case f.Off != nil && f.Off.Abs() > mostOff:
		return []Finding{{Subject: "clock", Found: fmt.Sprintf("it is off by %s", f.Off.Round(time.Second)), Means: means, Mend: mend}}
	case f.Newest.Sub(f.Now) > mostAhead:
		return []Finding{{Subject: "clock", Found: "files of the repo were changed later than now, at " + f.Newest.UTC().Format(time.RFC3339), Means: means, Mend: mend}}
	}
	return nil
}

func disk(f Facts) []Finding {
	if f.Free == 0 || f.Free >= leastDisk {
		return nil
	}
	return []Finding{{
		Subject: f.Path, Found: humanize.IBytes(f.Free) + " are free",
		Means: "on a full disk no name can be published or renewed", Mend: "ipns repo gc, or make room on the disk",
	}}
}

func ports(f Facts) []Finding {
	var all []Finding
	for _, a := range f.Busy {
		all = append(all, Finding{
			Subject: a, Found: "another program listens there",
			Means: "the daemon cannot start, or others cannot reach it", Mend: "stop that program, such as a Kubo that still runs; or 'ipns config Addresses' another port",
		})
	}
	return all
}

func descriptors(f Facts) []Finding {
	if f.Descriptors == 0 || f.Descriptors >= leastDescriptors {
		return nil
	}
	return []Finding{{
		Subject: "open files", Found: fmt.Sprintf("a process may have %d", f.Descriptors),
		Means: "a daemon with many connections runs out of them", Mend: fmt.Sprintf("ulimit -n %d, or LimitNOFILE=%d in its systemd unit", 2*leastDescriptors, 2*leastDescriptors),
	}}
}

func nat(f Facts) []Finding {
	switch f.Fetch {
	case "punched", "public", "nobody", "ipv6":
	default:
		return nil
	}
	return []Finding{{
		Subject: "step 6, reachability", Found: "not everybody can connect to this node: " + f.Reachability,
		Means: "names are published all the same, but content from here reaches only some, or nobody",
		Mend:  "forward the port of Addresses.Swarm (TCP and UDP) on the router, or set Swarm.RelayClient.StaticRelays to an 'ipns relay' of your own",
	}}
}
