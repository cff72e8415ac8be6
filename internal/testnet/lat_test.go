package testnet_test

import (
	"testing"
	"time"
	"slices"
	"context"
)

func TestLat(t *testing.T) {
	nw := start(t, 30)
	c := join(t, nw)
	name, _ := c.put()
	r := c.dht.LAN
	var at [20][]time.Duration
	for range 100 {
		begin := time.Now()
		n := 0
		ctx, cancel := context.WithCancel(t.Context())
		for _, err := range r.Search(ctx, name) {
			if err != nil { t.Log(err); break }
			at[n] = append(at[n], time.Since(begin))
			n++
			if n == 8 { break }
		}
		cancel()
		time.Sleep(50*time.Millisecond)
	}
	for i := range 8 {
		slices.Sort(at[i])
		t.Log(i+1, at[i][len(at[i])/2], at[i][len(at[i])*95/100])
	}
}
