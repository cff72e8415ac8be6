package content

import (
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
)

// CARRoots returns the roots that the header of a CAR file names, of which it reads no
// block.
func CARRoots(r io.Reader) ([]cid.Cid, error) {
	file, err := car.NewBlockReader(struct{ io.Reader }{r}) // a reader that can't seek is read forward
	if err != nil {
		return nil, fmt.Errorf("read the header of the CAR file: %w", err)
	}
	return file.Roots, nil
}
