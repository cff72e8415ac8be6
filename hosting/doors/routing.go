package doors

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/routing/delegated"
)

// addRouting adds the records of Delegated Routing V1: PUT takes one by the policy, GET
// shows the newest.
func (d *doors) addRouting(mux *mux) {
	read := &delegated.Handler{Find: d.find}
	mux.Handle("/routing/v1/", read)
	mux.HandleFunc("/routing/v1/ipns/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			d.putRecord(w, r)
			return
		}
		if name, err := ipns.ParseName(r.PathValue("name")); err == nil {
			var no *hosting.Refusal
			if err := d.Host.DeniedName(r.Context(), name); errors.As(err, &no) {
				refused(w.Header(), no)
				plain(w, http.StatusGone, no.Error())
				return
			}
		}
		read.ServeHTTP(w, r)
	})
}

// putRecord takes a record.
func (d *doors) putRecord(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != ipns.RecordMediaType {
		plain(w, http.StatusNotAcceptable, "content type in 'Content-Type' header is missing or not supported, use '"+ipns.RecordMediaType+"'")
		return
	}
	name, err := ipns.ParseName(r.PathValue("name"))
	if err != nil {
		plain(w, http.StatusBadRequest, "unable to parse name: "+err.Error())
		return
	}
	caller, err := d.Host.Admit(r)
	if err != nil {
		refuseRecord(w, hosting.Of(err))
		return
	}
	raw, status, err := readRecord(r)
	if err != nil {
		plain(w, status, err.Error())
		return
	}
	taken, err := d.Host.Put(r.Context(), caller, name, raw)
	if err != nil {
		refuseRecord(w, hosting.Of(err))
		return
	}
	if taken.Warning != "" {
		w.Header().Set("Warning", `199 - `+strconv.Quote(taken.Warning))
	}
	w.WriteHeader(http.StatusOK)
}

// readRecord reads a record from a body, or returns the status for why it cannot.
func readRecord(r *http.Request) (raw []byte, status int, err error) {
	var body bytes.Buffer
	if r.ContentLength <= ipns.MaxRecordSize {
		_, err = body.ReadFrom(io.LimitReader(r.Body, ipns.MaxRecordSize+1))
	}
	switch {
	case r.ContentLength > ipns.MaxRecordSize, body.Len() > ipns.MaxRecordSize:
		return nil, http.StatusRequestEntityTooLarge, errors.New("provided record is too long")
	case err != nil:
		return nil, http.StatusBadRequest, errors.New("provided record can't be read: " + err.Error())
	}
	return body.Bytes(), 0, nil
}

// refuseRecord says why a record is not taken: with the newer one if there is one.
func refuseRecord(w http.ResponseWriter, r *hosting.Refusal) {
	status := refused(w.Header(), r)
	if r.Why == hosting.Outdated && r.Current != nil {
		w.Header().Set("Content-Type", ipns.RecordMediaType)
		w.WriteHeader(status)
		_, _ = w.Write(r.Current.Raw()) // the client may be gone
		return
	}
	plain(w, status, r.Error())
}
