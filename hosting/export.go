package hosting

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Hosted yields the entries of hosted names, of one tenant or of all if all is set, in the
// order of their Kademlia ids.
func (h *Host) Hosted(ctx context.Context, tenant string, all bool) iter.Seq2[recordstore.Entry, error] {
	return func(yield func(recordstore.Entry, error) bool) {
		for e, err := range h.Book.Scan(ctx, recordstore.Region{}) {
			if err == nil && (e.Origin != recordstore.Hosted || e.Record == nil || !all && e.Tenant != tenant) {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Item is a record of an export or an import; as JSON it is one line of NDJSON.
type Item struct {
	Name   string
	Tenant string `json:",omitempty"`
	Record []byte // as it was signed
}

// Formats of an export. An import recognizes them.
const (
	NDJSON = "ndjson"
	Tar    = "tar"
)

// recordFile ends the names of the files in a tar.
const recordFile = ".ipns-record"

// Export writes the records of entries in a format.
func Export(w io.Writer, format string, entries iter.Seq2[recordstore.Entry, error]) error {
	out := bufio.NewWriter(w)
	add := func(i Item) error { return json.NewEncoder(out).Encode(i) }
	end := out.Flush
	switch format {
	case NDJSON:
	case Tar:
		t := tar.NewWriter(out)
		now := time.Now().Truncate(time.Second)
		add = func(i Item) error {
			err := t.WriteHeader(&tar.Header{Name: path.Join(i.Tenant, i.Name+recordFile), Mode: 0o644, Size: int64(len(i.Record)), ModTime: now})
			if err == nil {
				_, err = t.Write(i.Record)
			}
			return err
		}
		end = func() error {
			if err := t.Close(); err != nil {
				return err
			}
			return out.Flush()
		}
	default:
		return fmt.Errorf("format %q: use %s or %s", format, NDJSON, Tar)
	}
	for e, err := range entries {
		if err == nil {
			err = add(Item{Name: e.Name.String(), Tenant: e.Tenant, Record: e.Record.Raw()})
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if err := end(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// maxLine bounds a line of NDJSON: a record in base64, its name and tenant.
const maxLine = 2*ipns.MaxRecordSize + 4096

// Items yields the records of an export in any format, with the place of each, such as
// "line 7". It ends at the first error.
func Items(r io.Reader) iter.Seq2[Placed, error] {
	in := bufio.NewReaderSize(r, 64<<10)
	head, _ := in.Peek(512) // what is shorter is no tar
	if len(head) == 512 && string(head[257:262]) == "ustar" {
		return tarItems(in)
	}
	return func(yield func(Placed, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 16<<10), maxLine)
		n := 0
		for lines.Scan() {
			n++
			text := strings.TrimSpace(lines.Text())
			if text == "" {
				continue
			}
			p := Placed{Place: fmt.Sprintf("line %d", n)}
			err := json.Unmarshal([]byte(text), &p.Item)
			if err != nil {
				err = fmt.Errorf("%s: it is no record of an export: %w", p.Place, err)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Placed{}, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}

// Placed is an Item and where it was found.
type Placed struct {
	Item
	Place string
}

func tarItems(r io.Reader) iter.Seq2[Placed, error] {
	return func(yield func(Placed, error) bool) {
		t := tar.NewReader(r)
		for {
			head, err := t.Next()
			if err == io.EOF { // not errors.Is: an end in the middle is an error that wraps it
				return
			}
			p := Placed{}
			if err == nil {
				p.Place = head.Name
				if head.Typeflag != tar.TypeReg {
					continue
				}
				dir, file := path.Split(path.Clean(head.Name))
				p.Name, p.Tenant = strings.TrimSuffix(file, recordFile), strings.Trim(dir, "/")
				p.Record, err = io.ReadAll(io.LimitReader(t, ipns.MaxRecordSize+1))
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", p.Place, err)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}
