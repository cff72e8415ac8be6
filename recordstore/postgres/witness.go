package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/goipns/ipns/internal/durable"
)

// witnessEvery is how often the witness is brought up to date while there are changes. Files
// of the database that were copied back while no daemon ran go unnoticed if they were copied
// after the last time.
const witnessEvery = 10 * time.Second

// witnessed is the content of the witness: a file beside the daemon that says how far the
// data had come.
type witnessed struct {
	Data       string `json:"Data"` // which tables these are
	Generation []byte `json:"Generation"`
	Base       uint64 `json:"Base"`
	Number     uint64 `json:"Number"`
	Of         []byte `json:"Of"`
	Own        bool   `json:"Own"`
}

// readWitness reads what was written last. One that cannot be read says nothing.
func (s *Store) readWitness() (p point) {
	if s.witness == "" {
		return p
	}
	b, err := os.ReadFile(s.witness)
	if err == nil {
		var w witnessed
		if err = json.Unmarshal(b, &w); err == nil {
			p = point{data: w.Data, base: w.Base, number: w.Number, own: w.Own}
			p.gen, err = generation(w.Generation)
			copy(p.of[:], w.Of)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("how far the database had come cannot be read: a restore since then goes unnoticed, unless its timeline shows it", "file", s.witness, "error", err)
		return point{}
	}
	return p
}

func (s *Store) writeWitness(p point) error {
	b, err := json.Marshal(witnessed{p.data, p.gen[:], p.base, p.number, p.of[:], p.own})
	if err != nil {
		return err
	}
	if err := durable.Replace(s.witness, b, 0o600); err != nil {
		return fmt.Errorf("note how far the database has come: %w", err)
	}
	return nil
}

// testify writes the witness until ctx ends, and once more then.
func (s *Store) testify(ctx context.Context) {
	if s.witness == "" {
		return
	}
	var written point
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-time.After(witnessEvery):
		}
		now := s.seenLife()
		if now == written {
			continue
		}
		if err := s.writeWitness(now); err != nil {
			s.log.Warn("a restore of the database may go unnoticed", "error", err)
			continue
		}
		written = now
	}
}
