package content

import (
	"testing"
	"time"
)

// Between the look at the pins that keep values and their removal, somebody may pin again.
func TestAPinThatIsMadeMeanwhileStays(t *testing.T) {
	s := offlineStore(t)
	c := rootOf(t, add(t, s, entries(file("d/a", "a")), AddOptions{Pin: true, PinName: KeptFor("k51")})).CID
	unpin := func(before time.Duration, want bool) {
		t.Helper()
		if got, err := s.UnpinKept(t.Context(), c, time.Now().Add(before)); got != want || err != nil {
			t.Errorf("unpinned: %t, %v", got, err)
		}
	}
	unpin(-time.Minute, false) // it was pinned to be kept just now
	if err := s.Pin(t.Context(), c, Recursive, "mine"); err != nil {
		t.Fatal(err)
	}
	unpin(time.Minute, false) // it was pinned by hand
	if err := s.Pin(t.Context(), c, Recursive, ""); err != nil {
		t.Fatal(err)
	}
	unpin(time.Minute, false)
	if err := s.Unpin(t.Context(), c, Recursive); err != nil {
		t.Fatal(err)
	}
	unpin(time.Minute, false) // it is not pinned
	if err := s.KeepTree(t.Context(), c, "k51"); err != nil {
		t.Fatal(err)
	}
	unpin(time.Minute, true)
	if got := pinned(t, s, AnyPin); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
