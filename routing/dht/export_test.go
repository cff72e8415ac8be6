package dht

import "time"

// Ripen sets how old a sample must be before servers are queried for it.
func (r *Router) Ripen(d time.Duration) { r.keeps.ripe = d }
