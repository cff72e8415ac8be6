package api

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// cidCommands are the commands of this file.
var cidCommands = []rpc.Spec{CIDFormat, CIDBase32, CIDInspect, CIDBases, CIDCodecs, CIDHashes}

var (
	// CIDFormat: convert CIDs.
	CIDFormat = rpc.Command[CIDFormatRequest, FormattedCID]{
		Info: rpc.Info{
			Path: "cid/format", Args: "<cid>...",
			Short: "Convert CIDs to another version, base, codec or form",
			Long: "Convert CIDs. The format may contain %s the CID, %S it without its multibase\n" +
				"prefix, %b the base, %B its letter, %v the version, %c %C the codec, %h %H the\n" +
				"hash function, %L the length of the hash, %m %M the multihash, %d %D the hash,\n" +
				"%P the prefix and %% a percent sign; capitals are numbers, or leave prefixes\n" +
				"out.",
			Examples: []string{`ipns cid format -v 1 -b base32 $CID`, `ipns cid format -f "%h %L" $CID`},
			Local:    true, Chunked: true,
		},
		Text: CIDFormatRequest.Text,
	}
	// CIDBase32: convert CIDs to version 1 in base32.
	CIDBase32 = rpc.Command[CIDBase32Request, FormattedCID]{
		Info: rpc.Info{
			Path: "cid/base32", Args: "<cid>...",
			Short:    "Convert CIDs to version 1 in base32",
			Examples: []string{`ipns cid base32 $CID`},
			Local:    true, Chunked: true,
		},
		Text: CIDBase32Request.Text,
	}
	// CIDInspect: take a CID apart.
	CIDInspect = rpc.Command[CIDInspectRequest, InspectedCID]{
		Info: rpc.Info{
			Path: "cid/inspect", Args: "<cid>",
			Short:    "Take a CID apart",
			Examples: []string{`ipns cid inspect $CID`},
			Local:    true,
		},
		Text:  CIDInspectRequest.Text,
		Check: CIDInspectRequest.check,
	}
	// CIDBases: list multibase encodings.
	CIDBases = rpc.Command[CIDBasesRequest, []CodeAndName]{
		Info: rpc.Info{
			Path:     "cid/bases",
			Short:    "List multibase encodings",
			Examples: []string{`ipns cid bases --prefix`},
			Local:    true,
		},
		Text: CIDBasesRequest.Text,
	}
	// CIDCodecs: list the codecs of CIDs.
	CIDCodecs = rpc.Command[CIDCodecsRequest, []CodeAndName]{
		Info: rpc.Info{
			Path:     "cid/codecs",
			Short:    "List the codecs of CIDs",
			Examples: []string{`ipns cid codecs --supported`},
			Local:    true,
		},
		Text: CIDCodecsRequest.Text,
	}
	// CIDHashes: list the hash functions of CIDs.
	CIDHashes = rpc.Command[CIDHashesRequest, []CodeAndName]{
		Info: rpc.Info{
			Path:     "cid/hashes",
			Short:    "List the hash functions of CIDs",
			Examples: []string{`ipns cid hashes --numeric`},
			Local:    true,
		},
		Text: CIDHashesRequest.Text,
	}
)

// CIDFormatRequest converts CIDs.
type CIDFormatRequest struct {
	CIDs    []string `arg:"cid,stdin"`
	Format  string   `opt:"f" default:"%s" help:"what to print of each"`
	Version string   `opt:"v" help:"version to convert to"`
	Codec   string   `opt:"mc" help:"multicodec to convert to"`
	Base    string   `opt:"b" help:"multibase in which the CIDs are written"`
}

// CIDBase32Request converts CIDs.
type CIDBase32Request struct {
	CIDs []string `arg:"cid,stdin"`
}

// FormattedCID is one CID, or why it is none.
type FormattedCID struct {
	CidStr    string // as it was given
	Formatted string
	ErrorMsg  string
}

// Failed tells why the CID was not converted, and what that makes of the command;
// empty: it was.
func (f FormattedCID) Failed() (why, verdict string) {
	if f.ErrorMsg == "" {
		return "", ""
	}
	return display.Sprintf("%s: %s", f.CidStr, f.ErrorMsg), "errors while displaying some entries"
}

// Text is one line a CID.
func (CIDFormatRequest) Text(f FormattedCID) string { return f.line() }

// Text is one line a CID.
func (CIDBase32Request) Text(f FormattedCID) string { return f.line() }

func (f FormattedCID) line() string {
	if f.ErrorMsg != "" {
		return ""
	}
	return display.Sprintf("%s\n", f.Formatted)
}

// CIDInspectRequest takes a CID apart.
type CIDInspectRequest struct {
	CID string `arg:"cid,stdin"`
}

// InspectedCID is a CID and its parts, or why it is none.
type InspectedCID struct {
	Cid        string   `json:"cid"`
	Version    int      `json:"version"`
	Multibase  CIDPart  `json:"multibase"`
	Multicodec CIDCodec `json:"multicodec"`
	Multihash  CIDHash  `json:"multihash"`
	CidV0      string   `json:"cidV0,omitempty"`
	CidV1      string   `json:"cidV1"`
	ErrorMsg   string   `json:"errorMsg,omitempty"`
}

// CIDPart is the base of a CID.
type CIDPart struct {
	Prefix string `json:"prefix"`
	Name   string `json:"name"`
}

// CIDCodec is the codec of a CID.
type CIDCodec struct {
	Code uint64 `json:"code"`
	Name string `json:"name"`
}

// CIDHash is the hash of a CID: Digest is hexadecimal, Length in bytes.
type CIDHash struct {
	Code   uint64 `json:"code"`
	Name   string `json:"name"`
	Length int    `json:"length"`
	Digest string `json:"digest"`
}

func (CIDInspectRequest) check(c InspectedCID) error {
	if c.ErrorMsg != "" {
		return errors.New(c.ErrorMsg)
	}
	return nil
}

// Text is one line a part.
func (CIDInspectRequest) Text(c InspectedCID) string {
	base, implicit := c.Multibase.Prefix, ""
	if c.Version == 0 {
		base, implicit = "implicit", ", implicit"
	}
	var b strings.Builder
	display.Fprintf(&b, "CID:        %s\nVersion:    %d\nMultibase:  %s (%s)\n", c.Cid, c.Version, c.Multibase.Name, base)
	display.Fprintf(&b, "Multicodec: %s (0x%x%s)\n", c.Multicodec.Name, c.Multicodec.Code, implicit)
	display.Fprintf(&b, "Multihash:  %s (0x%x%s)\n  Length:   %d bytes\n  Digest:   %s\n",
		c.Multihash.Name, c.Multihash.Code, implicit, c.Multihash.Length, c.Multihash.Digest)
	v0 := c.CidV0
	switch {
	case v0 != "":
	case c.Multicodec.Code != codeDagPB:
		v0 = display.Sprintf("not possible, requires dag-pb (0x70), got %s (0x%x)", c.Multicodec.Name, c.Multicodec.Code)
	case c.Multihash.Code != codeSHA256:
		v0 = display.Sprintf("not possible, requires sha2-256 (0x12), got %s (0x%x)", c.Multihash.Name, c.Multihash.Code)
	default:
		v0 = display.Sprintf("not possible, requires 32-byte digest, got %d", c.Multihash.Length)
	}
	display.Fprintf(&b, "CIDv0:      %s\nCIDv1:      %s\n", v0, c.CidV1)
	return b.String()
}

// Multicodecs that a CID of version 0 always has.
const (
	codeDagPB  = 0x70
	codeSHA256 = 0x12
)

// CIDBasesRequest lists encodings.
type CIDBasesRequest struct {
	Prefix  bool `opt:"prefix" help:"print the letter that CIDs in the encoding begin with"`
	Numeric bool `opt:"numeric" help:"print the code"`
}

// CIDCodecsRequest lists codecs.
type CIDCodecsRequest struct {
	Numeric   bool `opt:"numeric,n" help:"print the code"`
	Supported bool `opt:"supported,s" help:"only those that 'dag' reads and writes"`
}

// CIDHashesRequest lists hash functions.
type CIDHashesRequest struct {
	Numeric   bool `opt:"numeric,n" help:"print the code"`
	Supported bool `opt:"supported,s" help:"accepted for compatibility: all are"`
}

// CodeAndName is an entry of a table of multiformats.
type CodeAndName struct {
	Code int
	Name string
}

// Text is one line an encoding, sorted by letter.
func (req CIDBasesRequest) Text(list []CodeAndName) string {
	list = slices.SortedFunc(slices.Values(list), func(a, b CodeAndName) int {
		return cmp.Or(cmp.Compare(unicode.ToLower(rune(a.Code)), unicode.ToLower(rune(b.Code))), cmp.Compare(b.Code, a.Code))
	})
	var b strings.Builder
	for _, e := range list {
		letter := rune(e.Code)
		if !unicode.IsPrint(letter) {
			letter = ' '
		}
		if req.Prefix {
			display.Fprintf(&b, "%c ", letter)
		}
		if req.Numeric {
			display.Fprintf(&b, "%7d ", e.Code)
		}
		if req.Prefix || req.Numeric {
			b.WriteByte(' ')
		}
		display.Fprintf(&b, "%s\n", e.Name)
	}
	return b.String()
}

// Text is one line a codec, sorted by code.
func (req CIDCodecsRequest) Text(list []CodeAndName) string { return codeLines(list, req.Numeric) }

// Text is one line a hash function, sorted by code.
func (req CIDHashesRequest) Text(list []CodeAndName) string { return codeLines(list, req.Numeric) }

// codeLines is one line an entry, sorted by code.
func codeLines(list []CodeAndName, numeric bool) string {
	list = slices.SortedFunc(slices.Values(list), func(a, b CodeAndName) int { return cmp.Compare(a.Code, b.Code) })
	var b strings.Builder
	for _, e := range list {
		if numeric {
			display.Fprintf(&b, "%5d  ", e.Code)
		}
		display.Fprintf(&b, "%s\n", e.Name)
	}
	return b.String()
}
