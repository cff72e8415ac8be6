package ipns

import (
	"testing"
	"time"
)

// BenchmarkChecks is Open without the signature: decode, and all other checks.
// bench/record has what can be set beside other implementations.
func BenchmarkChecks(b *testing.B) {
	for _, form := range []Form{V1V2, V2Only} {
		b.Run(form.String(), func(b *testing.B) {
			signer := NewSigner(testKey(b, Ed25519))
			signed, err := Sign(b.Context(), signer, Fields{
				Value: "/ipfs/bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4", Sequence: 7, EOL: testEOL, TTL: DefaultTTL,
			}, form)
			if err != nil {
				b.Fatal(err)
			}
			name, raw, now := signed.Name(), signed.Raw(), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				r := &Record{name: name, raw: append([]byte(nil), raw...)}
				p := parts{raw: r.raw}
				if err := p.parseEnvelope(); err != nil {
					b.Fatal(err)
				}
				if _, err := p.publicKey(&r.name); err != nil {
					b.Fatal(err)
				}
				if err := p.parseDocument(); err != nil {
					b.Fatal(err)
				}
				if err := p.compareLegacy(); err != nil {
					b.Fatal(err)
				}
				if err := p.fill(r); err != nil || r.Expired(now) {
					b.Fatal(err)
				}
			}
		})
	}
}
