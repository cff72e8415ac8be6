package host

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
)

// peer keeps the connections to the peers of the config.
func (n *Network) peer(c *repo.Peering) error {
	for _, p := range c.Peers {
		id, err := peer.Decode(p.ID)
		if err != nil {
			return fmt.Errorf("config Peering.Peers: %q: %w", p.ID, err)
		}
		info := peer.AddrInfo{ID: id}
		for _, text := range p.Addrs {
			a, err := ma.NewMultiaddr(text)
			if err != nil {
				return fmt.Errorf("config Peering.Peers: %s: %w", p.ID, err)
			}
			addr, of := peer.SplitAddr(a)
			if of != "" && of != id {
				return fmt.Errorf("config Peering.Peers: %s: the address %s is that of another peer", p.ID, text)
			}
			info.Addrs = append(info.Addrs, addr)
		}
		n.Peering.AddPeer(info)
	}
	return n.Peering.Start()
}

// Filters are the address ranges that are neither dialled nor accepted.
func (n *Network) Filters() []string { return n.Host.Filters.Texts() }

// AddFilters adds address ranges, to the config too, and returns them. Connections that
// are there stay.
func (n *Network) AddFilters(ranges []string) (added []string, err error) {
	more, err := transport.ParseRanges(ranges)
	if err != nil {
		return nil, err
	}
	n.Host.Filters.Add(more)
	added = unique(ranges)
	err = n.changeFilters(func(list []string) []string { return unique(slices.Concat(added, list)) })
	return added, err
}

// RemoveFilters removes address ranges, from the config too, and returns those that were
// there. "all" and "*" stand for all.
func (n *Network) RemoveFilters(ranges []string) (removed []string, err error) {
	all := len(ranges) > 0 && (ranges[0] == "all" || ranges[0] == "*")
	if all {
		n.Host.Filters.Clear()
	} else {
		gone, err := transport.ParseRanges(ranges)
		if err != nil {
			return nil, err
		}
		n.Host.Filters.Remove(gone)
	}
	removed = []string{}
	err = n.changeFilters(func(list []string) []string {
		return slices.DeleteFunc(list, func(have string) bool {
			is := all || slices.Contains(ranges, have)
			if is {
				removed = append(removed, have)
			}
			return is
		})
	})
	return removed, err
}

// changeFilters changes the config's Swarm.AddrFilters.
func (n *Network) changeFilters(change func([]string) []string) error {
	n.boot.mu.Lock() // it guards changes of the config
	defer n.boot.mu.Unlock()
	c, err := n.repo.Config()
	if err != nil {
		return err
	}
	// Warnings are about keys that this program does not use; it uses this one.
	_, err = n.repo.Set("Swarm.AddrFilters", append([]string{}, change(c.Swarm.AddrFilters)...))
	return err
}

func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
