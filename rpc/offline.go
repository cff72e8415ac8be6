package rpc

import (
	"context"
	"net/url"
	"slices"
	"strconv"
)

// offlineOptions are the names of Kubo's option for a request that is to be
// answered with what the node has, although it is on the network.
var offlineOptions = []string{"offline", "local", "L"}

type offlineKey struct{}

// Offline marks a request that is to be answered with what the node has.
func Offline(ctx context.Context) context.Context {
	return context.WithValue(ctx, offlineKey{}, true)
}

// IsOffline reports whether the request is to be answered with what the node has.
// Requests that cannot be list the option as one that they have not: see [Absent].
func IsOffline(ctx context.Context) bool {
	v, _ := ctx.Value(offlineKey{}).(bool)
	return v
}

func asksOffline(q url.Values) bool {
	return slices.ContainsFunc(offlineOptions, func(name string) bool {
		if !q.Has(name) {
			return false
		}
		on, err := strconv.ParseBool(q.Get(name))
		return on || err != nil // no value is true, as for every option
	})
}

// withoutOffline is a query for a node that is offline whoever asks.
func withoutOffline(q url.Values) url.Values {
	for _, name := range offlineOptions {
		q.Del(name)
	}
	return q
}
