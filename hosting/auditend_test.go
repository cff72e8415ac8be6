package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// loggedRows calls before ahead of each write.
type loggedRows struct {
	recordstore.MemoryRows
	before func(write int)
	writes atomic.Int32
}

func (r *loggedRows) Swap(ctx context.Context, row recordstore.Row) (recordstore.Row, error) {
	r.before(int(r.writes.Add(1)))
	return r.MemoryRows.Swap(ctx, row)
}

// Who logs while lines of others keep coming writes its own batch, not all of theirs.
func TestALineOfTheAuditLogWaitsForItsOwnWriteOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 20
		rows := &loggedRows{}
		h := &Host{Rows: rows}
		var lines sync.WaitGroup
		log := func() {
			lines.Go(func() {
				if err := h.Audit(t.Context(), Line{What: "put"}); err != nil {
					t.Error(err)
				}
			})
		}
		over := make(chan int, 1)
		rows.before = func(write int) {
			if write < all { // another line comes during each write
				log()
				synctest.Wait()
			}
		}
		lines.Go(func() {
			if err := h.Audit(t.Context(), Line{What: "put"}); err != nil {
				t.Error(err)
			}
			over <- int(rows.writes.Load())
		})
		lines.Wait()
		// The second write may have begun when the first caller goes on.
		if n := <-over; n > 2 {
			t.Errorf("the first line was written by the first write, and its caller waited for %d", n)
		}
		checkLog(t, h, all)
	})
}

// checkLog checks that the log is whole and has n lines.
func checkLog(t *testing.T, h *Host, n int) {
	t.Helper()
	got := 0
	for _, err := range h.AuditLog(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != n {
		t.Errorf("the log has %d lines, not %d", got, n)
	}
}

// A value that is no text, or is cut in the middle of a character, does not make the log
// look as if somebody had changed it.
func TestAnyValueLeavesTheAuditLogWhole(t *testing.T) {
	h := &Host{Rows: &recordstore.MemoryRows{}}
	for _, value := range []string{"\xff\xfe", "a" + strings.Repeat("é", maxAuditValue), "\x00\u2028<&>", "\uFFFD"} {
		if err := h.Audit(t.Context(), Line{What: "put", Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	checkLog(t, h, 4)
}

// However long the values are, as many lines as are written at once fit into a row.
func TestABatchOfTheAuditLogFitsIntoARow(t *testing.T) {
	l := Line{
		Number: 1 << 63, Time: time.Now().UTC(), What: "token-create", Tenant: strings.Repeat("t", maxTenantName), Token: "0123456789ab",
		Address: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Name: strings.Repeat("k", 128), Sequence: 1 << 63,
		Value: strings.Repeat("<", maxAuditValue),
	}
	l.Hash = l.chain("")
	lines := make([]Line, auditBatch)
	for i := range lines {
		lines[i] = l
	}
	b, err := json.Marshal(lines)
	if err != nil || len(b) > recordstore.MaxRow {
		t.Errorf("%d bytes, %v; a row has %d at most", len(b), err, recordstore.MaxRow)
	}
}

// rangedRows counts what is read.
type rangedRows struct {
	recordstore.MemoryRows
	ranges int
}

func (r *rangedRows) Range(ctx context.Context, table, from, to string) iter.Seq2[recordstore.Row, error] {
	return func(yield func(recordstore.Row, error) bool) {
		for row, err := range r.MemoryRows.Range(ctx, table, from, to) {
			r.ranges++
			if !yield(row, err) {
				return
			}
		}
	}
}

// The end of the log is found wherever it is, without reading the whole log.
func TestTheEndOfTheAuditLogIsFoundWithoutReadingIt(t *testing.T) {
	rows := &rangedRows{}
	total := 0
	for i := range 300 { // rows of one line and of several, each by a process of its own
		h := &Host{Rows: rows}
		rows.ranges = 0
		batch := make([]*logging, 1+i%3)
		for j := range batch {
			batch[j] = &logging{line: Line{What: fmt.Sprint(i)}}
		}
		if err := h.writeAudit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		total += len(batch)
		if rows.ranges > 40 {
			t.Fatalf("row %d: %d rows were read", i, rows.ranges)
		}
	}
	checkLog(t, &Host{Rows: rows}, total)
	// The oldest are gone.
	for r, err := range rows.MemoryRows.Range(t.Context(), auditTable, "", auditKey(100)) {
		if err != nil {
			t.Fatal(err)
		}
		r.Value = nil
		if _, err := rows.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	h := &Host{Rows: rows}
	if err := h.Audit(t.Context(), Line{What: "last"}); err != nil {
		t.Fatal(err)
	}
	if h.audit.next != uint64(total)+1 || h.audit.first < 100 {
		t.Errorf("the log goes from %d to %d", h.audit.first, h.audit.next)
	}
}
