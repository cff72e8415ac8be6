package api

import (
	"errors"

	"github.com/goipns/ipns/rpc"
)

// Get: save files and folders.
var Get = rpc.Command[GetRequest, rpc.Stream]{
	Info: rpc.Info{
		Path: "get", Args: "<ipfs-path>",
		Short:    "Save a file or folder",
		Long:     "Save the file or folder at a path, in the current folder and under the last name\nof the path unless --output says otherwise.",
		Examples: []string{`ipns get /ipfs/$CID`, `ipns get --output=copy $CID`, `ipns get --archive --compress -o site.tar.gz $CID`},
	},
}

// GetRequest reads a file or folder as a TAR archive, or a file compressed.
type GetRequest struct {
	Path     string `arg:"ipfs-path,stdin"`
	Output   string `opt:"output,o" help:"where to save it"`
	Archive  bool   `opt:"archive,a" help:"save a TAR archive"`
	Compress bool   `opt:"compress,C" help:"compress it with gzip"`
	Level    *int   `opt:"compression-level,l" help:"how much to compress: 1 to 9"`
	Progress *bool  `opt:"progress,p" help:"show progress (default: on a terminal)"`
}

var errLevel = errors.New("compression level must be between 1 and 9")

// defaultLevel is gzip's.
const defaultLevel = -1

// GzipLevel returns the level of compression, 0 for none.
func (req GetRequest) GzipLevel() (int, error) {
	switch {
	case !req.Compress:
		return 0, nil
	case req.Level == nil:
		return defaultLevel, nil
	case *req.Level < 1 || *req.Level > 9:
		return 0, errLevel
	}
	return *req.Level, nil
}
