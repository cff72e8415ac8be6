package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// silentHeader has the seconds for which the store of names that several daemons share has not answered: what
// others have published since is not known here.
const silentHeader = "X-Ipns-Silent"

// tellsSilence sets that header on answers that may depend on a name.
func tellsSilence(silent func() (time.Duration, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		immutable := strings.HasPrefix(r.URL.Path, "/ipfs/") || strings.Contains(r.Host, ".ipfs.")
		if d, _ := silent(); d > 0 && !immutable {
			w.Header().Set(silentHeader, strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
		}
		next.ServeHTTP(w, r)
	})
}
