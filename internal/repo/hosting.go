package repo

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Hosting configures what is kept for others, on the address Addresses.Hosting. Not a
// section of Kubo's.
type Hosting struct {
	// Policy is who may put records: "token": those with a token of 'ipns host token
	// create'; "allow": everybody, for the names in Allow; "open": everybody, within
	// Address. Tokens are good with each of them. "", "off": nobody.
	Policy string   `json:",omitempty"`
	Allow  []string `json:",omitempty"` // names
	// Tenant is what a tenant may have for which nothing else was said.
	Tenant HostingQuota `json:",omitzero"`
	// Address is what all who come from one address without a token may have together.
	Address  HostingQuota `json:",omitzero"`
	MaxNames int          `json:",omitempty"` // of all; 0: 1,000,000
	// MinRemaining is how long a record must still be valid; 0: 1 h. ShortLived is what
	// becomes of others: "refuse", or "" for a warning.
	MinRemaining Duration `json:",omitempty"`
	ShortLived   string   `json:",omitempty"`
	WarnBefore   Duration `json:",omitempty"` // the EOL, names are at risk; 0: 24 h
	// Abuse is whom to write to about abuse: an e-mail address or a URL.
	Abuse string `json:",omitempty"`
	// PrivateOrigins lets tenants name addresses that are not public, or have a domain, as
	// origins of what they pin: this node connects to them.
	PrivateOrigins bool `json:",omitempty"`
	// TLSCert and TLSKey are files in PEM. They are read again when they change. "": HTTP
	// without TLS, as behind a proxy.
	TLSCert string `json:",omitempty"`
	TLSKey  string `json:",omitempty"`
}

// HostingQuota limits what somebody has. 0: the default.
type HostingQuota struct {
	Names         int `json:",omitempty"`
	PutsPerMinute int `json:",omitempty"`
	Bytes         any `json:",omitempty"` // of records, such as "4MB"
	PinnedBytes   any `json:",omitempty"` // of content; 0: none
}

// Policies of Hosting.
var hostingPolicies = []string{"", "off", "token", "allow", "open"}

// Sizes returns Bytes and PinnedBytes.
func (q *HostingQuota) Sizes() (bytes, pinned int64, err error) {
	b, err := Size(q.Bytes, 0)
	p, err2 := Size(q.PinnedBytes, 0)
	return int64(b), int64(p), errors.Join(err, err2)
}

func (h *Hosting) check() error {
	if !slices.Contains(hostingPolicies, h.Policy) {
		return fmt.Errorf("config setting Hosting.Policy is %q: use off, token, allow or open", h.Policy)
	}
	if h.ShortLived != "" && h.ShortLived != "refuse" && h.ShortLived != "warn" {
		return fmt.Errorf("config setting Hosting.ShortLived is %q: use warn or refuse", h.ShortLived)
	}
	if (h.TLSCert == "") != (h.TLSKey == "") {
		return errors.New("config settings Hosting.TLSCert and Hosting.TLSKey: one needs the other")
	}
	for key, d := range map[string]Duration{"MinRemaining": h.MinRemaining, "WarnBefore": h.WarnBefore} {
		if d < 0 {
			return fmt.Errorf("config setting Hosting.%s is negative: %s", key, time.Duration(d))
		}
	}
	for key, q := range map[string]*HostingQuota{"Tenant": &h.Tenant, "Address": &h.Address} {
		if _, _, err := q.Sizes(); err != nil {
			return fmt.Errorf("config setting Hosting.%s: %w", key, err)
		}
		if q.Names < 0 || q.PutsPerMinute < 0 {
			return fmt.Errorf("config setting Hosting.%s is negative", key)
		}
	}
	if h.MaxNames < 0 {
		return fmt.Errorf("config setting Hosting.MaxNames is negative: %d", h.MaxNames)
	}
	return nil
}
