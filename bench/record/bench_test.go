package record

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	boxo "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// measure runs op for a benchmark. Beside the time on the clock it reports the
// time on the processors, which a busy machine does not stretch as much.
func measure(b *testing.B, op func()) {
	b.Helper()
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		op()
	}
	if used := cpuTime() - start; used > 0 {
		b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	}
}

func newKey(b testing.TB) crypto.PrivKey {
	b.Helper()
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		b.Fatal(err)
	}
	return priv
}

func newRecord(b testing.TB, form ipns.Form, sequence uint64) *ipns.Record {
	b.Helper()
	r, err := ipns.Sign(b.Context(), ipns.NewSigner(newKey(b)), ipns.Fields{Value: value, Sequence: sequence, EOL: eol, TTL: ipns.DefaultTTL}, form)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkSign makes and serializes a record. The floor is the signatures alone.
func BenchmarkSign(b *testing.B) {
	priv := newKey(b)
	for _, form := range forms {
		b.Run(form.String()+"/ipns", func(b *testing.B) {
			signer := ipns.NewSigner(priv)
			f := ipns.Fields{Value: value, Sequence: 7, EOL: eol, TTL: ipns.DefaultTTL}
			measure(b, func() {
				if _, err := ipns.Sign(b.Context(), signer, f, form); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(form.String()+"/boxo", func(b *testing.B) {
			p, err := path.NewPath(value)
			if err != nil {
				b.Fatal(err)
			}
			measure(b, func() {
				r, err := boxo.NewRecord(priv, p, 7, eol, ipns.DefaultTTL, boxo.WithV1Compatibility(form == ipns.V1V2))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := boxo.MarshalRecord(r); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(form.String()+"/floor", func(b *testing.B) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			v2, v1 := make([]byte, 15+145), make([]byte, len(value)+33)
			measure(b, func() {
				ed25519.Sign(key, v2)
				if form == ipns.V1V2 {
					ed25519.Sign(key, v1)
				}
			})
		})
	}
}

// BenchmarkOpen parses and verifies a record. The floor is the signature alone.
func BenchmarkOpen(b *testing.B) {
	for _, form := range forms {
		r := newRecord(b, form, 7)
		name, raw := r.Name(), r.Raw()
		b.Run(form.String()+"/ipns", func(b *testing.B) {
			measure(b, func() {
				if _, err := ipns.Open(name, raw, time.Now()); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(form.String()+"/boxo", func(b *testing.B) {
			key := string(name.RoutingKey())
			measure(b, func() {
				if err := (boxo.Validator{}).Validate(key, raw); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
	b.Run("floor", func(b *testing.B) {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		msg := make([]byte, 15+145)
		sig := ed25519.Sign(key, msg)
		measure(b, func() {
			if !ed25519.Verify(pub, msg, sig) {
				b.Fatal("no")
			}
		})
	})
}

// BenchmarkParse takes a record apart, without any verification.
func BenchmarkParse(b *testing.B) {
	r := newRecord(b, ipns.V1V2, 7)
	name, raw := r.Name(), r.Raw()
	b.Run("ipns", func(b *testing.B) {
		measure(b, func() {
			if _, err := ipns.Load(name, raw); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("boxo", func(b *testing.B) {
		measure(b, func() {
			if _, err := boxo.UnmarshalRecord(raw); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkSelect chooses the newest of n records. boxo does it on bytes; here
// it is done on opened records, so the bytes are loaded first for the second
// figure.
func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{2, 16} {
		var records []*ipns.Record
		var raws [][]byte
		for i := range n {
			r := newRecord(b, ipns.V1V2, uint64(i))
			records, raws = append(records, r), append(raws, r.Raw())
		}
		now := time.Now()
		b.Run(fmt.Sprintf("%d/ipns", n), func(b *testing.B) {
			measure(b, func() {
				if ipns.Best(now, records...) == nil {
					b.Fatal("none")
				}
			})
		})
		b.Run(fmt.Sprintf("%d/ipns-from-bytes", n), func(b *testing.B) {
			loaded := make([]*ipns.Record, n)
			measure(b, func() {
				for i, raw := range raws {
					r, err := ipns.Load(records[i].Name(), raw)
					if err != nil {
						b.Fatal(err)
					}
					loaded[i] = r
				}
				if ipns.Best(now, loaded...) == nil {
					b.Fatal("none")
				}
			})
		})
		b.Run(fmt.Sprintf("%d/boxo", n), func(b *testing.B) {
			key := string(records[0].Name().RoutingKey())
			measure(b, func() {
				if _, err := (boxo.Validator{}).Select(key, raws); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkCompare(b *testing.B) {
	x, y := newRecord(b, ipns.V1V2, 7), newRecord(b, ipns.V2Only, 7)
	measure(b, func() {
		if ipns.Compare(x, y) == 0 {
			b.Fatal("equal")
		}
	})
}

// BenchmarkName parses the text of a name and writes it.
func BenchmarkName(b *testing.B) {
	name := newRecord(b, ipns.V2Only, 0).Name()
	text := name.String()
	b.Run("parse/ipns", func(b *testing.B) {
		measure(b, func() {
			if _, err := ipns.ParseName(text); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("parse/boxo", func(b *testing.B) {
		measure(b, func() {
			if _, err := boxo.NameFromString(text); err != nil {
				b.Fatal(err)
			}
		})
	})
	other, err := boxo.NameFromString(text)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("string/ipns", func(b *testing.B) {
		measure(b, func() {
			_ = name.String()
		})
	})
	b.Run("string/boxo", func(b *testing.B) {
		measure(b, func() {
			_ = other.String()
		})
	})
}
