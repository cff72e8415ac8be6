package ladder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/goipns/ipns"
)

// Request says what to sign for a name, on a machine that has its key but may not have a
// network. Its times are those of the machine that made it.
type Request struct {
	Name  ipns.Name
	Made  time.Time
	Steps []Want
}

// Want is one record to sign.
type Want struct {
	Value    string
	Sequence uint64
	At       time.Time `json:",omitzero"` // its release; zero: at once
	EOL      time.Time
	TTL      time.Duration // nanoseconds
	V2Only   bool          `json:",omitempty"`
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// release is when a step of a ladder is released.
func (r *Request) release(w Want) time.Time {
	if w.At.IsZero() {
		return r.Made.UTC().Truncate(time.Second)
	}
	return w.At.UTC()
}

// requestFile is a request as a file has it.
type requestFile struct {
	Format string
	Name   string
	Made   time.Time
	Steps  []Want
	Sum    string // SHA-256 of the file with an empty Sum
}

// Check returns why a request cannot be signed.
func (r *Request) Check() error {
	if n := len(r.Steps); n == 0 || n > MaxSteps {
		return fmt.Errorf("it has %d steps, and must have one to %d", n, MaxSteps)
	}
	for i, w := range r.Steps {
		_, err := ipns.ParsePath(w.Value)
		switch {
		case err != nil:
		case !utf8.ValidString(w.Value):
			err = errors.New("its value is no UTF-8")
		case w.TTL < 0 || w.TTL > w.EOL.Sub(later(w.At, r.Made)):
			err = fmt.Errorf("its TTL (%s) is negative, or longer than it is valid", w.TTL)
		case !w.At.Equal(w.At.Truncate(time.Second)):
			err = errors.New("its release is no whole second")
		case !w.EOL.After(w.At) || !w.EOL.After(r.Made):
			err = fmt.Errorf("it would expire %s, before its release", w.EOL.UTC().Format(time.RFC3339))
		case w.EOL.UTC().Year() > 9999 || w.At.UTC().Year() < 0:
			err = errors.New("its times are not between the years 0 and 9999")
		case i == 0:
		case w.At.IsZero() || !w.At.After(r.release(r.Steps[i-1])):
			err = errors.New("its release is not after the one before it")
		case w.Sequence == r.Steps[i-1].Sequence && w.Value != r.Steps[i-1].Value:
			err = fmt.Errorf("sequence %d would have two values", w.Sequence)
		case w.Sequence < r.Steps[i-1].Sequence, w.Sequence == r.Steps[i-1].Sequence && !w.EOL.After(r.Steps[i-1].EOL):
			err = errors.New("it is not newer than the one before it")
		}
		if err != nil {
			return fmt.Errorf("step %d of %d: %w", i+1, len(r.Steps), err)
		}
	}
	return nil
}

// Encode returns the file of a request.
func (r *Request) Encode() ([]byte, error) {
	f := requestFile{Format: requestFormat, Name: r.Name.String(), Made: r.Made.UTC(), Steps: r.Steps}
	if err := f.seal(); err != nil {
		return nil, err
	}
	return f.encode()
}

func (f *requestFile) encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", " ")
	return append(b, '\n'), err
}

// seal sets the Sum.
func (f *requestFile) seal() error {
	f.Sum = ""
	b, err := f.encode()
	sum := sha256.Sum256(b)
	f.Sum = hex.EncodeToString(sum[:])
	return err
}

// DecodeRequest reads a file with one or more requests for one name, and makes one of them.
func DecodeRequest(file []byte) (*Request, error) {
	var whole *Request
	if len(file) > MaxFile {
		return nil, fmt.Errorf("request: the file has more than %d bytes", MaxFile)
	}
	files := json.NewDecoder(bytes.NewReader(file))
	for {
		var raw json.RawMessage
		err := files.Decode(&raw)
		if errors.Is(err, io.EOF) && whole != nil {
			break
		}
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			err = errors.New("the file is empty")
		case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Offset >= int64(len(file)):
			err = ErrTorn
		}
		var r *Request
		if err == nil {
			r, err = decodeRequest(raw)
		}
		if err == nil {
			whole, err = whole.join(r)
		}
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
	}
	if err := whole.Check(); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	return whole, nil
}

func decodeRequest(raw []byte) (*Request, error) {
	var f requestFile
	if err := decode(raw, requestFormat, &f, func() string { return f.Format }); err != nil {
		return nil, err
	}
	sum := f.Sum
	if err := f.seal(); err != nil || f.Sum != sum {
		return nil, errors.New("the file is damaged: its sum does not fit")
	}
	name, err := ipns.ParseName(f.Name)
	return &Request{name, f.Made, f.Steps}, err
}

// join adds the steps of another request.
func (r *Request) join(other *Request) (*Request, error) {
	switch {
	case r == nil:
		return other, nil
	case r.Name != other.Name:
		return nil, fmt.Errorf("requests for two names, %s and %s: sign them one by one", r.Name, other.Name)
	}
	if other.Made.After(r.Made) {
		r.Made = other.Made
	}
	r.Steps = append(r.Steps, other.Steps...)
	return r, nil
}

// Margin is how much longer than until the next one a step of [Request.Repeat] is valid.
const Margin = 15 * 24 * time.Hour

// maxSpan bounds the length of a ladder that Repeat makes.
const maxSpan = 100 * 365 * 24 * time.Hour

// Repeat makes count steps of a request with one: each is released `every` after the one
// before it, the first at once, and is valid for a lifetime from then on; 0: until a Margin
// after the release of the next.
func (r *Request) Repeat(every time.Duration, count int, lifetime time.Duration) error {
	if lifetime == 0 {
		lifetime = every + Margin
	}
	switch {
	case len(r.Steps) != 1:
		return errors.New("the request has several steps already")
	case count < 1 || count > MaxSteps:
		return fmt.Errorf("%d steps: a ladder has one to %d", count, MaxSteps)
	case every < time.Second || every%time.Second != 0:
		return fmt.Errorf("a step every %v: it must be a number of whole seconds", every)
	case every > maxSpan/time.Duration(count) || lifetime < 0 || lifetime > maxSpan:
		return fmt.Errorf("%d steps, one every %v: the ladder would be longer than %v", count, every, maxSpan)
	case lifetime <= every && count > 1:
		return fmt.Errorf("a lifetime of %v is no longer than the %v until the next step: the name would expire in between", lifetime, every)
	}
	first := r.Steps[0]
	first.At = r.release(first)
	r.Steps = nil
	for i := range count {
		w := first
		w.At = first.At.Add(time.Duration(i) * every)
		w.EOL = w.At.Add(lifetime)
		r.Steps = append(r.Steps, w)
	}
	return nil
}
