package doors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/watch"
)

// maxW3Body bounds the body of a put: a record in base64, and a line break.
const maxW3Body = (ipns.MaxRecordSize+2)/3*4 + 2

// addW3Name adds the protocol of the w3name service: its clients work with another URL. A name
// is read by everybody; a record comes as the body of a POST, in base64.
func (d *doors) addW3Name(mux *mux) {
	mux.HandleFunc("GET /name/{key}", d.w3Get)
	mux.HandleFunc("POST /name/{key}", d.w3Post)
	if d.Names != nil {
		mux.HandleFunc("GET /name/{key}/watch", d.w3Watch)
	}
}

// w3Said is the body of most answers.
type w3Said struct {
	Message string `json:"message,omitempty"`
	ID      string `json:"id,omitempty"`
}

// w3Record is a record as clients get it.
type w3Record struct {
	Key    string `json:"key,omitempty"` // only for those who watch
	Value  string `json:"value"`
	Record string `json:"record"` // in base64
}

func w3RecordOf(rec *ipns.Record) w3Record {
	return w3Record{Value: rec.Value(), Record: base64.StdEncoding.EncodeToString(rec.Raw())}
}

func (d *doors) w3Get(w http.ResponseWriter, r *http.Request) {
	name, ok := w3Key(w, r)
	if !ok {
		return
	}
	if err := d.Host.DeniedName(r.Context(), name); err != nil {
		w3Refuse(w, err)
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
		answer(w, http.StatusOK, w3RecordOf(e.Record))
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

// w3Watch sends the records of a name as they change, or of all names that the tenant of a
// token has here.
func (d *doors) w3Watch(w http.ResponseWriter, r *http.Request) {
	if !watch.IsSocket(r) {
		answer(w, http.StatusBadRequest, w3Said{Message: "expected websocket upgrade"})
		return
	}
	var req watch.Request
	token := r.Header.Get("Authorization") != ""
	if token {
		caller, err := d.Host.Admit(r)
		if err != nil {
			w3Refuse(w, err)
			return
		}
		req.Caller = caller.Tenant
	}
	encode := w3Event
	if r.PathValue("key") == "*" {
		if req.Caller == "" || hosting.IsAnonymous(req.Caller) {
			answer(w, http.StatusUnauthorized, w3Said{Message: "a token is needed: * are the names of its tenant"})
			return
		}
		encode = func(e watch.Event) []byte {
			if !d.Host.Has(req.Caller, e.Entry) {
				return nil
			}
			return w3Event(e)
		}
	} else {
		name, ok := w3Key(w, r)
		if !ok {
			return
		}
		if err := d.Host.DeniedName(r.Context(), name); err != nil {
			w3Refuse(w, err)
			return
		}
		req.Names = []ipns.Name{name}
	}
	if req.Caller == "" {
		req.Caller, req.Stranger = "@"+hostOf(r.RemoteAddr), true
	}
	still := context.WithoutCancel(r.Context()) // that of a request ends when its connection is taken over
	req.Still = func() bool {
		if token {
			if _, err := d.Host.Admit(r.WithContext(still)); err != nil {
				return false
			}
		}
		return d.anyDenied(still, req.Names) == nil
	}
	d.Names.Socket(w, r, req, encode)
}

// anyDenied refuses if one of the names is on the deny list.
func (d *doors) anyDenied(ctx context.Context, names []ipns.Name) error {
	for _, name := range names {
		if err := d.Host.DeniedName(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// hostOf returns the address in host:port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// w3Event is what a client is told of an event: nothing but new records.
func w3Event(e watch.Event) []byte {
	if e.Kind&watch.Changed == 0 || e.Entry.Record == nil {
		return nil
	}
	told := w3RecordOf(e.Entry.Record)
	told.Key = e.Entry.Name.String()
	b, err := json.Marshal(told)
	if err != nil {
		return nil // it has only texts
	}
	return b
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
