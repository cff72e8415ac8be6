package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Every value begins with the number of its layout and ends with a CRC-32C of
// all before it. Numbers are varints, a byte string is its length and itself,
// a time its Unix second and the nanoseconds after it. Records are stored as
// they were signed.
//
// An entry of layout 1 lacks Entered, Span and Rival. The generation has layout 2 since
// then: a version that does not know layout 2 reads it before anything else, and
// refuses the store as a whole instead of leaving names out.
const (
	layout           = 1
	entryLayout      = 2
	generationLayout = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("stored value is damaged")

type encoder struct{ b []byte }

func newEncoder(size int) *encoder { return newEncoderOf(layout, size) }

func newEncoderOf(layout byte, size int) *encoder {
	return &encoder{append(make([]byte, 0, size), layout)}
}

func (e *encoder) uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) bytes(v []byte) { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) time(t time.Time) {
	e.b = binary.AppendVarint(e.b, t.Unix())
	e.uint(uint64(t.Nanosecond()))
}

func (e *encoder) record(r *ipns.Record) {
	if r == nil {
		e.bytes(nil)
		return
	}
	e.bytes(r.Raw())
}

func (e *encoder) records(list []*ipns.Record) {
	e.uint(uint64(len(list)))
	for _, r := range list {
		e.record(r)
	}
}

func (e *encoder) mark(m recordstore.Mark) {
	e.uint(m.Sequence)
	e.time(m.EOL)
	e.b = append(e.b, m.Hash[:]...)
}

func (e *encoder) sum() []byte {
	return binary.BigEndian.AppendUint32(e.b, crc32.Checksum(e.b, castagnoli))
}

// decoder reads what encoder wrote. After the first error, which is err, it returns
// zero values.
type decoder struct {
	b      []byte
	layout byte
	err    error
}

func newDecoder(b []byte) *decoder { return newDecoderOf(layout, b) }

// newDecoderOf reads a value with a layout up to the newest.
func newDecoderOf(newest byte, b []byte) *decoder {
	d := &decoder{}
	n := len(b) - 4
	switch {
	case n < 1 || crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]):
		d.err = errDamaged
	case b[0] < 1 || b[0] > newest:
		d.err = fmt.Errorf("stored value has layout %d, which this version does not know", b[0])
	default:
		d.b, d.layout = b[1:n], b[0]
	}
	return d
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errDamaged
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// take returns the next n bytes, which belong to the store.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte { return d.take(d.uint()) }

func (d *decoder) time() time.Time {
	sec := d.int()
	return time.Unix(sec, int64(d.uint())).UTC()
}

func (d *decoder) mark() recordstore.Mark {
	m := recordstore.Mark{Sequence: d.uint(), EOL: d.time()}
	copy(m.Hash[:], d.take(uint64(len(m.Hash))))
	return m
}

func (d *decoder) name() ipns.Name {
	b := d.bytes()
	if d.err != nil {
		return ipns.Name{}
	}
	name, err := ipns.NameFromBinary(b)
	if err != nil {
		d.err = err
	}
	return name
}

func (d *decoder) record(name ipns.Name) *ipns.Record {
	raw := d.bytes()
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

func (d *decoder) records(name ipns.Name, limit int) []*ipns.Record {
	n := d.uint()
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

// done returns the error; bytes left over are one too.
func (d *decoder) done() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}

func encodeEntry(e recordstore.Entry) []byte {
	size := 256
	for _, r := range e.Kept() {
		size += len(r.Raw())
	}
	w := newEncoderOf(entryLayout, size)
	w.bytes(e.Name.Binary())
	w.uint(e.Version)
	w.uint(uint64(e.Origin))
	w.bytes([]byte(e.Tenant))
	w.mark(e.Mark)
	w.uint(e.Next)
	w.uint(e.Forks)
	w.b = append(w.b, e.Known[:]...)
	w.b = append(w.b, e.Entered[:]...)
	w.uint(uint64(e.Span))
	w.record(e.Rival)
	w.time(e.Changed)
	w.record(e.Record)
	w.records(e.Rivals)
	w.records(e.Staged)
	if e.Pending != nil {
		w.record(e.Pending)
	}
	return w.sum()
}

// decodeEntry reads an entry. Those of layout 1 get the generation that the store had
// before layout 2 as Entered.
func decodeEntry(b []byte, before recordstore.Generation) (recordstore.Entry, error) {
	d := newDecoderOf(entryLayout, b)
	e := recordstore.Entry{Name: d.name()}
	e.Version = d.uint()
	e.Origin = recordstore.Origin(d.uint())
	e.Tenant = string(d.bytes())
	e.Mark = d.mark()
	e.Next = d.uint()
	e.Forks = d.uint()
	copy(e.Known[:], d.take(uint64(len(e.Known))))
	if e.Entered = before; d.layout > 1 {
		copy(e.Entered[:], d.take(uint64(len(e.Entered))))
		e.Span = time.Duration(d.uint())
		e.Rival = d.record(e.Name)
	}
	e.Changed = d.time()
	e.Record = d.record(e.Name)
	e.Rivals = d.records(e.Name, recordstore.MaxRivals)
	e.Staged = d.records(e.Name, recordstore.MaxStaged)
	if len(d.b) > 0 {
		e.Pending = d.record(e.Name)
	}
	if err := d.done(); err != nil {
		return recordstore.Entry{}, err
	}
	return e, nil
}

func encodeUpkeep(u recordstore.Upkeep) ([]byte, error) {
	receipt, err := recordstore.EncodeReceipt(u.Receipt)
	if err != nil {
		return nil, err
	}
	w := newEncoder(128 + len(receipt))
	w.bytes(u.Name.Binary())
	w.time(u.Due)
	w.time(u.LastPut)
	w.b = append(w.b, u.Announced[:]...)
	w.uint(uint64(max(u.Holders, 0)))
	w.bytes([]byte(u.LastErr))
	w.bytes(receipt)
	return w.sum(), nil
}

func decodeUpkeep(b []byte) (recordstore.Upkeep, error) {
	d := newDecoder(b)
	u := recordstore.Upkeep{Name: d.name(), Due: d.time(), LastPut: d.time()}
	copy(u.Announced[:], d.take(uint64(len(u.Announced))))
	u.Holders = int(d.uint())
	u.LastErr = string(d.bytes())
	receipt := d.bytes()
	if err := d.done(); err != nil {
		return recordstore.Upkeep{}, err
	}
	// The checksum is right, so these bytes were written. If they cannot be read all
	// the same, the rest need not be lost for it.
	u.Receipt, _ = recordstore.DecodeReceipt(receipt)
	return u, nil
}

func encodeSeen(s recordstore.SeenMark) []byte {
	w := newEncoder(128)
	w.bytes(s.Name.Binary())
	w.mark(s.Mark)
	w.time(s.Until)
	return w.sum()
}

func decodeSeen(b []byte) (recordstore.SeenMark, error) {
	d := newDecoder(b)
	s := recordstore.SeenMark{Name: d.name(), Mark: d.mark(), Until: d.time()}
	if err := d.done(); err != nil {
		return recordstore.SeenMark{}, err
	}
	return s, nil
}

func encodePast(p recordstore.Past) []byte {
	w := newEncoder(64 + len(p.Record.Raw()))
	w.time(p.At)
	w.record(p.Record)
	return w.sum()
}

func decodePast(name ipns.Name, b []byte) (recordstore.Past, error) {
	d := newDecoder(b)
	p := recordstore.Past{At: d.time(), Record: d.record(name)}
	if d.err == nil && p.Record == nil {
		d.fail()
	}
	if err := d.done(); err != nil {
		return recordstore.Past{}, err
	}
	return p, nil
}
