package ipns

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// N-40: a key survives both formats, and the protobuf one is the bare message.
func TestKeyFiles(t *testing.T) {
	for _, typ := range allKeyTypes {
		priv := testKey(t, typ)
		for _, format := range []string{KeyFormatProtobuf, KeyFormatPEM} {
			b, err := ExportKey(priv, format)
			if err != nil {
				t.Fatal(typ, format, err)
			}
			back, err := ImportKey(b, format)
			if err != nil || !back.Equals(priv) {
				t.Errorf("%v, %s: %v", typ, format, err)
			}
			if format == KeyFormatPEM && !bytes.HasPrefix(b, []byte("-----BEGIN PRIVATE KEY-----\n")) {
				t.Errorf("%v: PEM begins with %.40q", typ, b)
			}
			if format == KeyFormatProtobuf && typ == Ed25519 && (len(b) != 68 || !bytes.HasPrefix(b, []byte{8, 1, 0x12, 0x40})) {
				t.Errorf("protobuf form has %d bytes, %x", len(b), b[:4])
			}
		}
	}
	if _, err := ExportKey(testKey(t, Ed25519), "der"); err == nil || err.Error() != "unrecognized export format: der" {
		t.Errorf("unknown format: %v", err)
	}
}

// N-40 V-12: the keys that Kubo exported are read, and written back byte for byte.
func TestKuboKeys(t *testing.T) {
	for file, typ := range map[string]KeyType{"vec-ed25519.key": Ed25519, "vec-rsa.key": RSA, "vec-secp256k1.key": Secp256k1} {
		b := readFile(t, filepath.Join("testdata/kubo", file))
		priv, err := ImportKey(b, KeyFormatProtobuf)
		if err != nil || KeyType(priv.Type()) != typ {
			t.Fatalf("%s: %v", file, err)
		}
		if again, err := ExportKey(priv, KeyFormatProtobuf); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: not the same bytes again, %v", file, err)
		}
	}
}

// N-42 N-47 V-40: keys that openssl made, in PKCS #8. openssl names the curve of a
// secp256k1 key outside only; others repeat it inside.
func TestOpenSSLKeys(t *testing.T) {
	for file, want := range map[string]string{
		"ed25519.pem":   "k51qzi5uqu5dkkpvg7lbbkomzskmt5woljrkk0jcsoiebhmqs08oo7fbije0rn",
		"rsa.pem":       "k2k4r8n17ez97yn835g3x2l9oxfrisujonzkdef66tkvcvf3os9azl04",
		"secp256k1.pem": "kzwfwjn5ji4pusj1zyoae34r8q1ypbdwxwm5lrxznassbjkos3bv6r5gq1qr2x4",
		"p256.pem":      "k2k4r8npkit8ea7b0nxzp64wwvq15quht1w3zi3p5tct7w87y2ujwidy",
		"p384.pem":      "k2k4r8pgvvct27zh9m11efpnsdc3qgdwgawh81pfxl63hm3vgykcw6vy",
	} {
		text := readFile(t, filepath.Join("testdata/openssl", file))
		priv, err := ImportKey(text, KeyFormatPEM)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if name, err := NameOf(priv.GetPublic()); err != nil || name.String() != want {
			t.Errorf("%s: %v, %v; want %s", file, name, err, want)
		}
		if again, err := ExportKey(priv, KeyFormatPEM); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s: written again as\n%s, %v", file, again, err)
		}
	}
}

// N-42: what openssl says of a key that was exported here.
func TestOpenSSLReads(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, typ := range allKeyTypes {
		priv := testKey(t, typ)
		b, err := ExportKey(priv, KeyFormatPEM)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		pub, err := exec.Command(openssl, "pkey", "-in", file, "-pubout", "-outform", "DER").Output()
		if err != nil {
			t.Errorf("%v: openssl: %v", typ, err)
			continue
		}
		raw, err := priv.GetPublic().Raw()
		if err != nil {
			t.Fatal(err)
		}
		if typ == Secp256k1 {
			key, err := secp256k1.ParsePubKey(raw)
			if err != nil {
				t.Fatal(err)
			}
			raw = key.SerializeUncompressed()
		}
		if !bytes.HasSuffix(pub, raw) {
			t.Errorf("%v: openssl has the public key %x, want %x", typ, pub, raw)
		}
	}
}

// N-42: secp256k1 in PKCS #8.
func TestSecp256k1PKCS8(t *testing.T) {
	priv := testKey(t, Secp256k1)
	scalar, err := priv.Raw()
	if err != nil {
		t.Fatal(err)
	}
	build := func(version int, scalar []byte, curve asn1.ObjectIdentifier, rest string) []byte {
		inner, err := asn1.Marshal(ecPrivateKey{Version: version, PrivateKey: scalar, Curve: curve})
		if err != nil {
			t.Fatal(err)
		}
		der, err := marshalSecp256k1(bytes.Repeat([]byte{1}, 32))
		if err != nil {
			t.Fatal(err)
		}
		var outer pkcs8
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			t.Fatal(err)
		}
		outer.PrivateKey = append(inner, rest...)
		if der, err = asn1.Marshal(outer); err != nil {
			t.Fatal(err)
		}
		return der
	}
	for why, der := range map[string][]byte{
		"without a curve inside": build(1, scalar, nil, ""),
		"with the curve inside":  build(1, scalar, oidSecp256k1, ""),
	} {
		if got, err := parsePKCS8(der); err != nil || !got.Equals(priv) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if got, err := parsePKCS8(build(1, []byte{7}, nil, "")); err != nil {
		t.Errorf("short scalar: %v, %v", got, err)
	}
	for why, der := range map[string][]byte{
		"version 0":       build(0, scalar, nil, ""),
		"version 2":       build(2, scalar, nil, ""),
		"another curve":   build(1, scalar, asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, ""),
		"33 bytes":        build(1, append([]byte{0}, scalar...), nil, ""),
		"zero":            build(1, make([]byte, 32), nil, ""),
		"the order":       build(1, secp256k1.Params().N.Bytes(), nil, ""),
		"over the order":  build(1, bytes.Repeat([]byte{0xff}, 32), nil, ""),
		"no scalar":       build(1, nil, nil, ""),
		"bytes after":     build(1, scalar, nil, "x"),
		"bytes after all": append(build(1, scalar, nil, ""), 0),
	} {
		if got, err := parsePKCS8(der); err == nil {
			t.Errorf("%s: read as %v", why, got.Type())
		}
	}
}

// N-43 N-44: what an import says when it fails, and what it never says.
func TestImportErrors(t *testing.T) {
	pemKey, err := ExportKey(testKey(t, Ed25519), KeyFormatPEM)
	if err != nil {
		t.Fatal(err)
	}
	protobuf, err := ExportKey(testKey(t, Ed25519), KeyFormatProtobuf)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "CORRECTHORSEBATTERYSTAPLE"
	block := func(typ string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	dsa, err := asn1.Marshal(struct {
		Version   int
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       []byte
	}{Algorithm: struct{ OID asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}}, Key: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := x509.MarshalPKCS8PrivateKey(x25519Key(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format string
		data   []byte
		want   string
	}{
		{KeyFormatPEM, []byte(secret), "PEM block not found in input data"},
		{KeyFormatPEM, nil, "PEM block not found in input data"},
		{KeyFormatPEM, block("EC PRIVATE KEY", []byte(secret)), "expected PRIVATE KEY type in PEM block but got: EC PRIVATE KEY"},
		{KeyFormatPEM, block("PRIVATE KEY", []byte(secret)), "parsing PKCS8 format: "},
		{KeyFormatPEM, block("PRIVATE KEY", dsa), "parsing PKCS8 format: "},
		{KeyFormatPEM, block("PRIVATE KEY", x25519), "parsing PKCS8 format: "},
		{KeyFormatPEM, protobuf, "PEM block not found in input data"},
		{KeyFormatProtobuf, pemKey, "unexpected PEM block for format=libp2p-protobuf-cleartext: try again with format=pem-pkcs8-cleartext"},
		{KeyFormatProtobuf, []byte(secret), "unable to unmarshall format=libp2p-protobuf-cleartext: "},
		{KeyFormatProtobuf, append(protobuf, 0), "unable to unmarshall format=libp2p-protobuf-cleartext: "},
		{"jwk", pemKey, "unrecognized import format: jwk"},
	} {
		_, err := ImportKey(c.data, c.format)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s of %.30q: %v; want %q", c.format, c.data, err, c.want)
			continue
		}
		for _, leak := range []string{secret, fmt.Sprintf("%x", secret), string(pemKey[30:60])} {
			if strings.Contains(err.Error(), leak) {
				t.Errorf("%s: the error repeats its input: %v", c.format, err)
			}
		}
	}
}

// N-46: ECDSA keys can be told apart, so that a caller can refuse them.
func TestImportTellsType(t *testing.T) {
	priv, err := ImportKey(readFile(t, "testdata/openssl/p256.pem"), KeyFormatPEM)
	if err != nil || KeyType(priv.Type()) != ECDSA {
		t.Errorf("%v", err)
	}
}

// x25519Key is a key that PKCS #8 can hold and that cannot sign.
func x25519Key(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
