package hosting

import (
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
)

// FromConfig returns the settings that a config has.
func FromConfig(c *repo.Hosting) (Settings, error) {
	s := Settings{
		Policy: Policy(c.Policy), Allow: map[ipns.Name]bool{}, MaxNames: c.MaxNames,
		MinRemaining: time.Duration(c.MinRemaining), RefuseShort: c.ShortLived == "refuse",
		Warn: time.Duration(c.WarnBefore), Contact: c.Abuse,
		PrivateOrigins: c.PrivateOrigins,
	}
	for _, text := range c.Allow {
		name, err := ipns.ParseName(text)
		if err != nil {
			return s, fmt.Errorf("config setting Hosting.Allow: %w", err)
		}
		s.Allow[name] = true
	}
	for q, to := range map[*repo.HostingQuota]*Quota{&c.Tenant: &s.Tenant, &c.Address: &s.Address} {
		bytes, pinned, err := q.Sizes()
		if err != nil {
			return s, err
		}
		*to = Quota{Names: q.Names, PutsPerMinute: q.PutsPerMinute, Bytes: bytes, PinnedBytes: pinned}
	}
	return s, nil
}
