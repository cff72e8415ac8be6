package ipns

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/multiformats/go-multibase"
)

// N-40, and the formats that other programs for IPNS write.
func TestKeysAreRecognized(t *testing.T) {
	for _, typ := range allKeyTypes {
		priv := testKey(t, typ)
		binary, err := ExportKey(priv, KeyFormatProtobuf)
		if err != nil {
			t.Fatal(err)
		}
		pemText, err := ExportKey(priv, KeyFormatPEM)
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(binary)
		var lines strings.Builder
		for i := 0; i < len(text); i += 64 {
			lines.WriteString(text[i:min(i+64, len(text))] + "\r\n")
		}
		forms := map[string][]string{
			KeyFormatProtobuf: {string(binary), string(binary) + "\n", string(binary) + "\r\n"},
			KeyFormatPEM:      {string(pemText), "a comment\n" + string(pemText), strings.ReplaceAll(string(pemText), "\n", "\r\n")},
			KeyFormatBase64: {
				text, text + "\n", strings.TrimRight(text, "="), lines.String(),
				base64.URLEncoding.EncodeToString(binary), base64.RawURLEncoding.EncodeToString(binary) + "\r\n",
			},
		}
		for _, base := range []multibase.Encoding{multibase.Base64, multibase.Base64pad, multibase.Base64url, multibase.Base64urlPad} {
			s, err := multibase.Encode(base, binary)
			if err != nil {
				t.Fatal(err)
			}
			forms[KeyFormatBase64] = append(forms[KeyFormatBase64], s)
		}
		if typ == Ed25519 {
			raw, err := priv.Raw()
			if err != nil {
				t.Fatal(err)
			}
			forms[KeyFormatRaw] = []string{string(raw), base64.StdEncoding.EncodeToString(raw) + "\n"}
		}
		for want, all := range forms {
			for _, data := range all {
				got, format, err := RecognizeKey([]byte(data))
				if err != nil || format != want || !got.Equals(priv) {
					t.Errorf("%v, %s: %q, %v", typ, want, format, err)
				}
			}
		}
	}
}

// N-44: what is no key is an error that does not repeat it.
func TestWhatIsNoKeyIsNotRecognized(t *testing.T) {
	binary, err := MarshalPrivateKey(testKey(t, Ed25519))
	if err != nil {
		t.Fatal(err)
	}
	mixed := bytes.Clone(binary)
	mixed[len(mixed)-1] ^= 1 // the public half of another key
	for what, data := range map[string][]byte{
		"nothing":       nil,
		"a seed":        binary[4:36], // any 32 bytes would do
		"torn":          binary[:40],
		"two halves":    mixed,
		"raw, mixed":    mixed[4:],
		"base64, mixed": []byte(base64.StdEncoding.EncodeToString(mixed)),
		"text":          []byte("secret words"),
		"openssh":       []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"),
		"huge":          bytes.Repeat([]byte("A"), maxKeyText+1),
	} {
		priv, format, err := RecognizeKey(data)
		if err == nil {
			t.Errorf("%s is %s of %v", what, format, priv.Type())
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%s: the error repeats it: %v", what, err)
		}
	}
}
