package dht

import "time"

// Ripen has servers asked for records that they took at least d ago.
func (r *Router) Ripen(d time.Duration) { r.keeps.ripe = d }
