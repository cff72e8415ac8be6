// Command signer keeps keys away from the node that publishes with them: it signs records over
// a Unix socket or HTTPS, in the protocol of docs/signer.md, and decides what it signs.
//
// A sequence never goes back, and never has two values: what was signed is on disk before the
// signature leaves. So a thief of the node, or an old copy of it, cannot roll a name back, nor
// sign further ahead than -max-lifetime.
//
//	ipns key export blog -o keys/blog.key
//	go run ./examples/signer -listen unix:/run/signer.sock -keys keys -state signed.json
//	ipns config --json Ipns.Signers '[{"URL": "unix:/run/signer.sock"}]'
//	ipns name publish --key=signer:unix:/run/signer.sock#blog /ipfs/…
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	listen, keys, state, token  string
	cert, certKey, clientCA     string
	maxLifetime, requestTimeout time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "", "unix:/PATH of a socket, or HOST:PORT for HTTPS")
	flag.StringVar(&o.keys, "keys", "keys", "folder of keys, NAME.key each, as 'ipns key export' writes them")
	flag.StringVar(&o.state, "state", "signed.json", "file that remembers what was signed")
	flag.StringVar(&o.token, "token-file", "", "file with the secret that clients must send")
	flag.StringVar(&o.cert, "cert", "", "certificate for HTTPS")
	flag.StringVar(&o.certKey, "cert-key", "", "its key")
	flag.StringVar(&o.clientCA, "client-ca", "", "certificates that sign those of clients, which must then have one")
	flag.DurationVar(&o.maxLifetime, "max-lifetime", 31*24*time.Hour, "how far ahead a record may be valid")
	flag.Parse()
	o.requestTimeout = 10 * time.Second
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, func(net.Addr) {}); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and calls ready when it listens.
func run(ctx context.Context, o options, ready func(net.Addr)) error {
	s, err := open(o)
	if err != nil {
		return err
	}
	l, err := o.listener()
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: s.handler(), ReadTimeout: o.requestTimeout, WriteTimeout: o.requestTimeout, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		within, cancel := context.WithTimeout(context.Background(), o.requestTimeout)
		defer cancel()
		_ = server.Shutdown(within)
	}()
	ready(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}

// listener returns a socket that only this user can use, or an HTTPS listener that wants to
// know who asks.
func (o options) listener() (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.listen, "unix:"); ok {
		// What a crash left may go; a socket that answers belongs to another signer, and two
		// would not know what the other has signed.
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("another signer listens on %s", path)
		}
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
		l, err := net.Listen("unix", path)
		if err == nil {
			err = os.Chmod(path, 0o600)
		}
		return l, err
	}
	if o.cert == "" || o.token == "" && o.clientCA == "" {
		return nil, errors.New("HTTPS needs -cert and -cert-key, and -token-file or -client-ca")
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.certKey)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	if o.clientCA != "" {
		b, err := os.ReadFile(o.clientCA)
		if err != nil {
			return nil, err
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s has no certificate", o.clientCA)
		}
	}
	return tls.Listen("tcp", o.listen, c)
}
