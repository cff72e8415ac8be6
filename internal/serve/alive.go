package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Alive returns an error if one of the servers takes no connection, or answers on none until
// ctx ends. A connection that it closes is an answer: it may be crowded.
func (s *Servers) Alive(ctx context.Context) error {
	for _, at := range []ma.Multiaddr{s.API, s.Gateway, s.Hosting, s.Metrics} {
		if at == nil {
			continue
		}
		if err := ask(ctx, reachable(at)); err != nil {
			return fmt.Errorf("the server on %s: %w", at, err)
		}
	}
	return nil
}

// ask asks a server for its health on a connection of its own.
func ask(ctx context.Context, at ma.Multiaddr) error {
	network, address, err := manet.DialArgs(at)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // ends what waits for it
	// The host is an address, as the gateway wants it.
	_, err = io.WriteString(conn, "GET "+alivePath+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return nil
}
