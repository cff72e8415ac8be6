package names

import (
	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// judge returns the entry updated with rec, and the outcome of comparing the two.
func judge(e recordstore.Entry, rec *ipns.Record) (recordstore.Entry, Outcome) {
	mark := recordstore.MarkOf(rec)
	cur := e.Record
	if cur != nil && rec.DataHash() == cur.DataHash() {
		return e, Same
	}
	if isFork(e, rec) {
		return fork(e, rec), Fork
	}
	if mark.Compare(e.Mark) < 0 || cur != nil && ipns.Compare(rec, cur) <= 0 {
		return e, Older
	}
	if cur == nil || rec.Sequence() > cur.Sequence() {
		e.Rivals = nil
	}
	e.Record, e.Mark = rec, mark
	e.Next = max(e.Next, after(rec.Sequence()))
	return e, New
}

// isFork reports whether rec has the entry's sequence and another value, and is not
// a rival already kept.
func isFork(e recordstore.Entry, rec *ipns.Record) bool {
	if e.Record == nil || rec.Sequence() != e.Record.Sequence() || rec.Value() == e.Record.Value() {
		return false
	}
	for _, r := range e.Rivals {
		if r.Value() == rec.Value() && ipns.Compare(rec, r) <= 0 {
			return false
		}
	}
	return true
}

// fork adds rec to the rivals; the greater of rec and Record becomes Record. A
// renewal of a rival replaces it. If there are too many, the lowest is dropped.
func fork(e recordstore.Entry, rec *ipns.Record) recordstore.Entry {
	rivals := []*ipns.Record{}
	known := false
	for _, r := range e.Rivals {
		if r.Value() == rec.Value() {
			known = true
			continue
		}
		rivals = append(rivals, r)
	}
	if !known {
		e.Forks++
	}
	if ipns.Compare(rec, e.Record) > 0 {
		rec, e.Record = e.Record, rec
		e.Mark = recordstore.MarkOf(e.Record)
	}
	rivals = append(rivals, rec)
	if len(rivals) > recordstore.MaxRivals {
		rivals = dropLowest(rivals)
	}
	e.Rivals = rivals
	return e
}

func dropLowest(list []*ipns.Record) []*ipns.Record {
	low := 0
	for i, r := range list {
		if ipns.Compare(r, list[low]) < 0 {
			low = i
		}
	}
	return append(list[:low], list[low+1:]...)
}

// after returns the sequence after seq, or seq if it is the highest possible.
func after(seq uint64) uint64 {
	if seq == 1<<64-1 {
		return seq
	}
	return seq + 1
}
