package ipns

import (
	"bytes"
	"context"
	"testing"
	"time"
)

var testEOL = time.Date(2100, time.January, 2, 3, 4, 5, 678_900_000, time.UTC)

func newTestSigner(t testing.TB, typ KeyType) Signer {
	t.Helper()
	priv, err := GenerateKey(typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	return NewSigner(priv)
}

func TestSignOpen(t *testing.T) {
	for _, typ := range []KeyType{Ed25519, Secp256k1, RSA} {
		signer := newTestSigner(t, typ)
		for _, form := range []Form{V1V2, V2Only} {
			f := Fields{
				Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: testEOL, TTL: time.Minute,
				Metadata: Metadata{"_a": "text", "_bytes": []byte{1, 2}, "_n": int64(-5), "_ok": true},
			}
			r, err := Sign(context.Background(), signer, f, form)
			if err != nil {
				t.Fatal(typ, form, err)
			}
			name, err := NameOf(signer.Public())
			if err != nil || name != r.Name() {
				t.Fatal(name, r.Name(), err)
			}
			got, err := Open(name, r.Raw(), testEOL.Add(-1))
			if err != nil {
				t.Fatal(typ, form, err)
			}
			if got.Value() != f.Value || got.Sequence() != 7 || !got.EOL().Equal(testEOL) || got.TTL() != time.Minute || got.Form() != form {
				t.Errorf("%v %v: got %+v", typ, form, got)
			}
			if m := got.Metadata(); m["_a"] != "text" || m["_n"] != int64(-5) || m["_ok"] != true || !bytes.Equal(m["_bytes"].([]byte), []byte{1, 2}) {
				t.Errorf("metadata: %v", m)
			}
			renewed, err := Renew(context.Background(), signer, got, testEOL.Add(time.Hour))
			if err != nil || Compare(renewed, got) <= 0 {
				t.Errorf("renewed: %v %v", renewed, err)
			}
		}
	}
}
