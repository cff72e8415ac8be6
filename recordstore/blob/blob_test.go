package blob_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// FuzzDecode decodes bytes with the checksum that they should have, as each kind of blob.
// What can be read is written again as what reads the same.
func FuzzDecode(f *testing.F) {
	k := recordstoretest.KeyFromSeed(f, 1)
	e := k.Entry(f, 7, recordstoretest.Value(7), recordstore.Own)
	e.Version, e.Known, e.Span = 1<<63, recordstore.Generation{1}, time.Hour
	e.Rivals = append(e.Rivals, k.Record(f, 7, recordstoretest.Value(8), recordstoretest.Epoch.Add(time.Hour)))
	past := recordstore.Past{Record: e.Record, At: recordstoretest.Epoch}
	upkeep, err := blob.EncodeUpkeep(recordstore.Upkeep{Name: k.Name, Due: recordstoretest.Epoch, Holders: 20, LastErr: "x"})
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{
		blob.EncodeEntry(e), blob.EncodePast(past), upkeep,
		blob.EncodeSeen(recordstore.SeenMark{Name: k.Name, Mark: e.Mark, Until: recordstoretest.Epoch}),
	} {
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, blob.Castagnoli))
		if e, err := blob.DecodeEntry(b, recordstore.Generation{}); err == nil {
			first := blob.EncodeEntry(e)
			again, err := blob.DecodeEntry(first, recordstore.Generation{})
			if err != nil || !bytes.Equal(blob.EncodeEntry(again), first) {
				t.Errorf("entry %x is read again as %x: %v", first, blob.EncodeEntry(again), err)
			}
		}
		if p, err := blob.DecodePast(k.Name, b); err == nil {
			first := blob.EncodePast(p)
			again, err := blob.DecodePast(k.Name, first)
			if err != nil || !bytes.Equal(blob.EncodePast(again), first) {
				t.Errorf("version %x is read again as something else: %v", first, err)
			}
		}
		if s, err := blob.DecodeSeen(b); err == nil {
			first := blob.EncodeSeen(s)
			again, err := blob.DecodeSeen(first)
			if err != nil || !bytes.Equal(blob.EncodeSeen(again), first) {
				t.Errorf("mark %x is read again as something else: %v", first, err)
			}
		}
		if u, err := blob.DecodeUpkeep(b); err == nil {
			first, err := blob.EncodeUpkeep(u)
			if err != nil {
				t.Fatal(err)
			}
			again, err := blob.DecodeUpkeep(first)
			if err != nil {
				t.Fatal(err)
			}
			if second, err := blob.EncodeUpkeep(again); err != nil || !bytes.Equal(second, first) {
				t.Errorf("upkeep %x is read again as something else: %v", first, err)
			}
		}
	})
}
