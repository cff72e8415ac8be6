package doors

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/recordstore"
)

// maxW3Body bounds the body of a put: a record in base64, and a line break.
const maxW3Body = (ipns.MaxRecordSize+2)/3*4 + 2

// addW3Name adds the protocol of the w3name service: its clients work with another URL. A name
// is read by everybody; a record comes as the body of a POST, in base64.
func (d *doors) addW3Name(mux *mux) {
	mux.HandleFunc("GET /name/{key}", d.w3Get)
	mux.HandleFunc("POST /name/{key}", d.w3Post)
	if d.Watch != nil {
		mux.HandleFunc("GET /name/{key}/watch", d.w3Watch)
	}
}

// w3Said is the body of most answers.
type w3Said struct {
	Message string `json:"message,omitempty"`
	ID      string `json:"id,omitempty"`
}

// W3Update tells of a record.
type W3Update struct {
	Key    string `json:"key,omitempty"` // only to those who watch
	Value  string `json:"value"`
	Record string `json:"record"` // in base64
}

// Updated returns what those who watch a name are told of its record.
func Updated(rec *ipns.Record) W3Update {
	u := current(rec)
	u.Key = rec.Name().String()
	return u
}

func current(rec *ipns.Record) W3Update {
	return W3Update{Value: rec.Value(), Record: base64.StdEncoding.EncodeToString(rec.Raw())}
}

func (d *doors) w3Get(w http.ResponseWriter, r *http.Request) {
	name, ok := w3Key(w, r)
	if !ok {
		return
	}
	e, err := d.Host.Book.Get(r.Context(), name)
	if err == nil && e.Record == nil {
		err = recordstore.ErrNotFound
	}
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		answer(w, http.StatusNotFound, w3Said{Message: "record not found for key: " + name.String() + ". Only names that are kept here are found here."})
	case err != nil:
		w3Refuse(w, err)
	default:
		answer(w, http.StatusOK, current(e.Record))
	}
}

func (d *doors) w3Post(w http.ResponseWriter, r *http.Request) {
	name, ok := w3Key(w, r)
	if !ok {
		return
	}
	caller, err := d.Host.Admit(r)
	if err != nil {
		w3Refuse(w, err)
		return
	}
	body, err := readBody(w, r, maxW3Body)
	if err != nil {
		status, text := bodyError(err)
		answer(w, status, w3Said{Message: "invalid ipns entry: " + text})
		return
	}
	raw, err := decodeBase64(body)
	if err != nil {
		answer(w, http.StatusBadRequest, w3Said{Message: "invalid ipns entry: " + err.Error()})
		return
	}
	if _, err := d.Host.Put(r.Context(), caller, name, raw); err != nil {
		w3Refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, w3Said{ID: r.PathValue("key")})
}

func (d *doors) w3Watch(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("key") == "*" {
		d.Watch(w, r, ipns.Name{})
		return
	}
	if name, ok := w3Key(w, r); ok {
		d.Watch(w, r, name)
	}
}

// w3Key returns the name of a request.
func w3Key(w http.ResponseWriter, r *http.Request) (ipns.Name, bool) {
	name, err := ipns.ParseName(r.PathValue("key"))
	if err != nil {
		answer(w, http.StatusBadRequest, w3Said{Message: "Invalid key: cannot parse CID: " + err.Error()})
		return name, false
	}
	return name, true
}

// w3Refuse answers with a refusal. The service calls all that is wrong with a record 400,
// which its clients show.
func w3Refuse(w http.ResponseWriter, err error) {
	refusal := hosting.Of(err)
	status, message := refused(w.Header(), refusal), refusal.Error()
	switch refusal.Why {
	case hosting.Outdated:
		status, message = http.StatusBadRequest, "invalid record: the record is outdated."
	case hosting.Invalid, hosting.WrongName, hosting.Expired, hosting.ShortLived:
		message = "invalid ipns entry: " + message
	}
	answer(w, status, w3Said{Message: message})
}

// decodeBase64 decodes a body, with or without padding.
func decodeBase64(body []byte) ([]byte, error) {
	text := strings.TrimRight(strings.TrimSpace(string(body)), "=")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err == nil && len(raw) == 0 {
		err = errors.New("the body is empty")
	}
	return raw, err
}
