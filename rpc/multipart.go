package rpc

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
)

// Media types of the parts of an upload. A part of any other type is a file.
const (
	folderType  = "application/x-directory"
	formType    = "multipart/form-data" // an older one for folders
	symlinkType = "application/symlink"
	fileType    = "application/octet-stream"
)

// uploaded reads the one file of an upload, at most maxUpload bytes.
func uploaded(r *http.Request, name string) (io.Reader, error) {
	required := &optionError{fmt.Errorf("file argument '%s' is required", name)}
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

// readFiles reads files and folders from an upload, in the order sent.
func readFiles(mr *multipart.Reader) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for {
			part, err := mr.NextPart()
			if err == io.EOF { // not errors.Is: an upload without its end is an error that wraps io.EOF
				return
			}
			if err != nil {
				yield(File{}, fmt.Errorf("read the upload: %w", err))
				return
			}
			if !yield(fileOf(part)) {
				return
			}
		}
	}
}

func fileOf(part *multipart.Part) (File, error) {
	// The part's own FileName drops the folders of the path.
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return File{}, Refuse(fmt.Errorf("read the upload: %w", err))
	}
	f := File{Path: filePath(params["filename"]), Body: part}
	switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
	case folderType, formType:
		f.Kind = Folder
	case symlinkType:
		f.Kind = Symlink
	}
	return f, nil
}

// filePath reads the file name of a part as Kubo does. Its clients escape it, curl and browsers don't: what is no valid
// escape is meant as it stands. The path that comes out is clean and leads nowhere above its root.
func filePath(name string) string {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return path.Clean("/" + name)[1:]
}

// writeFiles writes files and folders as an upload.
func writeFiles(w *multipart.Writer, files iter.Seq2[File, error]) error {
	for f, err := range files {
		if err != nil {
			return err
		}
		kind := fileType
		switch f.Kind {
		case Folder:
			kind = folderType
		case Symlink:
			kind = symlinkType
		}
		if err := writePart(w, "file", f.Path, kind, f.Body); err != nil {
			return err
		}
	}
	return w.Close()
}

func writePart(w *multipart.Writer, name, path, kind string, body io.Reader) error {
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, name, url.QueryEscape(path)))
	h.Set("Content-Type", kind)
	part, err := w.CreatePart(h)
	if err != nil || body == nil {
		return err
	}
	_, err = io.Copy(part, body)
	return err
}
