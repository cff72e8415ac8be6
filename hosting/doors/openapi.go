package doors

import (
	_ "embed"
	"net/http"
)

// openAPI describes all that the doors serve. A test holds it against them.
//
//go:embed openapi.json
var openAPI []byte

// addOpenAPI adds the description of the doors.
func (d *doors) addOpenAPI(mux *mux) {
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI) // the client may be gone
	})
}

// mux is a ServeMux that knows its patterns.
type mux struct {
	http.ServeMux
	patterns []string
}

// HandleFunc registers the handler of a pattern.
func (m *mux) HandleFunc(pattern string, h http.HandlerFunc) { m.Handle(pattern, h) }

// Handle registers the handler of a pattern.
func (m *mux) Handle(pattern string, h http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, h)
}
