package content

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/ipld/merkledag"
	unixfile "github.com/ipfs/boxo/ipld/unixfs/file"
)

// ArchiveOptions say what [Store.Archive] writes.
type ArchiveOptions struct {
	// Name is what the root is called in it.
	Name string
	// Exact keeps times to the nanosecond, for whoever unpacks the archive at once.
	Exact bool
	// Level compresses it with gzip: 1 to 9, or -1 for the usual level; 0: not at all.
	Level int
	// Plain writes the content of a file alone, without a TAR archive around it.
	Plain bool
}

// archiveBuffer is how much of an archive is made before its reader asks for it, in bytes.
const archiveBuffer = 1 << 20

// Archive returns the file or directory at an immutable path as a TAR archive, and the size of its content in bytes.
// Missing blocks are fetched as they are read, until ctx ends. The caller closes it.
func (s *Store) Archive(ctx context.Context, p string, o ArchiveOptions) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	dag := merkledag.NewSession(ctx, s.dag)
	node, err := s.nodeAt(ctx, dag, p)
	var file files.Node
	if err == nil {
		file, err = unixfile.NewUnixfsFile(ctx, readOnly{dag}, node)
	}
	var size int64
	if err == nil {
		size, err = file.Size()
	}
	var plain files.File
	if err == nil && o.Plain {
		if plain = files.ToFile(file); plain == nil {
			err = errors.New("file is not regular")
		}
	}
	if err != nil {
		cancel()
		return nil, 0, err
	}
	r, w := io.Pipe()
	a := &export{PipeReader: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		// A codec reads what strangers made, and here no server catches its panic.
		defer func() {
			if v := recover(); v != nil {
				w.CloseWithError(fmt.Errorf("archive %s: reading a block failed: %v", p, v))
			}
		}()
		w.CloseWithError(writeArchive(w, file, plain, o))
	}()
	return a, size, nil
}

// writeArchive writes file as a TAR archive or, if it is set, plain as it is.
func writeArchive(w io.Writer, file files.Node, plain files.File, o ArchiveOptions) error {
	buffer := bufio.NewWriterSize(w, archiveBuffer)
	out, done := io.Writer(buffer), func() error { return nil }
	if o.Level != 0 {
		z, err := gzip.NewWriterLevel(buffer, o.Level)
		if err != nil {
			return err
		}
		out, done = z, z.Close
	}
	if plain != nil {
		if _, err := io.Copy(out, plain); err != nil {
			return err
		}
	} else {
		archive, err := files.NewTarWriter(out)
		if err != nil {
			return err
		}
		if o.Exact {
			archive.SetFormat(tar.FormatPAX)
		}
		if err := archive.WriteFile(file, path.Base(o.Name)); err != nil {
			return err
		}
		if err := archive.Close(); err != nil {
			return err
		}
	}
	if err := done(); err != nil {
		return err
	}
	return buffer.Flush()
}
