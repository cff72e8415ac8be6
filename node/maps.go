package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/goipns/ipns/routing/dht"
)

// saveMapsEvery is how much of what was learnt of the servers a crash may lose.
const saveMapsEvery = 10 * time.Minute

// openMaps brings back what was known of the servers of both DHTs when the node
// last ran, so that a restart is warm, and keeps saving it. The files are no
// more than a cache: one that is missing or damaged costs a few round trips.
func (n *Node) openMaps(life context.Context) {
	for _, r := range []*dht.Router{n.DHT.WAN, n.DHT.LAN} {
		if err := readMap(n.Repo.ServerMap(r.Network()), r.Map()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.Log.Warn("known servers are not read", "network", r.Network(), "err", err)
		}
	}
	n.background(func() { n.keepMaps(life) })
	n.onClose(func() error {
		n.saveMaps()
		n.noteAnswered(n.DHT.WAN.Answered())
		return nil
	})
}

func (n *Node) keepMaps(ctx context.Context) {
	again := time.NewTicker(saveMapsEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			n.saveMaps()
		}
	}
}

func (n *Node) saveMaps() {
	for _, r := range []*dht.Router{n.DHT.WAN, n.DHT.LAN} {
		if err := writeMap(n.Repo.ServerMap(r.Network()), r.Map()); err != nil {
			n.Log.Warn("known servers are not saved", "network", r.Network(), "err", err)
		}
	}
}

func readMap(file string, m *dht.Map) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = m.ReadFrom(f)
	return err
}

// writeMap replaces the file at once, so that a crash leaves the old one. An
// empty map does not take the place of one with servers: they may be back.
func writeMap(file string, m *dht.Map) error {
	if m.Len() == 0 {
		return nil
	}
	f, err := os.Create(file + ".new")
	if err != nil {
		return fmt.Errorf("save servers: %w", err)
	}
	if _, err := m.WriteTo(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("save servers: %w", err)
	}
	return os.Rename(file+".new", file)
}
