package ipns

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/wire"
)

// publicVectors is the folder with the fixtures of other projects.
func publicVectors(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("IPNS_VECTORS")
	if dir == "" {
		t.Skip("IPNS_VECTORS is not set: the fixtures of other projects are not part of this repository")
	}
	return dir
}

var rsaOnce = sync.OnceValue(func() crypto.PrivKey {
	priv, err := GenerateKey(RSA, 0)
	if err != nil {
		panic(err)
	}
	return priv
})

// testKey makes a key of any type. There is one RSA key for all tests.
func testKey(t testing.TB, typ KeyType) crypto.PrivKey {
	t.Helper()
	switch typ {
	case RSA:
		return rsaOnce()
	case ECDSA:
		priv, _, err := crypto.GenerateECDSAKeyPair(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return priv
	}
	priv, err := GenerateKey(typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

var allKeyTypes = []KeyType{Ed25519, Secp256k1, RSA, ECDSA}

// N-1 N-2 N-4 N-10: every type signs, verifies, and serializes as libp2p does.
func TestKeyTypes(t *testing.T) {
	for _, typ := range allKeyTypes {
		priv := testKey(t, typ)
		pub, err := MarshalPublicKey(priv.GetPublic())
		if err != nil {
			t.Fatal(typ, err)
		}
		if want, err := crypto.MarshalPublicKey(priv.GetPublic()); err != nil || !bytes.Equal(pub, want) {
			t.Errorf("%v: public %x, libp2p has %x", typ, pub, want)
		}
		if pub[0] != 0x08 || pub[1] != byte(typ) || pub[2] != 0x12 {
			t.Errorf("%v: public key begins with %x", typ, pub[:3])
		}
		back, err := ParsePublicKey(pub)
		if err != nil || !back.Equals(priv.GetPublic()) {
			t.Errorf("%v: %v, %v", typ, back, err)
		}
		b, err := MarshalPrivateKey(priv)
		if err != nil {
			t.Fatal(typ, err)
		}
		if want, err := crypto.MarshalPrivateKey(priv); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%v: private key differs from libp2p's", typ)
		}
		again, err := ParsePrivateKey(b)
		if err != nil || !again.Equals(priv) {
			t.Errorf("%v: %v", typ, err)
		}
		name, err := NameOf(back)
		if err != nil {
			t.Fatal(err)
		}
		if inline := typ == Ed25519 || typ == Secp256k1; (name.b[0] == 0) != inline {
			t.Errorf("%v: name %x", typ, name.Binary())
		}
		if typ.String() == "" || strings.Contains(typ.String(), " ") {
			t.Errorf("type is called %q", typ)
		}
	}
	if KeyType(7).String() != "key type 7" {
		t.Error(KeyType(7))
	}
	for _, c := range []struct {
		typ  KeyType
		bits int
	}{{ECDSA, 0}, {KeyType(9), 0}, {RSA, 1024}, {RSA, 8193}} {
		if _, err := GenerateKey(c.typ, c.bits); err == nil {
			t.Errorf("GenerateKey(%v, %d) works", c.typ, c.bits)
		}
	}
}

// N-5 N-6 N-7: public keys that are refused.
func TestPublicKeyRefused(t *testing.T) {
	data := map[KeyType][]byte{}
	full := map[KeyType][]byte{}
	for _, typ := range allKeyTypes {
		b, err := MarshalPublicKey(testKey(t, typ).GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		full[typ] = b
		if _, data[typ], err = splitKey(b); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string][]byte{
		"empty":                   nil,
		"type alone":              {8, 1},
		"unknown type":            marshalKey(4, data[Ed25519]),
		"31 bytes":                marshalKey(Ed25519, data[Ed25519][:31]),
		"33 bytes":                marshalKey(Ed25519, append(bytes.Clone(data[Ed25519]), 0)),
		"no bytes":                marshalKey(Ed25519, nil),
		"truncated":               full[Ed25519][:35],
		"byte after":              append(bytes.Clone(full[Ed25519]), 0),
		"field more":              append(bytes.Clone(full[Ed25519]), 0x18, 0x01),
		"fields swapped":          append(wire.AppendBytes(nil, 2, data[Ed25519]), 8, 1),
		"type as a long varint":   append([]byte{8, 0x81, 0}, full[Ed25519][2:]...),
		"length as a long varint": append([]byte{8, 1, 0x12, 0xa0, 0}, data[Ed25519]...),
		"no type":                 full[RSA][2:],
		"all-zero point":          marshalKey(Secp256k1, make([]byte, 33)),
		"RSA garbage":             marshalKey(RSA, []byte("garbage")),
		"RSA, byte after":         marshalKey(RSA, append(bytes.Clone(data[RSA]), 0)),
		"ECDSA, byte after":       marshalKey(ECDSA, append(bytes.Clone(data[ECDSA]), 0)),
		"secp256k1 uncompressed":  marshalKey(Secp256k1, uncompressed(t, data[Secp256k1])),
		"secp256k1 hybrid":        marshalKey(Secp256k1, append([]byte{6}, uncompressed(t, data[Secp256k1])[1:]...)),
		"ECDSA compressed":        marshalKey(ECDSA, compressSPKI(data[ECDSA])),
		"RSA 1024":                marshalKey(RSA, rsaSPKI(t, 1024, 65537)),
		"RSA 2047":                marshalKey(RSA, rsaSPKI(t, 2047, 65537)),
		"RSA 8193":                marshalKey(RSA, rsaSPKI(t, 8193, 65537)),
		"RSA 16384":               marshalKey(RSA, rsaSPKI(t, 16384, 65537)),
		"RSA e=1":                 marshalKey(RSA, rsaSPKI(t, 2048, 1)),
		"RSA e=2":                 marshalKey(RSA, rsaSPKI(t, 2048, 2)),
		"RSA e even":              marshalKey(RSA, rsaSPKI(t, 2048, 65536)),
	}
	for _, as := range allKeyTypes {
		for _, is := range allKeyTypes {
			if as != is {
				cases[fmt.Sprintf("%v bytes as %v", is, as)] = marshalKey(as, data[is])
			}
		}
	}
	for why, b := range cases {
		if pub, err := ParsePublicKey(b); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%s: %v, %v", why, pub, err)
		}
		if err := verifySignature(b, []byte("message"), make([]byte, 64)); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%s: verifying with it: %v", why, err)
		}
	}
	for _, bits := range []int{2048, 8192} {
		if _, err := ParsePublicKey(marshalKey(RSA, rsaSPKI(t, bits, 65537))); err != nil {
			t.Errorf("RSA %d: %v", bits, err)
		}
	}
}

func uncompressed(t *testing.T, point []byte) []byte {
	t.Helper()
	pub, err := secp256k1.ParsePubKey(point)
	if err != nil {
		t.Fatal(err)
	}
	return pub.SerializeUncompressed()
}

// compressSPKI writes the point of a P-256 key in its short form.
func compressSPKI(der []byte) []byte {
	x, y := der[len(der)-64:len(der)-32], der[len(der)-1]
	point := append([]byte{2 + y&1}, x...)
	head := bytes.Clone(der[:len(der)-65])
	head[1] -= 32           // outer SEQUENCE
	head[len(head)-2] -= 32 // BIT STRING
	return append(head, point...)
}

// rsaSPKI encodes a modulus that only looks like one.
func rsaSPKI(t *testing.T, bits, e int) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(12345)), E: e})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// N-6: private keys that are refused, and the old form of Ed25519.
func TestPrivateKeyForms(t *testing.T) {
	priv := testKey(t, Ed25519)
	raw, err := priv.Raw()
	if err != nil {
		t.Fatal(err)
	}
	old := append(bytes.Clone(raw), raw[32:]...)
	got, err := ParsePrivateKey(marshalKey(Ed25519, old))
	if err != nil || !got.Equals(priv) {
		t.Errorf("96 bytes: %v", err)
	}
	if b, err := MarshalPrivateKey(got); err != nil || len(b) != 68 || !bytes.Equal(b[:4], []byte{0x08, 0x01, 0x12, 0x40}) {
		t.Errorf("written again: %d bytes, %v", len(b), err)
	}
	old[95] ^= 1
	if _, err := ParsePrivateKey(marshalKey(Ed25519, old)); err == nil || !strings.Contains(err.Error(), "expected redundant ed25519 public key to be redundant") {
		t.Errorf("96 bytes that differ: %v", err)
	}
	foreign := append(bytes.Clone(raw[:32]), bytes.Repeat([]byte{1}, 32)...)
	order := secp256k1.Params().N.Bytes()
	small, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: big.NewInt(77), E: 3})
	if err != nil {
		t.Fatal(err)
	}
	for why, b := range map[string][]byte{
		"empty":                nil,
		"Ed25519 of 32 bytes":  marshalKey(Ed25519, raw[:32]),
		"Ed25519 of 65 bytes":  marshalKey(Ed25519, append(bytes.Clone(raw), 1)),
		"foreign public half":  marshalKey(Ed25519, foreign),
		"secp256k1 zero":       marshalKey(Secp256k1, make([]byte, 32)),
		"secp256k1 order":      marshalKey(Secp256k1, order),
		"secp256k1 33 bytes":   marshalKey(Secp256k1, make([]byte, 33)),
		"RSA garbage":          marshalKey(RSA, []byte{1}),
		"RSA public":           marshalKey(RSA, small),
		"ECDSA garbage":        marshalKey(ECDSA, []byte{1}),
		"unknown type":         marshalKey(5, raw),
		"truncated":            marshalKey(Ed25519, raw)[:67],
		"byte after":           append(marshalKey(Ed25519, raw), 0),
		"Ed25519 as secp256k1": marshalKey(Secp256k1, raw),
	} {
		if key, err := ParsePrivateKey(b); err == nil {
			t.Errorf("%s: %v", why, key.Type())
		}
	}
	// A signer with such a key must not give out records.
	bad, err := crypto.UnmarshalEd25519PrivateKey(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Sign(context.Background(), NewSigner(bad), Fields{EOL: testEOL}, V2Only); err == nil {
		t.Errorf("signed %x", r.Raw())
	}
}

// N-8: keys of low order, in every encoding, own no name.
func TestWeakKeys(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	encode := func(y *big.Int, sign byte) (key [32]byte) {
		y.FillBytes(key[:])
		for i := range 16 {
			key[i], key[31-i] = key[31-i], key[i]
		}
		key[31] |= sign << 7
		return key
	}
	var weak [][32]byte
	for _, sign := range []byte{0, 1} {
		for _, y := range lowOrderY {
			y[31] |= sign << 7
			weak = append(weak, y)
		}
		for i := range int64(19) {
			weak = append(weak, encode(new(big.Int).Add(p, big.NewInt(i)), sign))
		}
	}
	for _, key := range weak {
		if !weakEd25519(key) {
			t.Errorf("%x passes", key)
		}
		b := marshalKey(Ed25519, key[:])
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%x: %v", key, err)
		}
		// R = identity, S = 0 verifies for the identity point, whatever the message.
		sig := append([]byte{1}, make([]byte, 63)...)
		if err := verifySignature(b, []byte("any"), sig); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%x: %v", key, err)
		}
		if _, err := nameOfSerialized(b).PublicKey(); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("PublicKey of %x: %v", key, err)
		}
	}
	for range 1000 {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil || weakEd25519([32]byte(pub)) {
			t.Fatalf("%x is called weak, %v", pub, err)
		}
	}
	if weakEd25519(encode(new(big.Int).Sub(p, big.NewInt(2)), 0)) {
		t.Error("p-2 is called weak")
	}
	// The check matters: the standard library takes this signature.
	identity := [32]byte{1}
	if !ed25519.Verify(identity[:], []byte("any"), append([]byte{1}, make([]byte, 63)...)) {
		t.Error("the forged signature is no longer one: is the check still needed?")
	}
}

// malleable and oddly encoded signatures.
func TestSignatureForms(t *testing.T) {
	msg := []byte("message")
	for _, typ := range allKeyTypes {
		priv := testKey(t, typ)
		key, err := MarshalPublicKey(priv.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		sig, err := priv.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifySignature(key, msg, sig); err != nil {
			t.Errorf("%v: %v", typ, err)
		}
		bad := map[string][]byte{
			"empty":      nil,
			"truncated":  sig[:len(sig)-1],
			"byte after": append(bytes.Clone(sig), 0),
			"byte first": append([]byte{0}, sig...),
			"zero":       make([]byte, len(sig)),
			"long":       make([]byte, 9000),
		}
		for _, i := range []int{0, len(sig) / 2, len(sig) - 1} {
			flipped := bytes.Clone(sig)
			flipped[i] ^= 1
			bad[fmt.Sprint("bit of byte ", i)] = flipped
		}
		if typ == Ed25519 {
			// S + L is the same scalar.
			l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
			s := reverse(sig[32:])
			sum := new(big.Int).Add(new(big.Int).SetBytes(s), l).FillBytes(make([]byte, 32))
			bad["S not reduced"] = append(bytes.Clone(sig[:32]), reverse(sum)...)
		}
		for why, s := range bad {
			if err := verifySignature(key, msg, s); !errors.Is(err, ErrSignature) {
				t.Errorf("%v, %s: %v", typ, why, err)
			}
		}
		if err := verifySignature(key, []byte("another"), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%v, another message: %v", typ, err)
		}
	}
}

func reverse(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[len(b)-1-i] = c
	}
	return out
}

// V-41 V-42: keys of the libp2p specification and of go-libp2p.
func TestLibp2pKeys(t *testing.T) {
	dir := filepath.Join(publicVectors(t), "libp2p-keys")
	names := map[string]string{
		"spec-ed25519": identities[5].base36, "spec-secp256k1": identities[6].base36,
		"spec-rsa": identities[7].base36, "spec-ecdsa": identities[8].base36,
	}
	for _, f := range []string{"0", "2", "3", "spec-ed25519", "spec-secp256k1", "spec-rsa", "spec-ecdsa"} {
		b, public := readFile(t, filepath.Join(dir, f+".priv")), readFile(t, filepath.Join(dir, f+".pub"))
		priv, err := ParsePrivateKey(b)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if again, err := MarshalPrivateKey(priv); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: private key is not the same again, %v", f, err)
		}
		if got, err := MarshalPublicKey(priv.GetPublic()); err != nil || !bytes.Equal(got, public) {
			t.Errorf("%s: public key %x, want %x", f, got, public)
		}
		name, err := NameOf(priv.GetPublic())
		if want, ok := names[f]; ok && name.String() != want {
			t.Errorf("%s: name %v, %v; want %s", f, name, err, want)
		}
		sig, err := os.ReadFile(filepath.Join(dir, f+".sig"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		msg := []byte("Libp2p is the _best_!")
		if err := verifySignature(public, msg, sig); err != nil {
			t.Errorf("%s: signature: %v", f, err)
		}
		if own, err := priv.Sign(msg); KeyType(priv.Type()) != ECDSA && (err != nil || !bytes.Equal(own, sig)) {
			t.Errorf("%s: signature %x, want %x", f, own, sig)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
