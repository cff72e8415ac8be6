// Package agent signs with keys that an ssh-agent holds.
//
// A key is called "agent:COMMENT" or "agent:SHA256:FINGERPRINT", as ssh-add -l shows them.
// Its name follows from its public key, so nothing is stored here: the agent is asked for
// each key that is looked up, over a connection of its own that ends with the call.
//
// Ed25519, ECDSA over P-256 and RSA keys can sign records. The agent signs what it is given,
// as [ipns.Signer] wants it, but for ECDSA, whose signature it writes as two mpints (RFC 5656
// section 3.1.2), and RSA, which must be asked to use SHA-256 (RFC 8332). Keys on P-384 and P-521
// use other hashes, and those of security keys (sk-) sign more than the message: they are
// refused by name.
package agent

import (
	"cmp"
	"context"
	stdcrypto "crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// Prefix begins the labels of keys in the agent.
const Prefix = "agent:"

// Limits of a call.
const (
	listLimit = 5 * time.Second  // an agent lists its keys without asking anybody
	signLimit = 60 * time.Second // somebody may have to confirm a signature
	maxKeys   = 1000             // that are looked at
	maxNamed  = 4                // that an error lists
)

// Agent is the ssh-agent at a Unix socket. It is a [keystore.Elsewhere], safe for concurrent
// use.
type Agent struct{ Socket string }

// key is a key of the agent that can sign for a name.
type key struct {
	ssh  ssh.PublicKey
	pub  crypto.PubKey
	name ipns.Name
}

// Find returns the signer with a label, or [keystore.ErrNotFound] if it is not one of an agent
// or the agent has no such key.
func (a *Agent) Find(ctx context.Context, label string) (ipns.Signer, error) {
	text, ok := strings.CutPrefix(label, Prefix)
	if !ok || text == "" {
		return nil, keystore.ErrNotFound
	}
	list, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	var found []*sshagent.Key
	for _, k := range list {
		if k.Comment == text || ssh.FingerprintSHA256(k) == text {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%w: the ssh-agent has no key %q; 'ssh-add -l' lists those it has", keystore.ErrNotFound, text)
	case len(found) > 1:
		var each []string
		for _, k := range found[:min(len(found), maxNamed)] {
			each = append(each, Prefix+ssh.FingerprintSHA256(k))
		}
		return nil, fmt.Errorf("the ssh-agent has %d keys with the comment %q: name one by its fingerprint, %s", len(found), text, strings.Join(each, " or "))
	}
	k, err := parse(found[0])
	if err != nil {
		return nil, fmt.Errorf("key %q of the ssh-agent: %w", text, err)
	}
	return &signer{a, k}, nil
}

// Of returns the signer of a name, or [keystore.ErrNotFound].
func (a *Agent) Of(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	list, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		if parsed, err := parse(k); err == nil && parsed.name == name {
			return &signer{a, parsed}, nil
		}
	}
	return nil, keystore.ErrNotFound
}

// list asks the agent for its keys.
func (a *Agent) list(ctx context.Context) (list []*sshagent.Key, err error) {
	err = a.ask(ctx, listLimit, func(c sshagent.ExtendedAgent) (err error) {
		list, err = c.List()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the keys of the ssh-agent: %w", err)
	}
	// A certificate is no other key: ssh-add adds it with the key, and the same comment.
	list = slices.DeleteFunc(list, func(k *sshagent.Key) bool { return strings.HasSuffix(k.Type(), "-cert-v01@openssh.com") })
	if len(list) > maxKeys {
		return nil, fmt.Errorf("list the keys of the ssh-agent: it has %d, and at most %d are possible", len(list), maxKeys)
	}
	return list, nil
}

// ask calls f with a connection to the agent, which ends with the call, ctx or the limit.
func (a *Agent) ask(ctx context.Context, limit time.Duration, f func(sshagent.ExtendedAgent) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", a.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The client has no context, and waits for as long as the connection is open.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = f(sshagent.NewClient(conn))
	if why := ctx.Err(); err != nil && why != nil {
		return fmt.Errorf("%s does not answer: %w", a.Socket, why)
	}
	return err
}

// parse returns the key if it can sign records.
func parse(k *sshagent.Key) (key, error) {
	switch k.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256:
	default:
		return key{}, fmt.Errorf("a key of type %s cannot sign records: use ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa", k.Type())
	}
	parsed, err := ssh.ParsePublicKey(k.Blob)
	if err != nil {
		return key{}, err
	}
	std, ok := parsed.(ssh.CryptoPublicKey)
	if !ok {
		return key{}, fmt.Errorf("its type %s has no public key", k.Type())
	}
	s, err := ipns.NewCryptoSigner(public{std.CryptoPublicKey()})
	if err != nil {
		return key{}, err
	}
	name, err := ipns.NameOf(s.Public())
	return key{parsed, s.Public(), name}, err
}

// public is a public key in the form that [ipns.NewCryptoSigner] reads.
type public struct{ key stdcrypto.PublicKey }

func (p public) Public() stdcrypto.PublicKey { return p.key }

func (public) Sign(io.Reader, []byte, stdcrypto.SignerOpts) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// signer signs with one key. It is a publisher.RemoteSigner: a signature may be made although
// its answer is lost.
type signer struct {
	agent *Agent
	key   key
}

// Public implements [ipns.Signer].
func (s *signer) Public() crypto.PubKey { return s.key.pub }

// Remote says that the key is not in this process.
func (s *signer) Remote() bool { return true }

// Sign implements [ipns.Signer].
func (s *signer) Sign(ctx context.Context, msg []byte) (sig []byte, err error) {
	var flags sshagent.SignatureFlags
	want := s.key.ssh.Type()
	if want == ssh.KeyAlgoRSA {
		flags, want = sshagent.SignatureFlagRsaSha256, ssh.KeyAlgoRSASHA256
	}
	var got *ssh.Signature
	err = s.agent.ask(ctx, signLimit, func(c sshagent.ExtendedAgent) (err error) {
		got, err = c.SignWithFlags(s.key.ssh, msg, flags)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign with a key of the ssh-agent: %w", err)
	}
	if got.Format != want {
		return nil, fmt.Errorf("sign with a key of the ssh-agent: it made a signature of type %q, want %s", cmp.Or(got.Format, "none"), want)
	}
	if want != ssh.KeyAlgoECDSA256 {
		return got.Blob, nil
	}
	var point struct{ R, S *big.Int }
	if err := ssh.Unmarshal(got.Blob, &point); err != nil {
		return nil, fmt.Errorf("sign with a key of the ssh-agent: %w", err)
	}
	return asn1.Marshal(point)
}
