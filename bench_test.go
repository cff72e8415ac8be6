package ipns

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"
)

func benchRecord(b *testing.B, form Form) (Signer, Fields, *Record) {
	b.Helper()
	signer := NewSigner(testKey(b, Ed25519))
	f := Fields{
		Value: "/ipfs/bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4", Sequence: 7,
		EOL: testEOL, TTL: 5 * time.Minute,
	}
	r, err := Sign(context.Background(), signer, f, form)
	if err != nil {
		b.Fatal(err)
	}
	return signer, f, r
}

func BenchmarkSign(b *testing.B) {
	for _, form := range []Form{V1V2, V2Only} {
		b.Run(form.String(), func(b *testing.B) {
			signer, f, _ := benchRecord(b, form)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(context.Background(), signer, f, form); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, form := range []Form{V1V2, V2Only} {
		b.Run(form.String(), func(b *testing.B) {
			_, _, r := benchRecord(b, form)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(r.name, r.raw, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEd25519(b *testing.B) {
	_, _, r := benchRecord(b, V2Only)
	pub, priv, _ := ed25519.GenerateKey(nil)
	msg := append([]byte(signaturePrefix), r.data.Of(r.raw)...)
	sig := ed25519.Sign(priv, msg)
	b.Run("Sign", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(priv, msg)
		}
	})
	b.Run("Verify", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(pub, msg, sig)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	_, _, r := benchRecord(b, V1V2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(r.name, r.raw); err != nil {
			b.Fatal(err)
		}
	}
}
