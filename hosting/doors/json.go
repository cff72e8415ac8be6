package doors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/goipns/ipns/hosting"
)

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) {
	head := w.Header()
	head.Set("Content-Type", "application/json; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error is that of a client that has gone
}

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// bodyError returns the status and the text for a body that could not be read.
func bodyError(err error) (status int, text string) {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", long.Limit)
	}
	return http.StatusBadRequest, "the body can't be read: " + err.Error()
}

// errBody means that a body is not what it should be.
type errBody struct {
	status int
	text   string
}

func (e *errBody) Error() string { return e.text }

// decode reads a body of JSON, one value, into v. Fields that are not known are ignored, as
// by the services: their clients send more than is documented.
func decode(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := readBody(w, r, limit)
	if err != nil {
		status, text := bodyError(err)
		return &errBody{status, text}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		return &errBody{http.StatusBadRequest, "the body is not the JSON that is expected: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &errBody{http.StatusBadRequest, "something follows the JSON in the body"}
	}
	return nil
}

// failure is how the names API and the Pinning Service API say what went wrong.
type failure struct {
	Error reason `json:"error"`
}

type reason struct {
	Reason  string `json:"reason"`
	Details string `json:"details,omitempty"`
}

func fail(w http.ResponseWriter, status int, why, details string) {
	answer(w, status, failure{reason{why, details}})
}

// failWith answers with an error: that of a body, or a refusal.
func failWith(w http.ResponseWriter, err error) {
	var body *errBody
	if errors.As(err, &body) {
		fail(w, body.status, "BAD_REQUEST", body.text)
		return
	}
	refusal := hosting.Of(err)
	status := refused(w.Header(), refusal)
	why := strings.ToUpper(strings.ReplaceAll(refusal.Why.String(), "-", "_"))
	if refusal.Why == hosting.Failed {
		why = "INTERNAL_SERVER_ERROR"
	}
	fail(w, status, why, refusal.Error())
}
