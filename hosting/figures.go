package hosting

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Tenants that figures are kept and shown for.
const (
	maxCounted = 4096 // whose puts are counted; those of further ones count as others
	maxShown   = 20   // with figures of their own; all further ones are one
)

// Who figures are of that are of no tenant.
const (
	shownOperator  = "(operator)"
	shownAnonymous = "(no token)" // all addresses together
	shownOthers    = "(others)"
	shownNobody    = "(refused)" // requests that were not admitted
)

// counts count puts since the process began.
type counts struct {
	mu      sync.Mutex
	tenants map[string]*counted
}

// counted are the puts of one tenant.
type counted struct {
	taken   uint64
	refused [whys]uint64
}

// count counts a request of a tenant by its error, which it returns.
func (h *Host) count(tenant string, err error) error {
	c := &h.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil {
		c.tenants = map[string]*counted{}
	}
	tenant = shown(tenant)
	if tenant == shownOperator && err != nil && Of(err).Why == Unauthorized {
		tenant = shownNobody
	}
	of := c.tenants[tenant]
	if of == nil {
		if len(c.tenants) >= maxCounted {
			tenant = shownOthers
			of = c.tenants[tenant]
		}
		if of == nil {
			of = new(counted)
			c.tenants[tenant] = of
		}
	}
	if err == nil {
		of.taken++
	} else {
		of.refused[Of(err).Why]++
	}
	return err
}

// shown is what figures of a tenant are called.
func shown(tenant string) string {
	switch {
	case tenant == "":
		return shownOperator
	case IsAnonymous(tenant):
		return shownAnonymous
	}
	return tenant
}

// Counts are puts since the process began.
type Counts struct {
	Taken   uint64
	Refused map[string]uint64 // by Why
}

// add adds the puts of a tenant.
func (c *Counts) add(of *counted) {
	c.Taken += of.taken
	for why, n := range of.refused {
		if n > 0 {
			if c.Refused == nil {
				c.Refused = map[string]uint64{}
			}
			c.Refused[Why(why).String()] += n
		}
	}
}

// Figures are what is to be seen of a tenant, or of several.
type Figures struct {
	Usage
	Counts
	AtRisk  int       // names near their EOL
	Soonest time.Time // EOL of the name that ends first; zero: it has none
}

// Figures returns the figures of the tenants with most names, and those of all others as
// one. What tenants have is left out until it was counted.
func (h *Host) Figures() []Figures {
	all := map[string]*Figures{}
	get := func(tenant string) *Figures {
		if all[tenant] == nil {
			all[tenant] = &Figures{Usage: Usage{Tenant: tenant}}
		}
		return all[tenant]
	}
	until := h.now().Add(h.Settings().Warn).Unix()
	u := &h.usage
	u.mu.Lock()
	if u.counted {
		for _, t := range u.tenants {
			f := get(shown(t.Tenant))
			f.Names += t.Names
			f.Bytes += t.Bytes
			f.Custodial += t.Custodial
		}
		for _, n := range u.names {
			f := get(shown(n.tenant.Tenant))
			if n.eol < until {
				f.AtRisk++
			}
			if end := time.Unix(n.eol, 0); f.Soonest.IsZero() || end.Before(f.Soonest) {
				f.Soonest = end
			}
		}
	}
	u.mu.Unlock()
	h.counts.mu.Lock()
	for tenant, of := range h.counts.tenants {
		get(tenant).Counts.add(of)
	}
	h.counts.mu.Unlock()
	var list []Figures
	for _, f := range all {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Figures) int {
		return cmp.Or(-cmp.Compare(a.Names+a.Custodial, b.Names+b.Custodial), -cmp.Compare(a.Taken, b.Taken), cmp.Compare(a.Tenant, b.Tenant))
	})
	return fold(list)
}

// fold makes one of all figures beyond the first maxShown, and of the puts that were not
// counted one by one.
func fold(list []Figures) []Figures {
	others := Figures{Usage: Usage{Tenant: shownOthers}}
	add := func(f Figures) {
		others.Names += f.Names
		others.Bytes += f.Bytes
		others.Custodial += f.Custodial
		others.AtRisk += f.AtRisk
		others.Taken += f.Taken
		for why, n := range f.Refused {
			if others.Refused == nil {
				others.Refused = map[string]uint64{}
			}
			others.Refused[why] += n
		}
		if others.Soonest.IsZero() || !f.Soonest.IsZero() && f.Soonest.Before(others.Soonest) {
			others.Soonest = f.Soonest
		}
	}
	i := slices.IndexFunc(list, func(f Figures) bool { return f.Tenant == shownOthers })
	if i >= 0 {
		add(list[i])
		list = slices.Delete(list, i, i+1)
	}
	if i < 0 && len(list) <= maxShown {
		return list
	}
	shown := min(len(list), maxShown)
	for _, f := range list[shown:] {
		add(f)
	}
	return append(list[:shown:shown], others)
}
