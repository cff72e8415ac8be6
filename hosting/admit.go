package hosting

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/door"
)

// Caller is on whose behalf something is done. The zero Caller may do nothing.
type Caller struct {
	// Tenant is a tenant, or an address if there was no token: see IsAnonymous.
	Tenant string
	Token  string // the ID of its token; "": none
	Scopes []Scope
	// Address is that of the client, for IPv6 its /64; zero: this machine.
	Address netip.Addr
	// Operator is who runs this node: rates do not count.
	Operator bool
}

// Operator returns the caller who runs this node, on behalf of a tenant, or of nobody.
func Operator(tenant string) Caller { return Caller{Tenant: tenant, Operator: true} }

// MayPut reports whether the caller's token allows records of a name that were signed
// elsewhere. Without a token the policy decides.
func (c *Caller) MayPut(name ipns.Name) bool {
	return c.Operator || slices.Contains(c.Scopes, ScopePut) || c.MayPublish(name.String())
}

// MayPublish reports whether the caller's token allows to publish under a name or a label
// whose key is kept here.
func (c *Caller) MayPublish(name string) bool {
	return c.Operator || slices.Contains(c.Scopes, ScopePublish+"*") || slices.Contains(c.Scopes, ScopePublish+Scope(name))
}

// tokenOf returns the token that a request shows. Some clients wrap it: as the password of
// Basic, or as the secret of "key:secret" in base64 as a Bearer.
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	token = strings.TrimSpace(token)
	if b, err := base64.StdEncoding.DecodeString(token); err == nil && !strings.HasPrefix(token, tokenPrefix) {
		if parts := strings.Split(string(b), ":"); len(parts) > 1 {
			return parts[1]
		}
	}
	return token
}

// Admit says who sends a request, or refuses it: for a token that is not valid, or for none
// where the policy wants one. What the caller may do is checked where it is done.
func (h *Host) Admit(r *http.Request) (Caller, error) {
	c, err := h.admit(r)
	if err != nil {
		return Caller{}, h.count("", err)
	}
	return c, nil
}

func (h *Host) admit(r *http.Request) (Caller, error) {
	policy, address := h.Settings().Policy, door.Client(r)
	if policy == Off {
		return Caller{}, refuse(Forbidden, "this node hosts no names of others")
	}
	token := tokenOf(r)
	if token == "" {
		if policy == Token || r.Header.Get("Authorization") != "" {
			return Caller{}, refuse(Unauthorized, "a token is needed: Authorization: Bearer TOKEN")
		}
		return Caller{Tenant: addressTenant + addressText(address), Address: address}, nil
	}
	t, err := h.find(r.Context(), token)
	if err != nil {
		// Who guesses waits. Who has a token does not, though others at the address guess.
		wait := h.rates.wait(h.now(), "guess:"+addressText(address), h.Settings().Address.PutsPerMinute, true)
		if Of(err).Why == Unauthorized && wait > 0 {
			err = refuseFor(wait, TooMany, "too many wrong tokens from this address")
		}
		return Caller{}, err
	}
	c := Caller{Tenant: t.Tenant, Token: t.ID, Scopes: t.Scopes, Address: address}
	return c, h.denied(r.Context(), "tenant:"+t.Tenant)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return "local"
	}
	return a.String()
}
