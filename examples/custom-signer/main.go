// Command custom-signer signs a record with a key that this program never sees: the
// signer asks somebody else, here a person with openssl or another process
// behind a pipe. A token, a KMS or a signing service has the same shape.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// remote sends what is to be signed to a signing process, one line of base64
// each, and reads the signature as a line.
type remote struct {
	pub crypto.PubKey
	to  io.Writer
	ans *bufio.Reader
}

func (r *remote) Public() crypto.PubKey { return r.pub }

func (r *remote) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(r.to, base64.StdEncoding.EncodeToString(msg)); err != nil {
		return nil, fmt.Errorf("asking the signing process: %w", err)
	}
	line, err := r.ans.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the signature: %w", err)
	}
	return base64.StdEncoding.DecodeString(line[:len(line)-1])
}

// serve is the signing process: it alone has the key.
func serve(key ed25519.PrivateKey, in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		msg, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			return
		}
		fmt.Fprintln(out, base64.StdEncoding.EncodeToString(ed25519.Sign(key, msg)))
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "custom-signer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	theirIn, ourOut := io.Pipe()
	ourIn, theirOut := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirOut.Close()
		serve(key, theirIn, theirOut)
	}()
	defer func() {
		ourOut.Close()
		<-done
	}()

	public, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		return err
	}
	// Sign checks what a signer returns: a wrong signature never leaves it.
	signer := &remote{pub: public, to: ourOut, ans: bufio.NewReader(ourIn)}
	record, err := ipns.Sign(ctx, signer, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(ipns.DefaultLifetime), TTL: ipns.DefaultTTL}, ipns.V2Only)
	if err != nil {
		return err
	}
	fmt.Println(record)
	return nil
}
