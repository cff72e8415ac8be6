// Package ladder keeps names alive without their keys: records that were signed in advance,
// and those that are signed on a machine without a network.
//
// A [Request] says what to sign: one record, or several with a time before which each must
// not be released. A machine that has the key signs it ([Desk.Sign]). One record with no such
// time is a record file, the bytes that travel on the networks. Others are a [Ladder]: the
// steps, each with its release, and a signature over all of them. A [Keeper] stores ladders
// and releases each step in time.
//
// Invariants:
//
//   - A Desk never signs one sequence for two values: what it is about to sign is durable
//     before the signer is asked.
//   - A ladder is stored whole, or not at all.
//   - A step is released only with the content that was signed, never before its release,
//     and only through the Book: what is newer stays.
//   - Which steps were released follows from the Book. There is no other state that a crash
//     could lose.
package ladder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/goipns/ipns"
)

// Limits of files.
const (
	MaxSteps = 4096     // of a request or a ladder
	MaxFile  = 16 << 20 // bytes of a request or a ladder
)

// Formats are the first field of a file.
const (
	ladderFormat  = "ipns-ladder/1"
	requestFormat = "ipns-request/1"
)

// Errors on which callers branch.
var (
	// ErrTorn means that a file ends too early.
	ErrTorn = errors.New("the file is torn: its end is missing")
	// ErrChanged means that a file or a stored ladder is not as it was signed.
	ErrChanged = errors.New("it is not as it was signed")
	// ErrOlder means that something newer is known of the name.
	ErrOlder = errors.New("something newer is known")
)

// Step is a record that was signed in advance.
type Step struct {
	At     time.Time // its release
	Record []byte
}

// Ladder is a sequence of records of one name, each newer than the one before it.
type Ladder struct {
	Name      ipns.Name
	Steps     []Step
	Signature []byte // by the key of the name, over the hashes of all steps
}

// Hash identifies a step: its release and its record.
type Hash [32]byte

// Hash returns the hash of a step.
func (s Step) Hash() Hash {
	h := sha256.New()
	h.Write([]byte(ladderFormat))
	_ = binary.Write(h, binary.BigEndian, s.At.UTC().Unix())
	h.Write(s.Record)
	return Hash(h.Sum(nil))
}

// signed is the message of a ladder's signature. No record has a message that begins so.
func signed(name ipns.Name, steps []Hash) []byte {
	h := sha256.New()
	h.Write(name.Binary())
	for _, s := range steps {
		h.Write(s[:])
	}
	return h.Sum([]byte(ladderFormat + ":"))
}

// hashes returns the hashes of all steps.
func (l *Ladder) hashes() []Hash {
	all := make([]Hash, len(l.Steps))
	for i, s := range l.Steps {
		all[i] = s.Hash()
	}
	return all
}

// ladderFile is a ladder as a file has it.
type ladderFile struct {
	Format    string
	Name      string
	Steps     []stepFile
	Signature []byte
}

// stepFile is a step as a file has it.
type stepFile struct {
	At     time.Time
	Record []byte
	Hash   string
}

// Encode returns the file of a ladder.
func (l *Ladder) Encode() ([]byte, error) {
	f := ladderFile{Format: ladderFormat, Name: l.Name.String(), Signature: l.Signature}
	for _, s := range l.Steps {
		hash := s.Hash()
		f.Steps = append(f.Steps, stepFile{s.At.UTC(), s.Record, hex.EncodeToString(hash[:])})
	}
	b, err := json.MarshalIndent(f, "", " ")
	return append(b, '\n'), err
}

// IsLadder reports whether a file, judged by its beginning, is no record but may be a ladder.
func IsLadder(file []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(file, " \t\r\n"), []byte("{"))
}

// Decode reads the file of a ladder. It checks everything but the times: that each step is
// a record of the name, newer than the one before it, and that all is as it was signed.
func Decode(file []byte) (*Ladder, []*ipns.Record, error) {
	var f ladderFile
	if err := decode(file, ladderFormat, &f, func() string { return f.Format }); err != nil {
		return nil, nil, fmt.Errorf("ladder: %w", err)
	}
	name, err := ipns.ParseName(f.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("ladder: %w", err)
	}
	l := &Ladder{Name: name, Signature: f.Signature}
	for i, s := range f.Steps {
		step := Step{s.At.UTC(), s.Record}
		if hash := step.Hash(); hex.EncodeToString(hash[:]) != s.Hash {
			return nil, nil, fmt.Errorf("ladder: step %d of %d: %w", i+1, len(f.Steps), ErrChanged)
		}
		l.Steps = append(l.Steps, step)
	}
	recs, err := l.open()
	if err != nil {
		return nil, nil, fmt.Errorf("ladder: %w", err)
	}
	return l, recs, nil
}

// open verifies a ladder, and returns the records of its steps.
func (l *Ladder) open() ([]*ipns.Record, error) {
	if n := len(l.Steps); n == 0 || n > MaxSteps {
		return nil, fmt.Errorf("it has %d steps, and must have one to %d", n, MaxSteps)
	}
	recs := make([]*ipns.Record, 0, len(l.Steps))
	for i, s := range l.Steps {
		rec, err := ipns.Reopen(l.Name, s.Record)
		switch {
		case err != nil:
			return nil, fmt.Errorf("step %d of %d: %w", i+1, len(l.Steps), err)
		case !s.At.Equal(s.At.Truncate(time.Second)):
			return nil, fmt.Errorf("step %d of %d: its release is no whole second", i+1, len(l.Steps))
		case !rec.EOL().After(s.At):
			return nil, fmt.Errorf("step %d of %d: it expires %s, before its release", i+1, len(l.Steps), rec.EOL().Format(time.RFC3339))
		case i > 0 && (!s.At.After(l.Steps[i-1].At) || ipns.Compare(rec, recs[i-1]) <= 0):
			return nil, fmt.Errorf("step %d of %d: it is not newer than the one before it", i+1, len(l.Steps))
		}
		recs = append(recs, rec)
	}
	return recs, verifySignature(l.Name, recs[0], l.hashes(), l.Signature)
}

// verifySignature checks the signature over all steps of a ladder, one of whose records is
// rec.
func verifySignature(name ipns.Name, rec *ipns.Record, steps []Hash, signature []byte) error {
	pub, err := rec.PublicKey()
	if err != nil {
		return err
	}
	ok, err := pub.Verify(signed(name, steps), signature)
	if err != nil || !ok {
		return fmt.Errorf("a step was removed, added or moved: %w", ErrChanged)
	}
	return nil
}

// signLadder signs the steps of a ladder.
func signLadder(ctx context.Context, signer ipns.Signer, l *Ladder) (err error) {
	l.Signature, err = signer.Sign(ctx, signed(l.Name, l.hashes()))
	return err
}

// decode reads a JSON file that is nothing else. format is the first field once it was read.
func decode(file []byte, want string, into any, format func() string) error {
	if len(file) > MaxFile {
		return fmt.Errorf("the file has more than %d bytes", MaxFile)
	}
	var head struct{ Format string }
	err := json.Unmarshal(file, &head)
	if err == nil && head.Format != want {
		return fmt.Errorf("its format is %.40q, and this version reads %q", head.Format, want)
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(file))
		d.DisallowUnknownFields()
		err = d.Decode(into)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimSpace(file))) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTorn
	}
	if err == nil && format() != want {
		err = errors.New("its format is there twice")
	}
	return err
}
