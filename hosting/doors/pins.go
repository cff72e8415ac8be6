package doors

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/pins"
	"github.com/goipns/ipns/watch"
)

// Limits of the Pinning Service API.
const (
	maxPinBody   = 64 << 10
	maxPinCIDs   = 10 // in a query
	defaultLimit = 10 // results
	maxLimit     = 1000
)

// addPins adds the Pinning Service API, version 1.0.0, for tenants that may keep content. It is
// below the root, and below /v1/ipfs, where the client of Filebase asks for it.
func (d *doors) addPins(mux *mux) {
	if d.Pins == nil {
		return
	}
	for _, at := range []string{"", "/v1/ipfs"} {
		replaced := http.StatusAccepted
		if at != "" {
			replaced = http.StatusOK // which that client wants
		}
		mux.HandleFunc("GET "+at+"/pins", d.listPins)
		mux.HandleFunc("POST "+at+"/pins", d.addPin)
		mux.HandleFunc("GET "+at+"/pins/{requestid}", d.getPin)
		mux.HandleFunc("POST "+at+"/pins/{requestid}", d.replacePin(replaced))
		mux.HandleFunc("DELETE "+at+"/pins/{requestid}", d.removePin)
	}
}

// pinObject is what a client asks for.
type pinObject struct {
	CID     string            `json:"cid"`
	Name    string            `json:"name,omitempty"`
	Origins []string          `json:"origins,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
}

// pinState is how a request stands.
type pinState struct {
	RequestID string            `json:"requestid"`
	Status    string            `json:"status"`
	Created   string            `json:"created"`
	Pin       pinObject         `json:"pin"`
	Delegates []string          `json:"delegates"`
	Info      map[string]string `json:"info,omitempty"`
}

type pinResults struct {
	Count   int        `json:"count"`
	Results []pinState `json:"results"`
}

// pinTenant returns who asks; write says that something is to change, which counts as a put.
func (d *doors) pinTenant(w http.ResponseWriter, r *http.Request, write bool) (string, bool) {
	c, err := d.Host.Admit(r)
	switch {
	case err != nil:
	case hosting.IsAnonymous(c.Tenant):
		err = &hosting.Refusal{Why: hosting.Unauthorized, Err: errors.New("a token is needed: Authorization: Bearer TOKEN")}
	case write && !slices.Contains(c.Scopes, hosting.ScopePut):
		err = &hosting.Refusal{Why: hosting.Forbidden, Err: errors.New("the token does not have the scope put")}
	case write:
		var end func()
		if end, err = d.Host.Begin(r.Context(), c); err == nil {
			end() // a row needs no turn
		}
	}
	if err != nil {
		failWith(w, err)
		return "", false
	}
	return c.Tenant, true
}

// pinStatus returns what clients are told of a pin.
func (d *doors) pinStatus(p pins.Pin) pinState {
	s := pinState{
		RequestID: p.ID, Status: p.Status, Created: p.Created.Format("2006-01-02T15:04:05.000Z07:00"),
		Pin:       pinObject{CID: p.CID.String(), Name: p.Name, Meta: p.Meta},
		Delegates: d.Pins.Delegates(p),
	}
	switch {
	case p.Why != "":
		s.Info = map[string]string{"status_details": p.Why}
	case p.Status == pins.Pinned:
		s.Info = map[string]string{"dag_size": strconv.FormatUint(p.Size, 10)}
	}
	return s
}

// pinFail answers with an error of a pin.
func pinFail(w http.ResponseWriter, err error) {
	var bad *pins.RequestError
	switch {
	case errors.As(err, &bad):
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
	case errors.Is(err, pins.ErrNotFound):
		fail(w, http.StatusNotFound, "NOT_FOUND", "The specified resource was not found")
	case errors.Is(err, pins.ErrNotAllowed):
		fail(w, http.StatusForbidden, "FORBIDDEN", err.Error())
	case errors.Is(err, pins.ErrQuota):
		fail(w, http.StatusConflict, "INSUFFICIENT_FUNDS", err.Error())
	default:
		failWith(w, err)
	}
}

func (d *doors) listPins(w http.ResponseWriter, r *http.Request) {
	tenant, ok := d.pinTenant(w, r, false)
	if !ok {
		return
	}
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	found, count, err := d.Pins.List(r.Context(), tenant, q)
	if err != nil {
		pinFail(w, err)
		return
	}
	results := pinResults{Count: count, Results: []pinState{}}
	for _, p := range found {
		results.Results = append(results.Results, d.pinStatus(p))
	}
	answer(w, http.StatusOK, results)
}

func (d *doors) addPin(w http.ResponseWriter, r *http.Request) {
	tenant, ok := d.pinTenant(w, r, true)
	if !ok {
		return
	}
	req, err := readPin(w, r, d.Host.Settings().PrivateOrigins)
	if err != nil {
		failWith(w, err)
		return
	}
	pin, err := d.Pins.Add(r.Context(), tenant, req)
	if err != nil {
		pinFail(w, err)
		return
	}
	answer(w, http.StatusAccepted, d.pinStatus(pin))
}

func (d *doors) getPin(w http.ResponseWriter, r *http.Request) {
	tenant, ok := d.pinTenant(w, r, false)
	if !ok {
		return
	}
	pin, err := d.Pins.Get(r.Context(), tenant, r.PathValue("requestid"))
	if err != nil {
		pinFail(w, err)
		return
	}
	answer(w, http.StatusOK, d.pinStatus(pin))
}

func (d *doors) replacePin(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tenant, ok := d.pinTenant(w, r, true)
		if !ok {
			return
		}
		req, err := readPin(w, r, d.Host.Settings().PrivateOrigins)
		if err != nil {
			failWith(w, err)
			return
		}
		pin, err := d.Pins.Replace(r.Context(), tenant, r.PathValue("requestid"), req)
		if err != nil {
			pinFail(w, err)
			return
		}
		answer(w, status, d.pinStatus(pin))
	}
}

func (d *doors) removePin(w http.ResponseWriter, r *http.Request) {
	tenant, ok := d.pinTenant(w, r, true)
	if !ok {
		return
	}
	if err := d.Pins.Remove(r.Context(), tenant, r.PathValue("requestid")); err != nil {
		pinFail(w, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// readPin reads the pin object of a request.
func readPin(w http.ResponseWriter, r *http.Request, private bool) (pins.Request, error) {
	var o pinObject
	if err := decode(w, r, maxPinBody, &o); err != nil {
		return pins.Request{}, err
	}
	return o.request(private)
}

// request returns what a pin object asks for. private says that origins may have addresses that are not
// public.
func (o pinObject) request(private bool) (pins.Request, error) {
	req := pins.Request{Name: o.Name, Meta: o.Meta}
	var err error
	if req.CID, err = cid.Decode(o.CID); err != nil {
		return req, &errBody{http.StatusBadRequest, fmt.Sprintf("cid %.100q: %v", o.CID, err)}
	}
	if len(o.Origins) > pins.MaxOrigins {
		return req, &errBody{http.StatusBadRequest, fmt.Sprintf("there are %d origins, the limit is %d", len(o.Origins), pins.MaxOrigins)}
	}
	var addrs []ma.Multiaddr
	for _, text := range o.Origins {
		// What can't be used is left out: origins are hints.
		a, err := ma.NewMultiaddr(text)
		if err != nil || !private && !isPublic(a) {
			continue
		}
		if at, err := peer.AddrInfoFromP2pAddr(a); err == nil && len(at.Addrs) > 0 {
			addrs = append(addrs, a)
		}
	}
	req.Origins, err = peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		req.Origins = nil
	}
	return req, nil
}

// isPublic reports whether an address, or that of its relay, is one of the internet. One with a domain is
// not: a tenant could have it lead into the network of this node.
func isPublic(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	at, ok := netip.AddrFromSlice(ip)
	return ok && watch.IsPublic(at)
}

// matches are the ways to compare names, as queries say them.
var matches = map[string]pins.Match{"": pins.Exact, "exact": pins.Exact, "iexact": pins.AnyCase, "partial": pins.Part, "ipartial": pins.PartAnyCase}

// parseQuery reads the query of a list. Lists come with commas, or as parameters that are
// repeated.
func parseQuery(v url.Values) (pins.Query, error) {
	q := pins.Query{Limit: defaultLimit, Statuses: []string{pins.Pinned}}
	for _, text := range elements(v["cid"]) {
		c, err := cid.Decode(text)
		if err != nil {
			return q, fmt.Errorf("cid %.100q: %w", text, err)
		}
		q.CIDs = append(q.CIDs, c)
	}
	if len(q.CIDs) > maxPinCIDs {
		return q, fmt.Errorf("there are %d CIDs, the limit is %d", len(q.CIDs), maxPinCIDs)
	}
	if q.Name = v.Get("name"); len(q.Name) > pins.MaxName {
		return q, fmt.Errorf("the name has %d bytes, the limit is %d", len(q.Name), pins.MaxName)
	}
	var ok bool
	if q.Match, ok = matches[v.Get("match")]; !ok {
		return q, fmt.Errorf("match %.40q: use exact, iexact, partial or ipartial", v.Get("match"))
	}
	if list := elements(v["status"]); len(list) > 0 {
		q.Statuses = list
	}
	for _, s := range q.Statuses {
		if !slices.Contains([]string{pins.Queued, pins.Pinning, pins.Pinned, pins.Failed}, s) {
			return q, fmt.Errorf("status %.40q: use queued, pinning, pinned or failed", s)
		}
	}
	for key, at := range map[string]*time.Time{"before": &q.Before, "after": &q.After} {
		text := v.Get(key)
		if text == "" {
			continue
		}
		var err error
		if *at, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return q, fmt.Errorf("%s %.40q is no time as in RFC 3339", key, text)
		}
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return q, fmt.Errorf("limit %.40q: use a number from 1 to %d", text, maxLimit)
		}
		q.Limit = n
	}
	if text := v.Get("meta"); text != "" {
		if err := json.Unmarshal([]byte(text), &q.Meta); err != nil {
			return q, fmt.Errorf("meta is no JSON object with texts: %w", err)
		}
	}
	return q, nil
}

// elements returns the elements of lists.
func elements(values []string) []string {
	var all []string
	for _, v := range values {
		for e := range strings.SplitSeq(v, ",") {
			if e = strings.TrimSpace(e); e != "" {
				all = append(all, e)
			}
		}
	}
	return all
}
