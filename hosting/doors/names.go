package doors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/recordstore"
)

// maxNameBody bounds a body of the names API: an RSA key is the longest that it has.
const maxNameBody = 32 << 10

// addNames adds the names API in the shape of Filebase's: names of tenants whose keys are kept
// here.
func (d *doors) addNames(mux *mux) {
	mux.HandleFunc("GET /v1/names", d.listNames)
	mux.HandleFunc("POST /v1/names", d.createName)
	mux.HandleFunc("GET /v1/names/{label}", d.getName)
	mux.HandleFunc("PUT /v1/names/{label}", d.changeName)
	mux.HandleFunc("DELETE /v1/names/{label}", d.removeName)
}

// hostedName is what clients are told of a name. What is not known yet is null.
type hostedName struct {
	Label       string     `json:"label"`
	NetworkKey  string     `json:"network_key"`
	CID         *string    `json:"cid"`
	Sequence    *uint64    `json:"sequence"`
	Enabled     bool       `json:"enabled"`
	PublishedAt *time.Time `json:"published_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

// nameRequest is what clients send.
type nameRequest struct {
	Label   string `json:"label"`
	CID     string `json:"cid"`
	Key     string `json:"network_private_key"`
	Enabled *bool  `json:"enabled"`
}

// caller returns who asks, if he has a token.
func (d *doors) caller(w http.ResponseWriter, r *http.Request) (hosting.Caller, bool) {
	c, err := d.Host.Admit(r)
	if err == nil && hosting.IsAnonymous(c.Tenant) {
		err = &hosting.Refusal{Why: hosting.Unauthorized, Err: errors.New("a token is needed: Authorization: Bearer TOKEN")}
	}
	if err != nil {
		failWith(w, err)
		return c, false
	}
	return c, true
}

// nameFail answers with an error of a name.
func nameFail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		fail(w, http.StatusNotFound, "NOT_FOUND", "there is no name with this label")
	case errors.Is(err, hosting.ErrLabelTaken):
		fail(w, http.StatusConflict, "CONFLICT", err.Error())
	default:
		failWith(w, err)
	}
}

func (d *doors) listNames(w http.ResponseWriter, r *http.Request) {
	c, ok := d.caller(w, r)
	if !ok {
		return
	}
	all, err := d.Host.Custodials(r.Context(), c.Tenant)
	list := []hostedName{}
	for _, n := range all {
		var o hostedName
		if o, err = d.nameObject(r.Context(), n); err != nil {
			break
		}
		list = append(list, o)
	}
	if err != nil {
		nameFail(w, err)
		return
	}
	answer(w, http.StatusOK, list)
}

func (d *doors) getName(w http.ResponseWriter, r *http.Request) {
	c, ok := d.caller(w, r)
	if !ok {
		return
	}
	n, err := d.Host.Custodial(r.Context(), c.Tenant, r.PathValue("label"))
	d.showName(w, r, n, err)
}

// showName answers with a name.
func (d *doors) showName(w http.ResponseWriter, r *http.Request, n hosting.Custodial, err error) {
	var o hostedName
	if err == nil {
		o, err = d.nameObject(r.Context(), n)
	}
	if err != nil {
		nameFail(w, err)
		return
	}
	answer(w, http.StatusOK, o)
}

// nameObject describes a name: what was published last comes from the Book.
func (d *doors) nameObject(ctx context.Context, n hosting.Custodial) (hostedName, error) {
	o := hostedName{Label: n.Label, NetworkKey: n.Name, Enabled: !n.Stopped, CreatedAt: n.Created, UpdatedAt: n.Changed}
	value := n.Value
	name, err := ipns.ParseName(n.Name)
	if err != nil {
		return o, fmt.Errorf("name %s: %w", n.Label, err)
	}
	e, err := d.Host.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return o, err
	}
	if e.Record != nil {
		sequence := e.Record.Sequence()
		o.Sequence, o.PublishedAt = &sequence, &e.Changed
		if !n.Stopped {
			value = e.Record.Value()
		}
	}
	if value != "" {
		text := strings.TrimPrefix(value, "/ipfs/")
		o.CID = &text
	}
	return o, nil
}

func (d *doors) createName(w http.ResponseWriter, r *http.Request) {
	c, ok := d.caller(w, r)
	if !ok {
		return
	}
	var req nameRequest
	err := decode(w, r, maxNameBody, &req)
	var value string
	if err == nil {
		value, err = valueOf(req.CID)
	}
	var key crypto.PrivKey
	if err == nil && req.Key != "" {
		key, err = importedKey(req.Key)
	}
	if err != nil {
		failWith(w, err)
		return
	}
	n, err := d.Host.CreateCustodial(r.Context(), c, hosting.CustodialRequest{Label: req.Label, Value: value, Key: key, Stopped: req.Enabled != nil && !*req.Enabled})
	d.showName(w, r, n, err)
}

func (d *doors) changeName(w http.ResponseWriter, r *http.Request) {
	c, ok := d.caller(w, r)
	if !ok {
		return
	}
	var req nameRequest
	err := decode(w, r, maxNameBody, &req)
	var value string
	if err == nil && req.CID != "" {
		value, err = valueOf(req.CID)
	}
	if err == nil && req.CID == "" && req.Enabled == nil {
		err = &errBody{http.StatusBadRequest, "there is neither cid nor enabled to change"}
	}
	if err != nil {
		failWith(w, err)
		return
	}
	n, err := d.Host.ChangeCustodial(r.Context(), c, r.PathValue("label"), value, req.Enabled)
	d.showName(w, r, n, err)
}

func (d *doors) removeName(w http.ResponseWriter, r *http.Request) {
	c, ok := d.caller(w, r)
	if !ok {
		return
	}
	if err := d.Host.RemoveCustodial(r.Context(), c, r.PathValue("label")); err != nil {
		nameFail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// valueOf returns the path of a CID, which may have /ipfs/ before it.
func valueOf(text string) (string, error) {
	c, err := cid.Decode(strings.TrimPrefix(text, "/ipfs/"))
	if err != nil {
		return "", &errBody{http.StatusBadRequest, fmt.Sprintf("cid %.100q: %v", text, err)}
	}
	return "/ipfs/" + c.String(), nil
}

// importedKey reads a private key in any form that is known, such as base64.
func importedKey(text string) (crypto.PrivKey, error) {
	key, _, err := ipns.RecognizeKey([]byte(text))
	if err != nil {
		return nil, &errBody{http.StatusBadRequest, "network_private_key: " + err.Error()}
	}
	return key, nil
}
