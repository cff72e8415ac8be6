package doors

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// contactLife is for how long the contact is said to hold.
const contactLife = 30 * 24 * time.Hour

// wellKnown says what this server is, at /.well-known/ipns-hosting.
type wellKnown struct {
	Policy string `json:"policy"`
	Abuse  string `json:"abuse,omitempty"` // whom to write to
}

// addWellKnown adds what the server says of itself: whom to write to about abuse.
func (d *doors) addWellKnown(mux *mux) {
	mux.HandleFunc("GET /.well-known/ipns-hosting", func(w http.ResponseWriter, _ *http.Request) {
		s := d.Host.Settings()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(wellKnown{string(s.Policy), s.Contact}) // the client may be gone
	})
	mux.HandleFunc("GET /.well-known/security.txt", func(w http.ResponseWriter, r *http.Request) {
		contact := d.contact()
		if contact == "" {
			http.NotFound(w, r)
			return
		}
		expires := time.Now().Add(contactLife).UTC().Truncate(24 * time.Hour).Format(time.RFC3339)
		plain(w, http.StatusOK, fmt.Sprintf("Contact: %s\nExpires: %s", contact, expires))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		text := "This server keeps IPNS names alive for others."
		if contact := d.contact(); contact != "" {
			text += "\nAbuse: " + contact
		}
		plain(w, http.StatusOK, text)
	})
}

// contact is the abuse contact as a URI.
func (d *doors) contact() string {
	c := d.Host.Settings().Contact
	if c == "" || strings.Contains(c, ":") {
		return c
	}
	return "mailto:" + c
}
