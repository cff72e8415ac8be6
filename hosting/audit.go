package hosting

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Line is one line of the audit log: who did what, when. It has no secrets.
type Line struct {
	Number   uint64
	Time     time.Time
	What     string // "put", "remove", "token-create", "deny", …
	Tenant   string `json:",omitempty"`
	Token    string `json:",omitempty"` // its ID
	Address  string `json:",omitempty"`
	Name     string `json:",omitempty"`
	Sequence uint64 `json:",omitempty"`
	Value    string `json:",omitempty"`
	// Hash is the SHA-256 of the line before, in hex, and of this one as JSON without its Hash.
	Hash string
}

// line begins a line about something that the caller does.
func (c *Caller) line(what string, name ipns.Name) Line {
	l := Line{What: what, Tenant: c.Tenant, Token: c.Token, Name: name.String()}
	if c.Address.IsValid() {
		l.Address = c.Address.String()
	}
	return l
}

// Limits of the audit log.
const (
	maxAuditLines = 1_000_000 // kept; the oldest go
	auditBatch    = 256       // lines of one row: even with the longest values less than recordstore.MaxRow
	maxAuditValue = 512       // bytes of a value in a line; JSON may spell each with six
)

// audit is the end of the log. Lines that come while others are written share one write.
type audit struct {
	mu      sync.Mutex // guards pending and writing
	pending []*logging
	writing bool // a caller writes; only that one uses what is below

	began bool
	next  uint64 // number of the next line
	first uint64 // number of the first line that is kept
	last  string // hash of the last line
}

// logging is a line that is to be written.
type logging struct {
	line Line
	turn chan struct{} // closed when the line is written, or when its caller is to write
	lead bool          // its caller is to write
	err  error
}

// Audit writes a line to the audit log. It returns when that is durable.
func (h *Host) Audit(ctx context.Context, line Line) error {
	a := &h.audit
	line.Value = line.Value[:min(len(line.Value), maxAuditValue)]
	line.Value = strings.ToValidUTF8(line.Value, "\uFFFD") // else its hash is not that of what is read again
	l := &logging{line: line, turn: make(chan struct{})}
	a.mu.Lock()
	a.pending = append(a.pending, l)
	if a.writing {
		a.mu.Unlock()
		<-l.turn // bounded by the writes before: the store gives up by itself
		if !l.lead {
			return l.err
		}
		a.mu.Lock()
	}
	a.writing = true
	n := min(len(a.pending), auditBatch)
	batch := a.pending[:n:n] // the first is l
	a.pending = slices.Clone(a.pending[n:])
	a.mu.Unlock()
	// Others wait for this caller, so the end of its request must not end it.
	err := h.writeAudit(context.WithoutCancel(ctx), batch)
	for _, other := range batch[1:] {
		other.err = err
		close(other.turn)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) == 0 {
		a.writing = false
		return err
	}
	// Who waits longest writes next, so that nobody writes for more than its own batch.
	a.pending[0].lead = true
	close(a.pending[0].turn)
	return err
}

func auditKey(n uint64) string { return fmt.Sprintf("%020d", n) }

// writeAudit writes lines as one row. Only one caller at a time does in this process; another
// daemon may have written the row that was to be next, and then these lines follow its.
func (h *Host) writeAudit(ctx context.Context, batch []*logging) (err error) {
	for range recordstore.RowTries {
		if err = h.appendAudit(ctx, batch); !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return err
}

func (h *Host) appendAudit(ctx context.Context, batch []*logging) error {
	a := &h.audit
	if !a.began {
		if err := h.beginAudit(ctx); err != nil {
			return err
		}
	}
	lines := make([]Line, len(batch))
	last, now := a.last, h.now().UTC()
	for i, l := range batch {
		l.line.Number, l.line.Time = a.next+uint64(i), now
		l.line.Hash = l.line.chain(last)
		last, lines[i] = l.line.Hash, l.line
	}
	b, err := json.Marshal(lines)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	_, err = h.Rows.Swap(ctx, recordstore.Row{Table: auditTable, Key: auditKey(a.next), Value: b})
	if err != nil {
		a.began = false // whether it is stored may be unknown
		return fmt.Errorf("audit log: %w", err)
	}
	a.next, a.last = a.next+uint64(len(batch)), last
	if err := h.trimAudit(ctx); err != nil {
		h.log().Error("removing the oldest lines of the audit log", "err", err) // the next write tries again
	}
	return nil
}

// chain returns the hash of a line after one with a hash.
func (l Line) chain(before string) string {
	l.Hash = ""
	b, _ := json.Marshal(l) // a Line has nothing that cannot be marshaled
	sum := sha256.New()
	sum.Write([]byte(before))
	sum.Write(b)
	return hex.EncodeToString(sum.Sum(nil))
}

// beginAudit finds the end of the log.
func (h *Host) beginAudit(ctx context.Context) error {
	a := &h.audit
	a.next, a.first, a.last = 0, 0, ""
	first, _, found, err := h.auditRow(ctx, 0)
	if err != nil {
		return err
	}
	if found {
		lines, err := h.lastAuditRow(ctx, first)
		if err != nil {
			return err
		}
		end := lines[len(lines)-1]
		a.first, a.next, a.last = first, end.Number+1, end.Hash
	}
	a.began = true
	return nil
}

// auditRow returns the first row whose number is at least from.
func (h *Host) auditRow(ctx context.Context, from uint64) (number uint64, value []byte, found bool, err error) {
	for r, err := range h.Rows.Range(ctx, auditTable, auditKey(from), "") {
		if err == nil {
			number, err = strconv.ParseUint(r.Key, 10, 64)
		}
		if err != nil {
			return 0, nil, false, fmt.Errorf("audit log: %w", err)
		}
		return number, r.Value, true, nil
	}
	return 0, nil, false, nil
}

// lastAuditRow returns the lines of the last row, given the number of any. It does not read
// all rows: it looks ever further ahead until nothing follows, and then ever closer.
func (h *Host) lastAuditRow(ctx context.Context, last uint64) (lines []Line, err error) {
	var value []byte
	closer := false
	for step := uint64(0); ; {
		number, v, found, err := h.auditRow(ctx, last+step)
		if err != nil {
			return nil, err
		}
		if found {
			last, value = number, v
		}
		if closer = closer || !found; !closer {
			step = max(1, 2*step)
		} else if step /= 2; step == 0 {
			break
		}
	}
	if err = json.Unmarshal(value, &lines); err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("audit log: row %s is damaged: %w", auditKey(last), errors.Join(err, errBroken))
	}
	return lines, nil
}

// trimAudit removes the oldest rows beyond the limit.
func (h *Host) trimAudit(ctx context.Context) error {
	a := &h.audit
	for a.next-a.first > maxAuditLines {
		var old []recordstore.Row
		var first uint64
		// Not from the beginning of the table: the store may pass all that was removed there.
		for r, err := range h.Rows.Range(ctx, auditTable, auditKey(a.first), "") {
			if err != nil {
				return fmt.Errorf("audit log: %w", err)
			}
			if old = append(old, r); len(old) == 2 {
				break
			}
		}
		if len(old) < 2 {
			return nil
		}
		if _, err := fmt.Sscanf(old[1].Key, "%d", &first); err != nil {
			return fmt.Errorf("audit log: row %q: %w", old[1].Key, err)
		}
		old[0].Value = nil
		if _, err := h.Rows.Swap(ctx, old[0]); err != nil && !errors.Is(err, recordstore.ErrConflict) { // another daemon has
			return fmt.Errorf("audit log: %w", err)
		}
		a.first = first
	}
	return nil
}

// errBroken means that lines were changed, or are missing.
var errBroken = errors.New("the chain of the audit log is broken")

// AuditLog yields the lines of the audit log, oldest first. With verify, it ends with an
// error at the first line that is not the one that was written there. Lines that were
// removed for their age are not missed.
func (h *Host) AuditLog(ctx context.Context, verify bool) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		last, number, begun := "", uint64(0), false
		for r, err := range h.Rows.Range(ctx, auditTable, "", "") {
			var lines []Line
			if err == nil {
				d := json.NewDecoder(bytes.NewReader(r.Value))
				d.DisallowUnknownFields()
				err = d.Decode(&lines)
			}
			if err != nil {
				yield(Line{}, fmt.Errorf("audit log: %w", err))
				return
			}
			for _, l := range lines {
				if verify && (begun || l.Number == 0) && (l.Number != number || l.Hash != l.chain(last)) {
					yield(l, fmt.Errorf("line %d: %w", l.Number, errBroken))
					return
				}
				last, number, begun = l.Hash, l.Number+1, true
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}
