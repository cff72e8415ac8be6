package content

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"mime"
	"mime/multipart"
	"net/url"
	"path"
)

// FromMultipart is the tree in the body of an add request of the RPC API. Each part is an entry: its Content-Type tells
// a directory (application/x-directory) and a symbolic link (application/symlink, the target is its content) from a
// file (all others); its filename, URL-escaped, is the path.
func FromMultipart(r *multipart.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			part, err := r.NextRawPart()
			if err == io.EOF { // not errors.Is: a body that breaks off is an error that wraps io.EOF
				return
			}
			var e Entry
			if err == nil {
				e, err = partEntry(part)
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("read the request: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func partEntry(part *multipart.Part) (Entry, error) {
	e := Entry{Path: partPath(part)}
	kind := part.Header.Get("Content-Type")
	if kind != "" {
		var err error
		if kind, _, err = mime.ParseMediaType(kind); err != nil {
			return e, fmt.Errorf("content type of %q: %w", e.Path, err)
		}
	}
	switch kind {
	case "application/x-directory", "multipart/form-data":
		e.Mode = fs.ModeDir
	case "application/symlink":
		target, err := io.ReadAll(io.LimitReader(part, maxTarget+1))
		if err != nil {
			return e, fmt.Errorf("target of link %q: %w", e.Path, err)
		}
		e.Mode, e.Target = fs.ModeSymlink, string(target)
	default:
		e.Content = part
	}
	return e, nil
}

// partPath is the cleaned path of a part, "" when it has none. multipart.Part.FileName would keep the last element only.
func partPath(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	name := params["filename"]
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return path.Clean("/" + name)[1:]
}
