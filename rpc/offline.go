package rpc

import (
	"context"
	"net/url"
	"slices"
	"strconv"
)

// offlineOptions are the names of Kubo's option for answering a request from local data
// although the node is online.
var offlineOptions = []string{"offline", "local", "L"}

type offlineKey struct{}

// Offline marks a request that must be answered from local data.
func Offline(ctx context.Context) context.Context {
	return context.WithValue(ctx, offlineKey{}, true)
}

// IsOffline reports whether the request must be answered from local data. Requests that
// do not support this list the option as absent: see [Absent].
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
		return on || err != nil // without a value it is true, like every option
	})
}

// withoutOffline is a query without the option, for a node that is offline anyway.
func withoutOffline(q url.Values) url.Values {
	for _, name := range offlineOptions {
		q.Del(name)
	}
	return q
}
