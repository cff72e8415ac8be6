// Package remote signs with keys that a server holds, at a Unix socket or by HTTPS.
//
// The protocol is two requests of HTTP/1.1 with JSON: docs/signer.md has it, examples/signer
// is a server. A key is called "signer:URL#LABEL", such as signer:unix:/run/signer.sock#blog
// or signer:https://signer.example#blog; without #LABEL it is the only key of the server. A
// server gets the bytes that are to be signed, and can read from them what the record says
// ([ipns.ParseSigned]), so it need not trust this end: it may refuse a sequence that goes back.
//
// Each call has a connection of its own, that ends with it, and a deadline. What comes back is
// bounded, and a redirect is an error. The files with the token and certificates are read for
// each call, so that they can be replaced while a node runs. A signature is verified by who
// asked for it.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// Prefix begins the labels of keys of a server.
const Prefix = "signer:"

// Limits of a call.
const (
	listLimit = 5 * time.Second  // a server lists its keys without asking anybody
	signLimit = 60 * time.Second // somebody may have to confirm a signature
)

// Server is a server that signs. It is a [keystore.Elsewhere], safe for concurrent use.
type Server struct {
	// URL is unix:/PATH of a socket, or https://HOST/PATH.
	URL string
	// TokenFile has a secret that is sent with each request, as "Authorization: Bearer …";
	// "": none.
	TokenFile string
	// CertFile and KeyFile are the certificate and key of this client, as PEM; "": none.
	CertFile, KeyFile string
	// CAFile has the certificates that sign the server's, as PEM; "": those of the system.
	CAFile string
}

// Check returns an error if the URL is none of those that are possible.
func (s *Server) Check() error {
	_, _, err := s.target()
	return err
}

// key is a key of a server.
type key struct {
	label string
	pub   crypto.PubKey
	name  ipns.Name
	err   error // why it cannot be used; pub and name are then unset
}

// Find implements [keystore.Elsewhere].
func (s *Server) Find(ctx context.Context, label string) (ipns.Signer, error) {
	url, of, named := strings.Cut(strings.TrimPrefix(label, Prefix), "#")
	if !strings.HasPrefix(label, Prefix) || url != s.URL {
		return nil, keystore.ErrNotFound
	}
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	var found []key
	for _, k := range list {
		if !named || k.label == of {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 0 && !named:
		return nil, fmt.Errorf("%w: the signer %s has none", keystore.ErrNotFound, s.URL)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: the signer %s has no key %q", keystore.ErrNotFound, s.URL, of)
	case len(found) > 1 && !named:
		return nil, fmt.Errorf("the signer %s has %d keys: name one, such as %s%s#%s", s.URL, len(found), Prefix, s.URL, found[0].label)
	case len(found) > 1:
		return nil, fmt.Errorf("the signer %s has %d keys that are called %q", s.URL, len(found), of)
	case found[0].err != nil:
		return nil, fmt.Errorf("key %q of the signer %s: %w", found[0].label, s.URL, found[0].err)
	}
	return &signer{s, found[0]}, nil
}

// Of implements [keystore.Elsewhere].
func (s *Server) Of(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		if k.err == nil && k.name == name {
			return &signer{s, k}, nil
		}
	}
	return nil, keystore.ErrNotFound
}

// list asks for the keys.
func (s *Server) list(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	var answer Keys
	if err := s.ask(ctx, http.MethodGet, KeysPath, nil, &answer, maxKeysAnswer); err != nil {
		return nil, fmt.Errorf("list the keys of the signer %s: %w", s.URL, err)
	}
	if n := len(answer.Keys); n > MaxKeys {
		return nil, fmt.Errorf("list the keys of the signer %s: it has %d, and at most %d are possible", s.URL, n, MaxKeys)
	}
	list := make([]key, 0, len(answer.Keys))
	for _, k := range answer.Keys {
		parsed := key{label: k.Label}
		if parsed.pub, parsed.err = ipns.ParsePublicKey(k.PublicKey); parsed.err == nil {
			parsed.name, parsed.err = ipns.NameOf(parsed.pub)
		}
		list = append(list, parsed)
	}
	return list, nil
}

// ask makes a request and decodes its answer.
func (s *Server) ask(ctx context.Context, method, path string, body []byte, answer any, limit int64) error {
	client, base, err := s.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := s.authorize(req); err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return s.failed(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		limit = maxAnswer
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return refused(resp, b)
	case err != nil:
		return s.failed(ctx, err)
	case int64(len(b)) > limit:
		return fmt.Errorf("its answer has more than %d bytes", limit)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("its answer is not one of a signer: %w", err)
	}
	return nil
}

// failed says of an error whether it is that of the deadline.
func (s *Server) failed(ctx context.Context, err error) error {
	if why := ctx.Err(); why != nil {
		return fmt.Errorf("it does not answer: %w", why)
	}
	return unwrapURL(err)
}

// ErrRefused means that a server does not sign something, or not for this client.
var ErrRefused = errors.New("it refuses")

// refused is the error of an answer that is not 200.
func refused(resp *http.Response, body []byte) error {
	var why Refusal
	if json.Unmarshal(body, &why) != nil || why.Error == "" {
		why.Error = resp.Status
	}
	text := strings.ToValidUTF8(why.Error[:min(len(why.Error), maxRefusal)], "")
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrRefused, text)
	}
	return fmt.Errorf("it fails: %s", text)
}

// signer signs with one key. It is a publisher.RemoteSigner: a signature may be made although
// its answer is lost.
type signer struct {
	server *Server
	key    key
}

// Public implements [ipns.Signer].
func (s *signer) Public() crypto.PubKey { return s.key.pub }

// Remote says that the key is not in this process.
func (s *signer) Remote() bool { return true }

// Sign implements [ipns.Signer].
func (s *signer) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	sig, err := s.sign(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("sign with key %q of the signer %s: %w", s.key.label, s.server.URL, err)
	}
	return sig, nil
}

func (s *signer) sign(ctx context.Context, msg []byte) ([]byte, error) {
	if len(msg) > MaxMessage {
		return nil, fmt.Errorf("%d bytes: a signer takes at most %d", len(msg), MaxMessage)
	}
	body, err := json.Marshal(SignRequest{Name: s.key.name.String(), Message: msg})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, signLimit)
	defer cancel()
	var answer Signed
	if err := s.server.ask(ctx, http.MethodPost, SignPath, body, &answer, maxAnswer); err != nil {
		return nil, err
	}
	switch n := len(answer.Signature); {
	case n == 0:
		return nil, errors.New("its answer has no signature")
	case n > maxSignature:
		return nil, fmt.Errorf("its signature has %d bytes", n)
	}
	return answer.Signature, nil
}
