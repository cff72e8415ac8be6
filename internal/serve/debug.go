package serve

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
)

// withDebug serves, besides the API, what Kubo has on its port to watch a program by:
// the profiles of Go, what sets how they are taken, and the metrics.
func withDebug(api http.Handler, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	if metrics != nil {
		mux.Handle("/debug/metrics/prometheus", metrics)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /debug/pprof-mutex/", sets("fraction", func(n int) { runtime.SetMutexProfileFraction(n) }))
	mux.HandleFunc("POST /debug/pprof-block/", sets("rate", runtime.SetBlockProfileRate))
	return mux
}

// sets sets the number in a parameter.
func sets(parameter string, set func(int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue(parameter))
		if err != nil {
			http.Error(w, "parameter '"+parameter+"' must be a number", http.StatusBadRequest)
			return
		}
		set(n)
	}
}
