// Package blob is the form in which stores keep what they know of a name, as bytes.
//
// Every blob begins with the number of its layout and ends with a CRC-32C of all before
// it. Numbers are varints, a byte string is its length and itself, a time its Unix second
// and the nanoseconds after it. Records are stored as they were signed, and not verified
// again when they are read: the checksum says that the bytes are those that were written.
package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Layout is that of all blobs but entries. An entry of layout 1 lacks Entered, Span and
// Rival.
const (
	Layout      = 1
	entryLayout = 2
)

// Castagnoli is the table of the checksums.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged means that bytes are not those that were written.
var ErrDamaged = errors.New("stored value is damaged")

// Encoder writes one blob.
type Encoder struct{ b []byte }

// NewEncoder begins a blob of about size bytes.
func NewEncoder(size int) *Encoder { return NewEncoderOf(Layout, size) }

// NewEncoderOf begins a blob of a layout.
func NewEncoderOf(layout byte, size int) *Encoder {
	return &Encoder{append(make([]byte, 0, size), layout)}
}

// Uint adds a number.
func (e *Encoder) Uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

// Fixed adds bytes whose number the reader knows.
func (e *Encoder) Fixed(v []byte) { e.b = append(e.b, v...) }

// Bytes adds any number of bytes.
func (e *Encoder) Bytes(v []byte) { e.Uint(uint64(len(v))); e.b = append(e.b, v...) }

func (e *Encoder) time(t time.Time) {
	e.b = binary.AppendVarint(e.b, t.Unix())
	e.Uint(uint64(t.Nanosecond()))
}

func (e *Encoder) record(r *ipns.Record) {
	if r == nil {
		e.Bytes(nil)
		return
	}
	e.Bytes(r.Raw())
}

func (e *Encoder) records(list []*ipns.Record) {
	e.Uint(uint64(len(list)))
	for _, r := range list {
		e.record(r)
	}
}

func (e *Encoder) mark(m recordstore.Mark) {
	e.Uint(m.Sequence)
	e.time(m.EOL)
	e.Fixed(m.Hash[:])
}

// Sum ends the blob and returns it.
func (e *Encoder) Sum() []byte {
	return binary.BigEndian.AppendUint32(e.b, crc32.Checksum(e.b, Castagnoli))
}

// Decoder reads what an Encoder wrote. After the first error it returns zero values.
type Decoder struct {
	b      []byte
	layout byte
	err    error
}

// NewDecoder reads a blob.
func NewDecoder(b []byte) *Decoder { return NewDecoderOf(Layout, b) }

// NewDecoderOf reads a blob with a layout up to the newest.
func NewDecoderOf(newest byte, b []byte) *Decoder {
	d := &Decoder{}
	n := len(b) - 4
	switch {
	case n < 1 || crc32.Checksum(b[:n], Castagnoli) != binary.BigEndian.Uint32(b[n:]):
		d.err = ErrDamaged
	case b[0] < 1 || b[0] > newest:
		d.err = fmt.Errorf("stored value has layout %d, which this version does not know", b[0])
	default:
		d.b, d.layout = b[1:n], b[0]
	}
	return d
}

func (d *Decoder) fail() {
	if d.err == nil {
		d.err = ErrDamaged
	}
	d.b = nil
}

// Layout returns the layout of the blob.
func (d *Decoder) Layout() byte { return d.layout }

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Uint reads a number.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *Decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// Take returns the next n bytes, which belong to the blob.
func (d *Decoder) Take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

// Bytes reads any number of bytes, which belong to the blob.
func (d *Decoder) Bytes() []byte { return d.Take(d.Uint()) }

func (d *Decoder) time() time.Time {
	sec := d.int()
	return time.Unix(sec, int64(d.Uint())).UTC()
}

func (d *Decoder) mark() recordstore.Mark {
	m := recordstore.Mark{Sequence: d.Uint(), EOL: d.time()}
	copy(m.Hash[:], d.Take(uint64(len(m.Hash))))
	return m
}

// Name reads a name.
func (d *Decoder) Name() ipns.Name {
	b := d.Bytes()
	if d.err != nil {
		return ipns.Name{}
	}
	name, err := ipns.NameFromBinary(b)
	if err != nil {
		d.err = err
	}
	return name
}

// FirstName returns the name with which a damaged blob begins, if it can be read.
func FirstName(b []byte) (ipns.Name, bool) {
	if len(b) < 2 {
		return ipns.Name{}, false
	}
	d := &Decoder{b: b[1:]}
	name := d.Name()
	return name, d.err == nil
}

func (d *Decoder) record(name ipns.Name) *ipns.Record {
	raw := d.Bytes()
	if len(raw) == 0 || d.err != nil {
		return nil
	}
	r, err := ipns.Load(name, raw)
	if err != nil {
		d.err = err
		return nil
	}
	return r
}

func (d *Decoder) records(name ipns.Name, limit int) []*ipns.Record {
	n := d.Uint()
	if n > uint64(limit) {
		d.fail()
		return nil
	}
	var list []*ipns.Record
	for range n {
		if r := d.record(name); r != nil {
			list = append(list, r)
		}
	}
	return list
}

// Done returns the error; bytes left over are one too.
func (d *Decoder) Done() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}

// EncodeEntry returns an entry as a blob.
func EncodeEntry(e recordstore.Entry) []byte {
	size := 256
	for _, r := range e.Kept() {
		size += len(r.Raw())
	}
	w := NewEncoderOf(entryLayout, size)
	w.Bytes(e.Name.Binary())
	w.Uint(e.Version)
	w.Uint(uint64(e.Origin))
	w.Bytes([]byte(e.Tenant))
	w.mark(e.Mark)
	w.Uint(e.Next)
	w.Uint(e.Forks)
	w.Fixed(e.Known[:])
	w.Fixed(e.Entered[:])
	w.Uint(uint64(e.Span))
	w.record(e.Rival)
	w.time(e.Changed)
	w.record(e.Record)
	w.records(e.Rivals)
	w.records(e.Staged)
	if e.Pending != nil {
		w.record(e.Pending)
	}
	return w.Sum()
}

// DecodeEntry reads an entry. Those of layout 1 get the generation that the store had
// before layout 2 as Entered.
func DecodeEntry(b []byte, before recordstore.Generation) (recordstore.Entry, error) {
	d := NewDecoderOf(entryLayout, b)
	e := recordstore.Entry{Name: d.Name()}
	e.Version = d.Uint()
	e.Origin = recordstore.Origin(d.Uint())
	e.Tenant = string(d.Bytes())
	e.Mark = d.mark()
	e.Next = d.Uint()
	e.Forks = d.Uint()
	copy(e.Known[:], d.Take(uint64(len(e.Known))))
	if e.Entered = before; d.layout > 1 {
		copy(e.Entered[:], d.Take(uint64(len(e.Entered))))
		e.Span = time.Duration(d.Uint())
		e.Rival = d.record(e.Name)
	}
	e.Changed = d.time()
	e.Record = d.record(e.Name)
	e.Rivals = d.records(e.Name, recordstore.MaxRivals)
	e.Staged = d.records(e.Name, recordstore.MaxStaged)
	if len(d.b) > 0 {
		e.Pending = d.record(e.Name)
	}
	if err := d.Done(); err != nil {
		return recordstore.Entry{}, err
	}
	return e, nil
}

// EncodeUpkeep returns upkeep as a blob.
func EncodeUpkeep(u recordstore.Upkeep) ([]byte, error) {
	receipt, err := recordstore.EncodeReceipt(u.Receipt)
	if err != nil {
		return nil, err
	}
	w := NewEncoder(128 + len(receipt))
	w.Bytes(u.Name.Binary())
	w.time(u.Due)
	w.time(u.LastPut)
	w.Fixed(u.Announced[:])
	w.Uint(uint64(max(u.Holders, 0)))
	w.Bytes([]byte(u.LastErr))
	w.Bytes(receipt)
	return w.Sum(), nil
}

// DecodeUpkeep reads upkeep.
func DecodeUpkeep(b []byte) (recordstore.Upkeep, error) {
	d := NewDecoder(b)
	u := recordstore.Upkeep{Name: d.Name(), Due: d.time(), LastPut: d.time()}
	copy(u.Announced[:], d.Take(uint64(len(u.Announced))))
	u.Holders = int(d.Uint())
	u.LastErr = string(d.Bytes())
	receipt := d.Bytes()
	if err := d.Done(); err != nil {
		return recordstore.Upkeep{}, err
	}
	// The checksum is right, so these bytes were written. If they cannot be read all
	// the same, the rest need not be lost for it.
	u.Receipt, _ = recordstore.DecodeReceipt(receipt)
	return u, nil
}

// EncodeSeen returns the mark of a seen name as a blob.
func EncodeSeen(s recordstore.SeenMark) []byte {
	w := NewEncoder(128)
	w.Bytes(s.Name.Binary())
	w.mark(s.Mark)
	w.time(s.Until)
	return w.Sum()
}

// DecodeSeen reads the mark of a seen name.
func DecodeSeen(b []byte) (recordstore.SeenMark, error) {
	d := NewDecoder(b)
	s := recordstore.SeenMark{Name: d.Name(), Mark: d.mark(), Until: d.time()}
	if err := d.Done(); err != nil {
		return recordstore.SeenMark{}, err
	}
	return s, nil
}

// EncodePast returns a version of a name as a blob.
func EncodePast(p recordstore.Past) []byte {
	w := NewEncoder(64 + len(p.Record.Raw()))
	w.time(p.At)
	w.record(p.Record)
	return w.Sum()
}

// DecodePast reads a version of a name.
func DecodePast(name ipns.Name, b []byte) (recordstore.Past, error) {
	d := NewDecoder(b)
	p := recordstore.Past{At: d.time(), Record: d.record(name)}
	if d.err == nil && p.Record == nil {
		d.fail()
	}
	if err := d.Done(); err != nil {
		return recordstore.Past{}, err
	}
	return p, nil
}
