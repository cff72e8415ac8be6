package api

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"mime"
	"mime/multipart"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns/rpc"
)

// Media types of the parts of an upload. A part of any other type is a file.
const (
	folderType  = "application/x-directory"
	formType    = "multipart/form-data" // an older type for folders
	symlinkType = "application/symlink"
	// unchangedType is a file without its content, which is in AddRequest.Base. Not of Kubo's.
	unchangedType = "application/vnd.ipns.unchanged"
)

// ReadBody implements [rpc.Body].
func (req *AddRequest) ReadBody(r *multipart.Reader) error {
	req.Files = readFiles(r)
	return nil
}

// WriteBody implements [rpc.Body].
func (req *AddRequest) WriteBody(w *multipart.Writer) error { return writeFiles(w, req.Files) }

// failedLast is the last line of a reply that failed after its first, for clients that
// cannot read trailers.
type failedLast struct {
	Message string
	Code    int
	Type    string
	Reason  string `json:",omitempty"`
}

func failed(err error) any {
	return failedLast{Message: err.Error(), Type: "error", Reason: rpc.ReasonOf(err)}
}

// failedAdd is the last line of an add that failed after its first line. Clients in
// JavaScript cannot read trailers, nor can clients behind some proxies; kubo-rpc-client
// throws on a Hash that is present and empty.
type failedAdd struct {
	Name, Hash, Message string
	Code                int
	Type                string
}

// Failed implements [rpc.Failer].
func (*AddRequest) Failed(err error) any {
	return failedAdd{Message: err.Error(), Type: "error"}
}

// Files is embedded in requests that upload files alone, of any size, in the order
// in which they are given.
type Files struct{ list iter.Seq2[File, error] }

// Give sets the files to upload.
func (f *Files) Give(files iter.Seq2[File, error]) { f.list = files }

// Each yields the content of each file; it is valid until the next one.
func (f *Files) Each() iter.Seq2[io.Reader, error] {
	return func(yield func(io.Reader, error) bool) {
		if f.list == nil {
			return
		}
		for file, err := range f.list {
			if err == nil && file.Kind != RegularFile {
				err = rpc.Refuse(fmt.Errorf("%s: expected a file", file.Path))
			}
			if !yield(file.Body, err) || err != nil {
				return
			}
		}
	}
}

// ReadBody implements [rpc.Body].
func (f *Files) ReadBody(r *multipart.Reader) error {
	f.list = readFiles(r)
	return nil
}

// WriteBody implements [rpc.Body].
func (f *Files) WriteBody(w *multipart.Writer) error {
	if f.list == nil {
		return w.Close()
	}
	return writeFiles(w, f.list)
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
	// The part's own FileName drops the directories of the path.
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return File{}, rpc.Refuse(fmt.Errorf("read the upload: %w", err))
	}
	f := File{Path: filePath(params["filename"]), Body: part}
	readStat(params["name"], &f)
	switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
	case folderType, formType:
		f.Kind = Folder
	case symlinkType:
		f.Kind = Symlink
	case unchangedType:
		f.Kind = Unchanged
	}
	return f, nil
}

// readStat reads mode and time, which stand in the name of a part as in a URL. Those that cannot be read are not known,
// as with Kubo.
func readStat(name string, f *File) {
	_, query, _ := strings.Cut(name, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	if mode, err := strconv.ParseUint(q.Get("mode"), 8, 32); err == nil {
		f.Mode = fs.FileMode(mode)
	}
	if !q.Has("mtime") && !q.Has("mtime-nsecs") {
		return
	}
	seconds, err := strconv.ParseInt(cmp.Or(q.Get("mtime"), "0"), 10, 64)
	if err != nil {
		return
	}
	nanos, _ := strconv.ParseInt(q.Get("mtime-nsecs"), 10, 64) // 0 if it cannot be read
	f.ModTime = time.Unix(seconds, nanos)
}

// writeStat returns the name of a part with the mode and the time of its file.
func writeStat(f File) string {
	q := url.Values{}
	if f.Mode != 0 {
		q.Set("mode", "0"+strconv.FormatUint(uint64(f.Mode), 8))
	}
	if !f.ModTime.IsZero() {
		q.Set("mtime", strconv.FormatInt(f.ModTime.Unix(), 10))
		if n := f.ModTime.Nanosecond(); n > 0 {
			q.Set("mtime-nsecs", strconv.Itoa(n))
		}
	}
	if len(q) == 0 {
		return "file"
	}
	return "file?" + q.Encode()
}

// filePath parses the file name of a part as Kubo does. Kubo's clients escape it, curl and browsers do not: an invalid
// escape is taken literally. The resulting path is clean and never leaves its root.
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
		kind := rpc.FileType
		switch f.Kind {
		case Folder:
			kind = folderType
		case Symlink:
			kind = symlinkType
		case Unchanged:
			kind = unchangedType
		}
		if err := rpc.WritePart(w, writeStat(f), f.Path, kind, f.Body); err != nil {
			return err
		}
	}
	return w.Close()
}
