package ipns

import (
	"errors"
	"testing"

	"github.com/goipns/ipns/internal/wire"
)

// R-14 R-65: what values mean.
func TestValues(t *testing.T) {
	binary := "\x01\x55\x00\x05hello"
	for _, c := range []struct{ raw, value, path string }{
		{"", "/ipfs/bafkqaaa", ""},
		{craftValue, craftValue, craftValue},
		{"/ipns/example.com/sub/", "/ipns/example.com/sub/", "/ipns/example.com/sub/"},
		{binary, "/ipfs/bafkqablimvwgy3y", "/ipfs/bafkqablimvwgy3y"},
		{"bafkqablimvwgy3y", "/ipfs/bafkqablimvwgy3y", "/ipfs/bafkqablimvwgy3y"},
		{"ipfs://bafkqaaa", "ipfs://bafkqaaa", ""},
		{"https://example.com", "https://example.com", ""},
		{"bafkqaaa/x", "bafkqaaa/x", ""},
		{"./x", "./x", ""},
		{"/x", "/x", ""},
		{"\xff\xfe", "\xff\xfe", ""},
		{binary + "x", binary + "x", ""},
	} {
		r := accept(t, c.raw, newCraft(false).set(wire.KeyValue, cborBytes(c.raw)))
		if r == nil {
			continue
		}
		path, err := r.ContentPath()
		if r.Value() != c.value || string(r.RawValue()) != c.raw || path != c.path || (err == nil) != (c.path != "") || err != nil && !errors.Is(err, ErrValue) {
			t.Errorf("%q: Value %q, ContentPath %q, %v", c.raw, r.Value(), path, err)
		}
	}
}
