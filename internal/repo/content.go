package repo

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/goipns/ipns/internal/durable"
)

// Datastore configures when content that nothing needs is deleted by itself.
type Datastore struct {
	StorageMax         string    // how large the store should be at most: "10GB"; "": that
	StorageGCWatermark int       // percent of it above which garbage is collected; 0: 90
	GCPeriod           *Duration // how often the size is looked at; nil: 1 h; 0: never
	// CacheMax is how much of what came from other nodes, and nothing needs, stays below the watermark: "1GB"; "": that.
	CacheMax string `json:",omitempty"`
}

// Defaults of Datastore.
const (
	defaultStorageMax = "10GB"
	defaultWatermark  = 90
	defaultCacheMax   = "1GB"
	defaultGCPeriod   = time.Hour
)

// Max is the size that the store should not exceed, in bytes.
func (d Datastore) Max() (uint64, error) {
	n, err := humanize.ParseBytes(cmp.Or(d.StorageMax, defaultStorageMax))
	if err != nil {
		return 0, fmt.Errorf("config setting Datastore.StorageMax: %w", err)
	}
	return n, nil
}

// Cache is how many bytes of what came from other nodes stay though nothing needs them.
func (d Datastore) Cache() (uint64, error) {
	n, err := humanize.ParseBytes(cmp.Or(d.CacheMax, defaultCacheMax))
	if err != nil {
		return 0, fmt.Errorf("config setting Datastore.CacheMax: %w", err)
	}
	return max(n, 1), nil
}

// Watermark is the size above which garbage is collected, in bytes.
func (d Datastore) Watermark() (uint64, error) {
	n, err := d.Max()
	return n / 100 * uint64(cmp.Or(d.StorageGCWatermark, defaultWatermark)), err
}

// Period is how often the size is looked at.
func (d Datastore) Period() time.Duration {
	if d.GCPeriod == nil {
		return defaultGCPeriod
	}
	return time.Duration(*d.GCPeriod)
}

func (d Datastore) check() error {
	if w := d.StorageGCWatermark; w < 0 || w > 100 {
		return fmt.Errorf("config setting Datastore.StorageGCWatermark is not between 0 and 100: %d", w)
	}
	if d.Period() < 0 {
		return fmt.Errorf("config setting Datastore.GCPeriod is negative: %s", d.Period())
	}
	if _, err := d.Cache(); err != nil {
		return err
	}
	_, err := d.Max()
	return err
}

// Pinning configures services that pin content elsewhere.
type Pinning struct {
	RemoteServices map[string]*RemoteService `json:",omitempty"`
}

// SetService adds a service to the config, in place of one with that name if there is one.
func (r Repo) SetService(name string, s RemoteService) error {
	return r.change(func(tree map[string]any) error {
		api := map[string]any{"Endpoint": s.API.Endpoint, "Key": s.API.Key}
		return set(tree, []string{"Pinning", "RemoteServices", name}, map[string]any{"API": api})
	})
}

// RemoveService removes a service from the config, if it is there.
func (r Repo) RemoveService(name string) error {
	return r.change(func(tree map[string]any) error {
		pinning, _ := lookup(tree, "Pinning")
		m, _ := pinning.(map[string]any)
		services, _ := lookup(m, "RemoteServices")
		m, _ = services.(map[string]any)
		delete(m, name)
		return nil
	})
}

// change changes the config, unless the daemon could not start with it.
func (r Repo) change(f func(tree map[string]any) error) error {
	tree, err := r.tree()
	if err == nil {
		err = f(tree)
	}
	if err == nil {
		_, err = checkTree(tree)
	}
	var b []byte
	if err == nil {
		b, err = marshal(tree)
	}
	if err == nil {
		_, err = r.parse(b)
	}
	if err != nil {
		return err
	}
	return durable.Replace(r.path(configFile), b, 0o600)
}

// RemoteService is a service that speaks the IPFS Pinning Service API.
type RemoteService struct {
	API struct {
		Endpoint string // its URL, without /pins
		Key      string // the access token
	}
}
