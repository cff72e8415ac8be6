package delegated

import (
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
)

// name serves /routing/v1/ipns/{name}.
func (h *Handler) name(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimPrefix(r.URL.Path, namePath)
	known := h.answers.get(text)
	var name ipns.Name
	if known != nil {
		name = known.rec.Name()
	} else {
		var err error
		if name, err = parseName(text); err != nil {
			plain(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if r.Method == http.MethodPut {
		h.put(w, r, name)
		return
	}
	if !accepts(r.Header, ipns.RecordMediaType) {
		plain(w, http.StatusNotAcceptable, "content type in 'Accept' header is not supported, retry with '"+ipns.RecordMediaType+"'")
		return
	}
	rec, at, err := h.Find(r.Context(), name)
	now := h.now()
	if err == nil && rec.Expired(now) {
		err = ErrNotFound // it ended while it was being found
	}
	if err != nil {
		fail(w, err)
		return
	}
	if known == nil || known.rec != rec || !known.at.Equal(at) {
		known = prepare(rec, at)
		h.answers.put(text, known)
	}
	known.write(w, r, now)
}

// parseName reads a name as it stands in a path. Peer ids in base58 are names too.
func parseName(text string) (ipns.Name, error) {
	name, err := ipns.ParseName(text)
	if err == nil {
		return name, nil
	}
	if c, cerr := cid.Decode(text); cerr == nil && c.Type() != cid.Libp2pKey {
		return ipns.Name{}, fmt.Errorf("peer ID CID is not valid: %w", err)
	}
	return ipns.Name{}, fmt.Errorf("unable to parse name: %w", err)
}

// accepts reports whether the Accept header lets the media type through. None
// lets everything through.
func accepts(head http.Header, mediaType string) bool {
	values := head["Accept"]
	if len(values) == 0 || len(values) == 1 && (values[0] == mediaType || values[0] == "*/*") {
		return true
	}
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
				continue
			}
			if major, _, _ := strings.Cut(mediaType, "/"); kind == "*/*" || kind == mediaType || kind == major+"/*" {
				return true
			}
		}
	}
	return false
}

// prepared is an answer with a record: all of it that follows from the record and from
// when it was first seen. Each header is a slice of one element.
type prepared struct {
	rec *ipns.Record
	at  time.Time

	etag, expires, modified, disposition, length []string
}

var recordType = []string{ipns.RecordMediaType}

func prepare(rec *ipns.Record, at time.Time) *prepared {
	hash := rec.Hash()
	return &prepared{
		rec: rec, at: at,
		// A strong validator: it follows from the bytes.
		etag:        []string{`"` + hex.EncodeToString(hash[:16]) + `"`},
		expires:     []string{rec.EOL().UTC().Format(http.TimeFormat)},
		modified:    []string{at.UTC().Format(http.TimeFormat)},
		disposition: []string{`attachment; filename="` + rec.Name().String() + `.ipns-record"`},
		length:      []string{strconv.Itoa(len(rec.Raw()))},
	}
}

// size is about how much memory it takes.
func (p *prepared) size() int { return len(p.rec.Raw()) + preparedOverhead }

// write answers with the record, or says that the asker has it.
func (p *prepared) write(w http.ResponseWriter, r *http.Request, now time.Time) {
	head := w.Header()
	head["Etag"] = p.etag
	head["Cache-Control"] = []string{cacheControl(p.rec, now)}
	head["Expires"] = p.expires
	head["Last-Modified"] = p.modified
	head["Vary"] = byAccept
	if matches(r.Header["If-None-Match"], p.etag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head["Content-Type"] = recordType
	head["Content-Disposition"] = p.disposition
	head["Content-Length"] = p.length
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.rec.Raw()) // the asker may be gone
	}
}

// matches reports whether an If-None-Match names the etag. The comparison is the
// weak one, as it should be there.
func matches(values []string, etag string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// cacheControl lets caches keep a record for its TTL, and use it beyond that while
// nobody answers, but never after its EOL.
func cacheControl(rec *ipns.Record, now time.Time) string {
	left := int64(rec.EOL().Sub(now) / time.Second)
	if left <= 0 {
		return "no-store"
	}
	age := min(int64(rec.TTL()/time.Second), left)
	var space [128]byte
	b := append(space[:0], "public, max-age="...)
	b = strconv.AppendInt(b, age, 10)
	b = append(b, ", stale-while-revalidate="...)
	b = strconv.AppendInt(b, left-age, 10)
	b = append(b, ", stale-if-error="...)
	return string(strconv.AppendInt(b, left-age, 10))
}

// Limits of answers.
const (
	maxPrepared      = 16 << 20 // bytes
	preparedOverhead = 1 << 10  // what one takes beside its record, about
)

// answers are the prepared answers that were asked for lately, by the text of the name in
// the path. Find says for each request which record is right: here is only how it is
// written.
type answers struct {
	mu    sync.RWMutex
	all   map[string]*prepared
	bytes int
}

func (a *answers) get(text string) *prepared {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.all[text]
}

// put keeps an answer, and gives up any others that there is no room for.
func (a *answers) put(text string, p *prepared) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]*prepared{}
	}
	a.drop(text)
	a.all[text] = p
	a.bytes += p.size()
	for other := range a.all {
		if a.bytes <= maxPrepared {
			return
		}
		a.drop(other)
	}
}

// drop gives up an answer, if there is one. Call with mu held.
func (a *answers) drop(text string) {
	if old := a.all[text]; old != nil {
		a.bytes -= old.size()
		delete(a.all, text)
	}
}
