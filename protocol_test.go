package ipns

import (
	"crypto/ed25519"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

var update = flag.Bool("update", false, "write the dumps of PROTOCOL.md again")

// protocolRecords are the records that PROTOCOL.md takes apart. Their key is the
// one of RFC 8032, section 7.1, test 1.
func protocolRecords(t *testing.T) (v1v2, v2 *Record) {
	t.Helper()
	seed := unhex(t, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	signer := NewSigner(mustKey(t, marshalKey(Ed25519, ed25519.NewKeyFromSeed(seed))))
	f := Fields{
		Value: "/ipfs/bafkqaddwgevxmmraojswg33smq", Sequence: 300,
		EOL: time.Date(2100, 1, 2, 3, 4, 5, 678_900_000, time.UTC), TTL: DefaultTTL,
	}
	var err error
	if v1v2, err = Sign(t.Context(), signer, f, V1V2); err != nil {
		t.Fatal(err)
	}
	f.Metadata = Metadata{"_by": "me"}
	if v2, err = Sign(t.Context(), signer, f, V2Only); err != nil {
		t.Fatal(err)
	}
	return v1v2, v2
}

// dump is a listing of bytes with what they mean.
type dump struct {
	strings.Builder
	offset int
}

// add writes bytes in rows of 16; the meaning stands in the first.
func (d *dump) add(b []byte, meaning string, args ...any) {
	meaning = fmt.Sprintf(meaning, args...)
	for first := true; first || len(b) > 0; first = false {
		row := b[:min(16, len(b))]
		b = b[len(row):]
		fmt.Fprintf(d, "%s\n", strings.TrimRight(fmt.Sprintf("%4d  %-48s %s", d.offset, fmt.Sprintf("% x", row), meaning), " "))
		d.offset += len(row)
		meaning = ""
	}
}

// dumpEnvelope lists a record field by field.
func dumpEnvelope(t *testing.T, r *Record) string {
	t.Helper()
	var env wire.Envelope
	if err := wire.ParseEnvelope(&env, r.raw); err != nil {
		t.Fatal(err)
	}
	var d dump
	bytesField := func(n int, s wire.Span, name, meaning string) {
		if !env.Has(n) {
			return
		}
		content := s.Of(r.raw)
		head := wire.AppendBytes(nil, n, content)
		head = head[:len(head)-len(content)]
		d.add(head, "field %d, bytes: %s, %d bytes", n, name, len(content))
		if meaning == "document" {
			dumpDocument(t, &d, content)
		} else {
			d.add(content, "%s", meaning)
		}
	}
	varint := func(n int, u uint64, name string) {
		if env.Has(n) {
			d.add(wire.AppendVarint(nil, n, u), "field %d, varint: %s = %d", n, name, u)
		}
	}
	bytesField(wire.FieldValue, env.Value, "value", fmt.Sprintf("%q", env.Value.Of(r.raw)))
	bytesField(wire.FieldSignatureV1, env.SignatureV1, "signatureV1", "")
	varint(wire.FieldValidityType, env.ValidityType, "validityType")
	bytesField(wire.FieldValidity, env.Validity, "validity", fmt.Sprintf("%q", env.Validity.Of(r.raw)))
	varint(wire.FieldSequence, env.Sequence, "sequence")
	varint(wire.FieldTTL, env.TTL, "ttl")
	bytesField(wire.FieldPubKey, env.PubKey, "pubKey", "")
	bytesField(wire.FieldSignatureV2, env.SignatureV2, "signatureV2", "")
	bytesField(wire.FieldData, env.Data, "data", "document")
	if d.offset != len(r.raw) {
		t.Fatalf("the dump ends at %d of %d bytes", d.offset, len(r.raw))
	}
	return d.String()
}

// dumpDocument lists the entries in the order they have, which is canonical here.
func dumpDocument(t *testing.T, d *dump, data []byte) {
	t.Helper()
	var doc wire.Document
	if err := wire.ParseDocument(&doc, data); err != nil {
		t.Fatal(err)
	}
	d.add(data[:1], "map of %d entries", int(data[0]&0x1f))
	rest := data[1:]
	entry := func(key string, value []byte, meaning string, args ...any) {
		head := wire.AppendCBORText(nil, key)
		for _, part := range [][]byte{head, value} {
			if !strings.HasPrefix(string(rest), string(part)) {
				t.Fatalf("%s: the document goes on with %x, not %x", key, rest, part)
			}
			rest = rest[len(part):]
		}
		d.add(head, "  text %q", key)
		d.add(value, "    "+meaning, args...)
	}
	extra := map[string][]byte{}
	for key, value := range wire.Extra(data) {
		extra[key] = value
	}
	entry(wire.KeyTTL, wire.AppendCBORUint(nil, doc.TTL), "uint %d ns", doc.TTL)
	for key, value := range extra {
		entry(key, value, "text %q", wire.Decode(value))
	}
	entry(wire.KeyValue, wire.AppendCBORBytes(nil, doc.Value.Of(data)), "bytes %q", doc.Value.Of(data))
	entry(wire.KeySequence, wire.AppendCBORUint(nil, doc.Sequence), "uint %d", doc.Sequence)
	entry(wire.KeyValidity, wire.AppendCBORBytes(nil, doc.Validity.Of(data)), "bytes %q", doc.Validity.Of(data))
	entry(wire.KeyValidityType, wire.AppendCBORUint(nil, doc.ValidityType), "uint %d: EOL", doc.ValidityType)
	if len(rest) > 0 {
		t.Fatalf("%x is left of the document", rest)
	}
}

func dumpName(t *testing.T, n Name) string {
	t.Helper()
	var d dump
	b := n.Binary()
	d.add(b[:1], "multihash code: identity")
	d.add(b[1:2], "length: %d bytes", b[1])
	d.add(b[2:4], "PublicKey, field 1, varint: Type = %v (%d)", Ed25519, b[3])
	d.add(b[4:6], "PublicKey, field 2, bytes: Data, %d bytes", b[5])
	d.add(b[6:], "the key")
	return d.String()
}

func dumpHashName(t *testing.T) string {
	t.Helper()
	priv := mustKey(t, readFile(t, "testdata/kubo/vec-rsa.key"))
	pub, err := MarshalPublicKey(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	n, err := NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	var d dump
	d.add(n.Binary()[:1], "multihash code: SHA2-256")
	d.add(n.Binary()[1:2], "length: %d bytes", n.Binary()[1])
	d.add(n.Binary()[2:], "hash of the PublicKey, which has %d bytes and begins with % x", len(pub), pub[:5])
	return d.String()
}

func protocolForms(n Name) string {
	kad := n.Kad()
	var b strings.Builder
	for _, row := range [][2]string{
		{"base36", n.String()},
		{"base58btc", n.PeerID().String()},
		{"base32", n.CID().String()},
		{"CID", fmt.Sprintf("%x", n.CID().Bytes())},
		{"routing key", fmt.Sprintf("%x", n.RoutingKey())},
		{"Kademlia", fmt.Sprintf("%x", kad)},
		{"topic", n.Topic()},
		{"contenthash", fmt.Sprintf("0xe501%x", n.CID().Bytes())},
	} {
		fmt.Fprintf(&b, "%-12s %s\n", row[0], row[1])
	}
	return b.String()
}

func dumpMessages(r *Record) string {
	var d dump
	d.add([]byte(signaturePrefix), "%q", signaturePrefix)
	d.add(r.data.Of(r.raw)[:16], "the document, %d bytes, to its end: not one byte of it is changed", r.data.Len)
	sum := sha256.Sum256(append([]byte(signaturePrefix), r.data.Of(r.raw)...))
	return d.String() + fmt.Sprintf("\nSHA-256 of all of it, for comparison\n%x\n", sum)
}

// TestProtocol keeps PROTOCOL.md true: each of its blocks that begin with the
// name of a dump is what the test prints. Run it with -update to write them.
func TestProtocol(t *testing.T) {
	v1v2, v2 := protocolRecords(t)
	name := v1v2.Name()
	dumps := map[string]string{
		"name":      dumpName(t, name),
		"hash name": dumpHashName(t),
		"forms":     protocolForms(name),
		"V1+V2":     dumpEnvelope(t, v1v2),
		"V2":        dumpEnvelope(t, v2),
		"message":   dumpMessages(v2),
		"V1":        fmt.Sprintf("%q\n", string(v1v2.RawValue())+v1v2.EOL().Format(time.RFC3339Nano)+validityText),
	}
	const file = "PROTOCOL.md"
	text := string(readFile(t, file))
	block := regexp.MustCompile("(?s)```text ([^\n]+)\n(.*?)```")
	seen := map[string]bool{}
	want := block.ReplaceAllStringFunc(text, func(s string) string {
		which := block.FindStringSubmatch(s)[1]
		content, ok := dumps[which]
		if !ok {
			t.Errorf("%s has a block %q, which is none of ours", file, which)
		}
		seen[which] = true
		return "```text " + which + "\n" + content + "```"
	})
	for which := range dumps {
		if !seen[which] {
			t.Errorf("%s has no block %q", file, which)
		}
	}
	if text == want {
		return
	}
	if !*update {
		t.Errorf("%s is not what the code does; run go test -run TestProtocol -update . and look at the difference", file)
		return
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
