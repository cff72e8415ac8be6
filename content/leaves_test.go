package content

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// Files are laid out as boxo lays them out, which has them if modes are kept, or by another chunker.
func TestLeavesAreThoseOfBoxo(t *testing.T) {
	s := offlineStore(t)
	rng := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 300_000)
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	for _, links := range []int{2, 3, 174} {
		for _, size := range []int{1, 7, 1000, 100_000} {
			for _, chunks := range []int{0, 1, 2, 3, 4, 5, 8, 9, 27, 28, 173, 174, 175, 174*2 + 1} {
				for _, extra := range []int{-1, 0, 1} {
					n := chunks*size + extra
					if n <= 0 || n > len(body) || n/size > 1000 {
						continue
					}
					for _, leaves := range []Leaves{LeavesWrapped, LeavesRaw} {
						o := AddOptions{CIDVersion: 1, Leaves: leaves, FileLinks: links, Chunker: fmt.Sprintf("size-%d", size)}
						got := add(t, s, FromReader("f", strings.NewReader(string(body[:n]))), o)[0]
						o.Inline = true // of nothing: so boxo has it
						want := add(t, s, FromReader("f", strings.NewReader(string(body[:n]))), o)[0]
						if got.CID != want.CID || got.Size != want.Size {
							t.Fatalf("%d bytes in chunks of %d, %d links, %v: %s of %d, want %s of %d",
								n, size, links, leaves, got.CID, got.Size, want.CID, want.Size)
						}
						if n > 20_000 || size < 1000 {
							continue
						}
						if read := cat(t, s, got.CID.String()); read != string(body[:n]) {
							t.Fatalf("%d bytes: not what was added", n)
						}
					}
				}
			}
		}
	}
	// However the bytes come.
	want := add(t, s, FromReader("f", strings.NewReader(string(body))), AddOptions{})[0].CID
	if got := add(t, s, FromReader("f", iotest.HalfReader(strings.NewReader(string(body)))), AddOptions{})[0].CID; got != want {
		t.Errorf("read by halves: %s, want %s", got, want)
	}
}
