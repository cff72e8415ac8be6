package republisher

import (
	"context"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
)

const (
	samples     = 2                // names of a sector that are read back before they are put
	sampleEvery = 8                // but no more than one in so many
	sampleLimit = 20 * time.Second // for one of them
	sampleShare = 0.3              // of a new sample in the mean
	keptWell    = 0.9              // share of holders that makes the period longer
	keptBadly   = 0.6              // and that makes it shorter
	trusted     = 4                // samples before anything is concluded
)

// survival is how many of those asked still had a record when its next put came.
type survival struct {
	mean  float64 // share of holders, newer samples count more
	count int     // samples so far
}

func (s *survival) add(share float64) {
	if s.count++; s.count == 1 {
		s.mean = share
		return
	}
	s.mean += sampleShare * (share - s.mean)
}

// period is how often a name of the origin is put, by what is known of its sector.
func (r *Republisher) period(origin recordstore.Origin, sector int) time.Duration {
	r.mu.Lock()
	s := r.survival[sector]
	r.mu.Unlock()
	own := origin == recordstore.Own
	period := r.hostedPeriod()
	if own {
		period = r.ownPeriod()
	}
	switch {
	case s.count < trusted:
	case s.mean < keptBadly:
		period /= 2
	case s.mean >= keptWell && !own:
		period *= 2
	}
	return period
}

// readBack asks the network for a few names of those that are about to be put
// again, and notes how many of those that should have them do.
func (r *Republisher) readBack(ctx context.Context, list []recordstore.Work) {
	now := r.now()
	var wg sync.WaitGroup
	defer wg.Wait()
	var inSector [sectors]int
	for i := sampleEvery - 1; i < len(list); i += sampleEvery {
		w, sector := list[i], sectorOf(list[i].Entry.Name)
		u := w.Upkeep
		if u.LastErr != "" || u.Holders == 0 || u.Announced != w.Entry.Record.Hash() || now.Sub(u.LastPut) < r.ownPeriod()/2 {
			continue // it tells nothing about forgetting
		}
		if inSector[sector] == samples {
			continue
		}
		inSector[sector]++
		wg.Go(func() { r.sample(ctx, sector, w) })
	}
}

// sample reads one name back.
func (r *Republisher) sample(ctx context.Context, sector int, w recordstore.Work) {
	ctx, cancel := context.WithTimeout(ctx, sampleLimit)
	defer cancel()
	have, answered := 0, 0
	for a, err := range r.Router.Search(ctx, w.Entry.Name) {
		if err != nil {
			break // what answered until then still tells something
		}
		answered++
		if a.Record == nil {
			continue
		}
		if a.Record.Hash() == w.Upkeep.Announced {
			have++
		} else {
			r.newer(ctx, w.Entry, a.Record)
		}
	}
	if answered == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.samples++
	r.survival[sector].add(min(1, float64(have)/float64(min(answered, max(1, w.Upkeep.Holders)))))
}
