package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/goipns/ipns/internal/request"
)

// Body is implemented by a pointer to a request that uploads more than one small
// file. The upload may be read while the command writes its responses.
type Body interface {
	// ReadBody reads the upload. It may use r until the command ends.
	ReadBody(r *multipart.Reader) error
	// WriteBody writes the upload and closes w.
	WriteBody(w *multipart.Writer) error
}

// FileType is the media type of a file in an upload.
const FileType = "application/octet-stream"

// maxUpload bounds a small uploaded file, in bytes: a record or a key.
const maxUpload = 1 << 20

// read reads a request: the query and the upload.
func read(r *http.Request, req any) error {
	if err := request.Decode(r.URL.Query(), req); err != nil {
		return err
	}
	if b, ok := req.(Body); ok {
		mr, err := r.MultipartReader()
		if err != nil {
			return &request.Error{Plain: true, Err: errors.New("file argument 'path' is required")}
		}
		return b.ReadBody(mr)
	}
	u := request.UploadOf(req)
	if u == nil {
		return drain(r)
	}
	file, err := uploaded(r, u.Name)
	if err != nil {
		return err
	}
	u.Set(file)
	return drain(r)
}

// maxRest bounds how much of a body the command may leave unread, in bytes.
const maxRest = 64 << 10

// drain reads the rest of the body. Only then can the server notice that the client
// leaves while the command runs.
func drain(r *http.Request) error {
	switch _, err := io.CopyN(io.Discard, r.Body, maxRest); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return Refuse(fmt.Errorf("read the upload: %w", err))
	}
	return Refuse(errors.New("the upload has more than the command takes"))
}

// uploaded reads the file of an upload, at most maxUpload bytes.
func uploaded(r *http.Request, name string) (io.Reader, error) {
	required := &request.Error{Plain: true, Err: fmt.Errorf("file argument '%s' is required", name)}
	mr, err := r.MultipartReader()
	if err != nil {
		return nil, required
	}
	part, err := mr.NextPart()
	if err != nil {
		return nil, required
	}
	b, err := io.ReadAll(io.LimitReader(part, maxUpload+1))
	if err != nil {
		return nil, Refuse(fmt.Errorf("read %s: %w", name, err))
	}
	if len(b) > maxUpload {
		return nil, Refuse(fmt.Errorf("%s is larger than %d bytes", name, maxUpload))
	}
	return bytes.NewReader(b), nil
}

// writeBody returns a function that writes the upload of a request; nil if it has none.
func writeBody(req any) func(*multipart.Writer) error {
	if b, ok := req.(Body); ok {
		return b.WriteBody
	}
	u := request.UploadOf(req)
	if u == nil {
		return nil
	}
	return func(w *multipart.Writer) error {
		if err := WritePart(w, u.Name, u.Name, FileType, u.Reader()); err != nil {
			return err
		}
		return w.Close()
	}
}

// WritePart writes one part of an upload: field is the name of the form field, path that
// of the file. A nil body is empty.
func WritePart(w *multipart.Writer, field, path, mediaType string, body io.Reader) error {
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, field, url.QueryEscape(path)))
	h.Set("Content-Type", mediaType)
	part, err := w.CreatePart(h)
	if err != nil || body == nil {
		return err
	}
	_, err = io.Copy(part, body)
	return err
}
