package content

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The length of a pin name is limited everywhere, before anything is stored.
func TestPinNamesAreBoundedOnEveryDoor(t *testing.T) {
	s := openStore(t, Options{DB: openDB(t, vfs.NewMem())})
	long := strings.Repeat("x", maxPinName+1)
	for _, name := range []string{long[1:], long} {
		want := len(name) <= maxPinName
		var root Added
		var err error
		for root, err = range s.Add(t.Context(), entries(Entry{Path: "f", Content: strings.NewReader(name)}), AddOptions{Pin: true, PinName: name}) {
			if err != nil {
				break
			}
		}
		if (err == nil) != want {
			t.Errorf("add, %d bytes: %v", len(name), err)
		}
		if want {
			if err := s.Pin(t.Context(), root.CID, Recursive, long); err == nil {
				t.Error("pin: a too long name is accepted")
			}
		}
		if err := CheckPinName(name); (err == nil) != want {
			t.Errorf("%d bytes: %v", len(name), err)
		}
	}
}
