package ipns_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// witness keeps what it is asked to sign.
type witness struct {
	ipns.Signer
	asked [][]byte
}

func (w *witness) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	w.asked = append(w.asked, append([]byte(nil), msg...))
	return w.Signer.Sign(ctx, msg)
}

func (w *witness) Public() crypto.PubKey { return w.Signer.Public() }

func TestASignerCanReadWhatItSigns(t *testing.T) {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{Signer: ipns.NewSigner(key)}
	want := ipns.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: 1<<63 + 4, EOL: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC), TTL: time.Minute,
		Metadata: ipns.Metadata{"_note": "kept"}, HighSequence: true,
	}
	if _, err := ipns.Sign(t.Context(), w, want, ipns.V1V2); err != nil {
		t.Fatal(err)
	}
	got, err := ipns.ParseSigned(w.asked[0])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	document := w.asked[0]
	for what, msg := range map[string][]byte{
		"SignatureV1": w.asked[1],
		"nothing":     nil,
		"a message":   []byte("libp2p-key signed message:ipns-signature:"),
		"more":        append(append([]byte(nil), document...), 0),
		"less":        document[:len(document)-1],
		"too much":    append(append([]byte(nil), document...), make([]byte, ipns.MaxRecordSize)...),
	} {
		if _, err := ipns.ParseSigned(msg); !errors.Is(err, ipns.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
