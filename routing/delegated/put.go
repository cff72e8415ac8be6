package delegated

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/goipns/ipns"
)

// put takes a record that somebody sends.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, name ipns.Name) {
	if !carries(r.Header, ipns.RecordMediaType) {
		plain(w, http.StatusNotAcceptable, "content type in 'Content-Type' header is missing or not supported, use '"+ipns.RecordMediaType+"'")
		return
	}
	tooLong := func() { plain(w, http.StatusRequestEntityTooLarge, "provided record is too long") }
	if r.ContentLength > ipns.MaxRecordSize {
		tooLong()
		return
	}
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	if _, err := body.ReadFrom(io.LimitReader(r.Body, ipns.MaxRecordSize+1)); err != nil {
		plain(w, http.StatusBadRequest, "provided record can't be read: "+err.Error())
		return
	}
	if body.Len() > ipns.MaxRecordSize {
		tooLong()
		return
	}
	rec, err := h.Opener.Open(name, body.Bytes())
	if err != nil {
		plain(w, http.StatusBadRequest, "provided record is invalid: "+err.Error())
		return
	}
	h.taken(w, h.Take(r, rec))
}

// taken answers a PUT by what Take said.
func (h *Handler) taken(w http.ResponseWriter, err error) {
	var newer *NewerError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.As(err, &newer) && newer.Current == nil:
		plain(w, http.StatusConflict, err.Error())
	case errors.As(err, &newer):
		raw := newer.Current.Raw()
		w.Header().Set("Content-Type", ipns.RecordMediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write(raw)
	case errors.Is(err, ErrRefused):
		plain(w, http.StatusForbidden, err.Error())
	default:
		fail(w, err)
	}
}

// carries reports whether the body has the media type.
func carries(head http.Header, mediaType string) bool {
	value := head.Get("Content-Type")
	if value == mediaType {
		return true
	}
	for part := range strings.SplitSeq(value, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == mediaType {
			return true
		}
	}
	return false
}
