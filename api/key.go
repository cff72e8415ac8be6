package api

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// keyCommands are the commands of this file.
var keyCommands = []rpc.Spec{KeyGen, KeyLs, KeyImport, KeyRename, KeyRm, KeySign, KeyVerify, KeyShare, KeyUnshare, KeyShared}

var (
	// KeyGen: make a key.
	KeyGen = rpc.Command[KeyGenRequest, Key]{
		Info: rpc.Info{
			Path: "key/gen", Args: "<name>",
			Short:    "Make a key",
			Examples: []string{`ipns key gen blog`, `ipns key gen --type=rsa --size=2048 old`},
		},
		Text: KeyGenRequest.Text,
	}
	// KeyLs: list all keys.
	KeyLs = rpc.Command[KeyListRequest, Keys]{
		Info: rpc.Info{
			Path:     "key/ls",
			Short:    "List all keys",
			Examples: []string{`ipns key ls`, `ipns key ls -l`},
			Aliases:  []string{"key/list"},
			Instant:  true,
		},
		Text: KeyListRequest.Text,
	}
	// KeyImport: import a key from a file.
	KeyImport = rpc.Command[KeyImportRequest, KeyImported]{
		Info: rpc.Info{
			Path: "key/import", Args: "<name> <file>",
			Short:    "Import a key from a file",
			Long:     "Import a key from a file of Kubo, w3name, js-libp2p, Filebase or openssl.\nWhich format it has is recognized, and said on standard error.",
			Examples: []string{`ipns key import restored blog.key`},
		},
		Text: KeyImportRequest.Text,
	}
	// KeyRename: rename a key.
	KeyRename = rpc.Command[KeyRenameRequest, KeyRenamed]{
		Info: rpc.Info{
			Path: "key/rename", Args: "<name> <new name>",
			Short:    "Rename a key",
			Examples: []string{`ipns key rename blog journal`},
		},
		Text: KeyRenameRequest.Text,
	}
	// KeyRm: delete keys permanently.
	KeyRm = rpc.Command[KeyRemoveRequest, KeysRemoved]{
		Info: rpc.Info{
			Path: "key/rm", Args: "<name>...",
			Short:    "Delete keys permanently",
			Examples: []string{`ipns key rm old`},
		},
		Text: KeyRemoveRequest.Text,
	}
	// KeySign: sign data with a key.
	KeySign = rpc.Command[KeySignRequest, KeySigned]{
		Info: rpc.Info{
			Path: "key/sign", Args: "<file>",
			Short: "Sign data with a key",
			Long: `Sign data with a key, to prove that you hold it.

The signature is of the data after "libp2p-key signed message:", so that it is
never one of a record.`,
			Examples: []string{`ipns key sign --key=blog site/index.html`},
		},
		Text: KeySignRequest.Text,
	}
	// KeyVerify: check a signature of data.
	KeyVerify = rpc.Command[KeyVerifyRequest, KeyVerified]{
		Info: rpc.Info{
			Path: "key/verify", Args: "<file>",
			Short:    "Check a signature made by 'ipns key sign'",
			Examples: []string{`ipns key verify --key=blog --signature=$SIGNATURE site/index.html`},
		},
		Text: KeyVerifyRequest.Text,
	}
)

// KeyGenRequest generates a key.
type KeyGenRequest struct {
	Name     string `arg:"name"`
	Type     string `opt:"type,t" default:"ed25519" help:"ed25519, rsa or secp256k1"`
	Size     int    `opt:"size,s" default:"-1" help:"bits of an RSA key"`
	IPNSBase string `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
}

// Key is a key: its label and its IPNS name.
type Key struct {
	Name string
	Id   string
}

// Text is the IPNS name.
func (KeyGenRequest) Text(k Key) string { return display.Sprintf("%s\n", k.Id) }

// KeyListRequest lists all keys.
type KeyListRequest struct {
	Long     bool   `opt:"l" help:"print the IPNS names too"`
	IPNSBase string `opt:"ipns-base" default:"base36" help:"encoding of the printed names"`
}

// Keys lists keys: self first, the others by label.
type Keys struct{ Keys []Key }

// Text is one label per line.
func (req KeyListRequest) Text(l Keys) string { return keysText(l.Keys, req.Long) }

func keysText(keys []Key, long bool) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 1, 2, 1, ' ', 0)
	for _, k := range keys {
		if long {
			display.Fprintf(tw, "%s\t%s\t\n", k.Id, k.Name)
		} else {
			display.Fprintf(tw, "%s\n", k.Name)
		}
	}
	tw.Flush()
	return b.String()
}

// KeyImportRequest stores a key that was generated elsewhere.
type KeyImportRequest struct {
	Name         string    `arg:"name"`
	Key          io.Reader `file:"key"`
	Format       string    `opt:"format,f" help:"libp2p-protobuf-cleartext or pem-pkcs8-cleartext, and nothing else (default: recognized)"`
	AllowAnyType bool      `opt:"allow-any-key-type" help:"accept ECDSA keys too"`
	IPNSBase     string    `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
}

// KeyImported is an imported key.
type KeyImported struct {
	Key
	// Format is the format that was recognized; empty if the request named it.
	Format string `json:",omitempty"`
}

// keyFormats says who writes keys of a format.
var keyFormats = map[string]string{
	ipns.KeyFormatProtobuf: "as Kubo, w3name and js-libp2p write it",
	ipns.KeyFormatPEM:      "PKCS #8, as openssl and Kubo write it",
	ipns.KeyFormatBase64:   "as Filebase, js-libp2p and Kubo's config have it",
	ipns.KeyFormatRaw:      "seed and public key",
}

// Recognized says which format was recognized; "" if none was.
func (k KeyImported) Recognized() string {
	if k.Format == "" {
		return ""
	}
	return display.Sprintf("recognized %s: %s", k.Format, keyFormats[k.Format])
}

// Text is the IPNS name.
func (KeyImportRequest) Text(k KeyImported) string { return display.Sprintf("%s\n", k.Id) }

// KeyRenameRequest gives a key another label.
type KeyRenameRequest struct {
	Old      string `arg:"name"`
	New      string `arg:"newName"`
	Force    bool   `opt:"force,f" help:"replace a key that already has the new name; that key is lost"`
	IPNSBase string `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
}

// KeyRenamed is a renamed key.
type KeyRenamed struct {
	Was       string
	Now       string
	Id        string
	Overwrite bool
}

// Text is Kubo's line.
func (KeyRenameRequest) Text(r KeyRenamed) string {
	if r.Overwrite {
		return display.Sprintf("Key %s renamed to %s with overwriting\n", r.Id, r.Now)
	}
	return display.Sprintf("Key %s renamed to %s\n", r.Id, r.Now)
}

// KeyRemoveRequest deletes keys. It stops at the first error.
type KeyRemoveRequest struct {
	Names    []string `arg:"name,stdin"`
	Long     bool     `opt:"l" help:"print the IPNS names too"`
	IPNSBase string   `opt:"ipns-base" default:"base36" help:"encoding of the printed names"`
}

// KeysRemoved are the deleted keys.
type KeysRemoved struct{ Keys []Key }

// Text is one label per line.
func (req KeyRemoveRequest) Text(r KeysRemoved) string { return keysText(r.Keys, req.Long) }

// KeySignRequest signs data.
type KeySignRequest struct {
	Data     io.Reader `file:"data,stdin"`
	Key      string    `opt:"key,k" help:"key to sign with (default self)"`
	IPNSBase string    `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
}

// KeySigned is a signature of data, in multibase.
type KeySigned struct {
	Key       Key
	Signature string
}

// Text is JSON, as Kubo prints it.
func (KeySignRequest) Text(s KeySigned) string { return jsonLine(s) }

// KeyVerifyRequest checks a signature.
type KeyVerifyRequest struct {
	Data      io.Reader `file:"data,stdin"`
	Key       string    `opt:"key,k" help:"key, name or peer id that signed (default self)"`
	Signature string    `opt:"signature,s" help:"the signature, in multibase"`
	IPNSBase  string    `opt:"ipns-base" default:"base36" help:"encoding of the printed name"`
}

// KeyVerified says whether a signature is one of the data by the key. The key has no label
// if it is not one of this node.
type KeyVerified struct {
	Key            Key
	SignatureValid bool
}

// Text is JSON, as Kubo prints it.
func (KeyVerifyRequest) Text(v KeyVerified) string { return jsonLine(v) }

// jsonLine is a response as one line of JSON.
func jsonLine(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return string(b) + "\n"
}
