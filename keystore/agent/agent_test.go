package agent_test

import (
	"bytes"
	"context"
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/agent"
)

// listen returns the socket of a server that calls serve for each connection.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
		os.RemoveAll(dir)
	})
	return path
}

// serving returns an agent in this process with the given keys, by comment.
func serving(t testing.TB, keys map[string]any) *agent.Agent {
	t.Helper()
	ring := sshagent.NewKeyring()
	for comment, key := range keys {
		if err := ring.Add(sshagent.AddedKey{PrivateKey: key, Comment: strings.TrimRight(comment, "'")}); err != nil {
			t.Fatal(err)
		}
	}
	return &agent.Agent{Socket: listen(t, func(c net.Conn) { _ = sshagent.ServeAgent(ring, c) })}
}

func keys(t testing.TB) map[string]any {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"ed": ed, "ec": ec, "rsa": r}
}

// sign makes a record and verifies it as a stranger would.
func sign(t testing.TB, s ipns.Signer, form ipns.Form) {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), s, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)}, form)
	if err != nil {
		t.Error(err)
		return
	}
	name, err := ipns.NameOf(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ipns.Open(name, rec.Raw(), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestKeysOfAnAgentSignRecords(t *testing.T) {
	all := keys(t)
	a := serving(t, all)
	for comment, key := range all {
		s, err := a.Find(t.Context(), "agent:"+comment)
		if err != nil {
			t.Errorf("%s: %v", comment, err)
			continue
		}
		local, err := ipns.NewCryptoSigner(key.(stdcrypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		if !s.Public().Equals(local.Public()) {
			t.Errorf("%s: another public key", comment)
		}
		sign(t, s, ipns.V1V2)
		sign(t, s, ipns.V2Only)
		pub, err := ssh.NewPublicKey(key.(stdcrypto.Signer).Public())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := a.Find(t.Context(), "agent:"+ssh.FingerprintSHA256(pub)); err != nil || !again.Public().Equals(s.Public()) {
			t.Errorf("%s by its fingerprint: %v", comment, err)
		}
		name, err := ipns.NameOf(s.Public())
		if err != nil {
			t.Fatal(err)
		}
		if of, err := a.Of(t.Context(), name); err != nil || !of.Public().Equals(s.Public()) {
			t.Errorf("%s by its name: %v", comment, err)
		}
	}
}

func TestWhatCannotSignIsNamed(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	two := keys(t)
	a := serving(t, map[string]any{"p384": p384, "twice": two["ed"], "twice'": two["ec"]})
	for label, text := range map[string]string{
		"agent:p384":  "a key of type ecdsa-sha2-nistp384 cannot sign records",
		"agent:twice": `2 keys with the comment "twice": name one by its fingerprint, agent:SHA256:`,
		"agent:none":  `the ssh-agent has no key "none"`,
		"agent:":      keystore.ErrNotFound.Error(),
		"blog":        keystore.ErrNotFound.Error(),
	} {
		if _, err := a.Find(t.Context(), label); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestAnAgentThatHangsEndsWithTheContext(t *testing.T) {
	a := &agent.Agent{Socket: listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.Find(ctx, "agent:key"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an agent that hangs: %v", err)
	}
}

// TestAnAgentThatVanishesIsAnError has one that lists its keys and then closes, and one
// whose socket is gone.
func TestAnAgentThatVanishesIsAnError(t *testing.T) {
	ring := sshagent.NewKeyring()
	if err := ring.Add(sshagent.AddedKey{PrivateKey: keys(t)["ed"], Comment: "ed"}); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	a := &agent.Agent{}
	a.Socket = listen(t, func(c net.Conn) {
		if calls.Add(1) == 1 {
			_ = sshagent.ServeAgent(ring, c)
		}
	})
	s, err := a.Find(t.Context(), "agent:ed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), []byte("message")); err == nil || !strings.Contains(err.Error(), "sign with a key of the ssh-agent") {
		t.Errorf("an agent that vanished: %v", err)
	}
	a.Socket += ".none"
	if _, err := a.Find(t.Context(), "agent:ed"); err == nil || errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("without a socket: %v", err)
	}
}

// wrongType answers with a signature of another type.
type wrongType struct{ sshagent.ExtendedAgent }

func (w wrongType) SignWithFlags(k ssh.PublicKey, b []byte, _ sshagent.SignatureFlags) (*ssh.Signature, error) {
	return w.Sign(k, b) // SHA-1 for RSA
}

func TestAnOldSignatureOfRSAIsRefused(t *testing.T) {
	ring := sshagent.NewKeyring().(sshagent.ExtendedAgent)
	if err := ring.Add(sshagent.AddedKey{PrivateKey: keys(t)["rsa"], Comment: "rsa"}); err != nil {
		t.Fatal(err)
	}
	a := &agent.Agent{Socket: listen(t, func(c net.Conn) { _ = sshagent.ServeAgent(wrongType{ring}, c) })}
	s, err := a.Find(t.Context(), "agent:rsa")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), []byte("message")); err == nil || !strings.Contains(err.Error(), `of type "ssh-rsa"`) {
		t.Errorf("a signature with SHA-1: %v", err)
	}
}

// TestACertificateIsNoSecondKey has a key and its certificate, as ssh-add adds them.
func TestACertificateIsNoSecondKey(t *testing.T) {
	all := keys(t)
	signer, err := ssh.NewSignerFromKey(all["ed"])
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	ring := sshagent.NewKeyring()
	for _, added := range []sshagent.AddedKey{{PrivateKey: all["ed"], Certificate: cert, Comment: "blog"}, {PrivateKey: all["ed"], Comment: "blog"}} {
		if err := ring.Add(added); err != nil {
			t.Fatal(err)
		}
	}
	a := &agent.Agent{Socket: listen(t, func(c net.Conn) { _ = sshagent.ServeAgent(ring, c) })}
	s, err := a.Find(t.Context(), "agent:blog")
	if err != nil {
		t.Fatal(err)
	}
	sign(t, s, ipns.V2Only)
}

// TestAnAgentThatAnswersGarbageIsAnError sends what is no answer, to a list and to a request of a
// signature.
func TestAnAgentThatAnswersGarbageIsAnError(t *testing.T) {
	for what, answer := range map[string]string{
		"a failure": "\x00\x00\x00\x01\x05", "another type": "\x00\x00\x00\x01\xff", "no length": "\x00", "a huge length": "\xff\xff\xff\xff",
		"nothing in it": "\x00\x00\x00\x00", "a list that is cut": "\x00\x00\x00\x05\x0c\x00\x00\x00\x09", "text": "hello, this is no agent at all",
	} {
		a := &agent.Agent{Socket: listen(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 5))
			_, _ = io.WriteString(c, answer)
		})}
		if _, err := a.Find(t.Context(), "agent:ed"); err == nil || errors.Is(err, keystore.ErrNotFound) || !strings.Contains(err.Error(), "list the keys of the ssh-agent") {
			t.Errorf("%s: %v", what, err)
		}
	}
	ring := sshagent.NewKeyring().(sshagent.ExtendedAgent)
	if err := ring.Add(sshagent.AddedKey{PrivateKey: keys(t)["ec"], Comment: "ec"}); err != nil {
		t.Fatal(err)
	}
	for what, blob := range map[string][]byte{"nothing": nil, "no numbers": []byte("hello"), "zeros": ssh.Marshal(struct{ R, S *big.Int }{big.NewInt(0), big.NewInt(0)}), "below zero": ssh.Marshal(struct{ R, S *big.Int }{big.NewInt(-5), big.NewInt(7)})} {
		a := &agent.Agent{Socket: listen(t, func(c net.Conn) { _ = sshagent.ServeAgent(lying{ring, blob}, c) })}
		s, err := a.Find(t.Context(), "agent:ec")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ipns.Sign(t.Context(), s, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)}, ipns.V2Only); err == nil {
			t.Errorf("%s was taken for a signature", what)
		}
	}
}

// lying answers with a signature that is none.
type lying struct {
	sshagent.ExtendedAgent
	blob []byte
}

func (l lying) SignWithFlags(k ssh.PublicKey, _ []byte, _ sshagent.SignatureFlags) (*ssh.Signature, error) {
	return &ssh.Signature{Format: k.Type(), Blob: l.blob}, nil
}

// TestTheAgentOfOpenSSH signs with ssh-agent itself.
func TestTheAgentOfOpenSSH(t *testing.T) {
	for _, program := range []string{"ssh-agent", "ssh-add", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here: %v", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	var log bytes.Buffer
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	a := &agent.Agent{Socket: socket}
	for _, args := range [][]string{
		{"-t", "ed25519", "-C", "my blog"},
		{"-t", "ecdsa", "-b", "256", "-C", "ec"},
		{"-t", "rsa", "-b", "3072", "-C", "rsa"},
		{"-t", "ecdsa", "-b", "521", "-C", "p521"},
	} {
		comment := args[len(args)-1]
		file := filepath.Join(dir, comment)
		if out, err := exec.Command("ssh-keygen", append(args, "-q", "-N", "", "-f", file)...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		add := exec.Command("ssh-add", "-q", file)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		for i := 0; ; i++ { // the agent may still be starting
			if out, err := add.CombinedOutput(); err == nil {
				break
			} else if i == 2000 {
				t.Fatalf("ssh-add: %v: %s; the agent says %s", err, out, &log)
			}
			time.Sleep(50 * time.Millisecond)
			add = exec.Command("ssh-add", "-q", file)
			add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		}
		s, err := a.Find(t.Context(), "agent:"+comment)
		if comment == "p521" {
			if err == nil || !strings.Contains(err.Error(), "ecdsa-sha2-nistp521") {
				t.Errorf("P-521: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", comment, err)
			continue
		}
		sign(t, s, ipns.V1V2)
	}
}
