package verbs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/profile"
	"github.com/goipns/ipns/rpc"
)

// diagProfile implements the command.
func (n *verbs) diagProfile(ctx context.Context, req api.DiagProfileRequest) (rpc.Stream, error) {
	o := profile.Options{Collectors: profile.Collectors(), Mutexes: req.Mutexes, Program: filepath.Base(os.Args[0])}
	if req.Collectors != "" {
		o.Collectors = strings.Split(req.Collectors, ",")
	}
	var err error
	if o.Time, err = time.ParseDuration(req.Time); err != nil {
		return rpc.Stream{}, fmt.Errorf("failed to parse profile duration %q: %w", req.Time, err)
	}
	if o.Blocks, err = time.ParseDuration(req.Blocks); err != nil {
		return rpc.Stream{}, fmt.Errorf("failed to parse block profile rate %q: %w", req.Blocks, err)
	}
	if err := o.Check(); err != nil {
		return rpc.Stream{}, err
	}
	if o.Version, err = n.version(ctx, api.VersionRequest{All: true}); err != nil {
		return rpc.Stream{}, err
	}
	// Who closes the stream ends the writer.
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(profile.Write(ctx, w, o))
	}()
	return rpc.Stream{ReadCloser: &ending{r, cancel, done}, Type: "application/zip", Size: -1}, nil
}

// ending is a stream whose Close waits for who writes it.
type ending struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

func (e *ending) Close() error {
	e.cancel()
	err := e.PipeReader.Close()
	<-e.done
	return err
}
