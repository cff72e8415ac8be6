package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// signing is one call of 'name sign'.
type signing struct {
	*cli
	ask     api.NameRequestRequest // of a request that is made here
	req     api.SignRequest
	output  string
	keyFile string
}

// nameSignCmd signs files, or makes itself what is to be signed.
func (c *cli) nameSignCmd() *cobra.Command {
	s := &signing{cli: c}
	cmd := describe(api.NameSign)
	bind(cmd, &s.req)
	s.ask = rpc.New[api.NameRequestRequest]()
	f := cmd.Flags()
	f.StringVarP(&s.output, "output", "o", "", "file for the record or the ladder, which must not exist (default standard output)")
	f.StringVar(&s.keyFile, "key-file", "", "sign with the key in this file, in any format of 'ipns key import'; no daemon may be running")
	f.StringVar(&s.ask.NotBefore, "not-before", "", "without a request: do not release the record before this time")
	f.Uint64("sequence", 0, "without a request: sign under this sequence number")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.Changed("sequence") {
			seq, err := f.GetUint64("sequence")
			if err != nil {
				return err
			}
			s.ask.Sequence = &seq
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		return s.run(ctx, args)
	}
	return cmd
}

// isPath reports whether an argument is a value, not a file.
func isPath(arg string) bool {
	for _, prefix := range []string{"/ipfs/", "/ipns/", "ipfs://", "ipns://"} {
		if strings.HasPrefix(arg, prefix) {
			return true
		}
	}
	return false
}

func (s *signing) run(ctx context.Context, args []string) error {
	var request []byte
	var err error
	here := len(args) == 0 || len(args) == 1 && isPath(args[0])
	if !here {
		if s.ask.NotBefore != "" {
			return errors.New("--not-before is in a request already: make the request with it")
		}
		if request, err = readAll(args); err != nil {
			return err
		}
	}
	with := s.withNode
	if s.keyFile != "" {
		with = s.withKeyFile
	}
	return with(ctx, func(n rpc.Caller) error {
		if here {
			if request, err = s.makeRequest(ctx, n, args); err != nil {
				return err
			}
		}
		if r, err := ladder.DecodeRequest(request); err == nil { // else the node says why
			s.show(r)
		}
		s.req.Request = bytes.NewReader(request)
		signed, err := rpc.Do(ctx, n, api.NameSign, s.req)
		if err != nil {
			return err
		}
		file, err := io.ReadAll(signed)
		if err = errors.Join(err, signed.Close()); err != nil {
			return err
		}
		if s.output == "" {
			_, err = s.raw.Write(file)
			return err
		}
		return keystore.WriteNew(s.output, file)
	})
}

// readAll reads files of requests, one after the other.
func readAll(paths []string) ([]byte, error) {
	var all []byte
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, ladder.MaxFile+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if all = append(all, b...); len(all) > ladder.MaxFile {
			return nil, fmt.Errorf("the requests have more than %d bytes", ladder.MaxFile)
		}
	}
	return all, nil
}

// makeRequest makes a request for a key that is here.
func (s *signing) makeRequest(ctx context.Context, n rpc.Caller, args []string) ([]byte, error) {
	s.ask.Name, s.ask.Lifetime, s.ask.Every, s.ask.Count = s.req.Key, s.req.Lifetime, s.req.Every, s.req.Count
	if s.ask.Name == "" {
		s.ask.Name = keystore.Self
	}
	if len(args) == 1 {
		s.ask.Path = args[0]
	}
	s.req.Lifetime, s.req.Every, s.req.Count = nil, nil, 1
	out, err := rpc.Do(ctx, n, api.NameRequest, s.ask)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(out)
	return b, errors.Join(err, out.Close())
}

// show says what is about to be signed.
func (s *signing) show(r *ladder.Request) {
	for i, w := range r.Steps {
		if i > 0 && i < len(r.Steps)-1 && w.Value == r.Steps[i-1].Value {
			continue
		}
		when := ""
		if !w.At.IsZero() {
			when = display.Sprintf(", from %s", w.At.UTC().Format(time.RFC3339))
		}
		display.Fprintf(s.errOut, "%d of %d for %s: %s, sequence %d%s until %s\n", i+1, len(r.Steps), r.Name, w.Value, w.Sequence, when, w.EOL.UTC().Format(time.RFC3339))
	}
}

// withKeyFile calls f with a node in this process that has the key of a file, and no network.
// The key goes nowhere else.
func (s *signing) withKeyFile(ctx context.Context, f func(rpc.Caller) error) error {
	b, err := os.ReadFile(s.keyFile)
	if err != nil {
		return err
	}
	priv, _, err := ipns.RecognizeKey(b)
	if err != nil {
		return fmt.Errorf("read the key in %s: %w", s.keyFile, err)
	}
	r, err := s.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	if err := s.noDaemon(r); err != nil {
		return err
	}
	lock, err := s.lock(r)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	n, err := node.New(ctx, r, node.Config{Offline: true})
	if err != nil {
		return err
	}
	key, err := newFileKey(priv)
	if err == nil {
		n.Keys.Elsewhere = []keystore.Elsewhere{key}
		if s.req.Key == "" {
			s.req.Key = key.name.String()
		}
		err = f(verbs.Mux(n))
	}
	return errors.Join(err, n.Close())
}

// fileKey is a key in a file: a [keystore.Elsewhere].
type fileKey struct {
	signer ipns.Signer
	name   ipns.Name
}

func newFileKey(priv crypto.PrivKey) (*fileKey, error) {
	name, err := ipns.NameOf(priv.GetPublic())
	return &fileKey{ipns.NewSigner(priv), name}, err
}

// Find implements keystore.Elsewhere: such a key has no label.
func (k *fileKey) Find(context.Context, string) (ipns.Signer, error) {
	return nil, keystore.ErrNotFound
}

// Of implements keystore.Elsewhere.
func (k *fileKey) Of(_ context.Context, name ipns.Name) (ipns.Signer, error) {
	if name != k.name {
		return nil, keystore.ErrNotFound
	}
	return k.signer, nil
}
