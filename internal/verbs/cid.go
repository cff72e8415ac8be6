package verbs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-cidutil"
	ipldcodecs "github.com/ipld/go-ipld-prime/multicodec"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multicodec"
	"github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleCIDs(m *rpc.Mux) {
	rpc.Handle(m, api.CIDFormat, cidFormat)
	rpc.Handle(m, api.CIDBase32, cidBase32)
	rpc.Handle(m, api.CIDInspect, rpc.One(cidInspect))
	rpc.Handle(m, api.CIDBases, rpc.One(cidBases))
	rpc.Handle(m, api.CIDCodecs, rpc.One(cidCodecs))
	rpc.Handle(m, api.CIDHashes, rpc.One(cidHashes))
}

// cidForm is what to make of a CID.
type cidForm struct {
	text    string             // of package cidutil
	version string             // "0", "1", or as it is
	codec   uint64             // 0: as it is
	base    multibase.Encoding // as it is, unless set
	setBase bool
}

// cidFormat implements the command.
func cidFormat(_ context.Context, req api.CIDFormatRequest) iter.Seq2[api.FormattedCID, error] {
	f, err := formOf(req)
	if err != nil {
		return func(yield func(api.FormattedCID, error) bool) { yield(api.FormattedCID{}, err) }
	}
	return f.each(req.CIDs)
}

func formOf(req api.CIDFormatRequest) (f cidForm, err error) {
	f = cidForm{text: req.Format, version: req.Version}
	if !strings.Contains(f.text, "%") {
		return f, fmt.Errorf("invalid format string: %q", f.text)
	}
	if req.Codec != "" {
		if f.codec, err = codecOf(req.Codec); err != nil {
			return f, err
		}
	}
	if req.Base != "" {
		e, err := multibase.EncoderByName(req.Base)
		if err != nil {
			return f, err
		}
		f.base, f.setBase = e.Encoding(), true
	}
	switch {
	case f.version == "" && f.setBase:
		f.version = "1"
	case f.version == "0" && f.codec != 0 && f.codec != cid.DagProtobuf:
		return f, errors.New("cannot convert to CIDv0 with any codec other than dag-pb")
	case f.version == "0" && f.setBase && f.base != multibase.Base58BTC:
		return f, errors.New("cannot convert to CIDv0 with any multibase other than the implicit base58btc")
	case f.version != "" && f.version != "0" && f.version != "1":
		return f, fmt.Errorf("invalid cid version: %q", f.version)
	}
	return f, nil
}

// cidBase32 implements the command.
func cidBase32(_ context.Context, req api.CIDBase32Request) iter.Seq2[api.FormattedCID, error] {
	return cidForm{text: "%s", version: "1", base: multibase.Base32, setBase: true}.each(req.CIDs)
}

// each converts CIDs. One that is none spoils no other; a wrong form ends it.
func (f cidForm) each(cids []string) iter.Seq2[api.FormattedCID, error] {
	return func(yield func(api.FormattedCID, error) bool) {
		for _, text := range cids {
			res := api.FormattedCID{CidStr: text}
			formatted, err := f.convert(text)
			if errors.As(err, new(cidutil.FormatStringError)) {
				yield(api.FormattedCID{}, err)
				return
			}
			if err != nil {
				res.ErrorMsg = err.Error()
			} else {
				res.Formatted = formatted
			}
			if !yield(res, nil) {
				return
			}
		}
	}
}

func (f cidForm) convert(text string) (string, error) {
	c, err := cid.Decode(text)
	if err != nil {
		return "", err
	}
	if f.codec != 0 && f.codec != c.Type() {
		c = cid.NewCidV1(f.codec, c.Hash())
	}
	switch {
	case f.version == "0" && c.Type() != cid.DagProtobuf:
		return "", errors.New("can't convert non-dag-pb nodes to cidv0")
	case f.version == "0":
		c = cid.NewCidV0(c.Hash())
	case f.version == "1":
		c = cid.NewCidV1(c.Type(), c.Hash())
	}
	base := f.base
	switch {
	case f.setBase:
	case c.Version() == 0:
		base = multibase.Base58BTC
	default:
		if base, err = cid.ExtractEncoding(text); err != nil {
			return "", err
		}
	}
	return cidutil.Format(f.text, base, c)
}

// cidInspect implements the command.
func cidInspect(_ context.Context, req api.CIDInspectRequest) (api.InspectedCID, error) {
	res := api.InspectedCID{Cid: req.CID}
	c, err := cid.Decode(req.CID)
	if err != nil {
		res.ErrorMsg = fmt.Sprintf("invalid CID: %s", err)
		if id, err := peer.Decode(req.CID); err == nil {
			as, err := peer.ToCid(id).StringOfBase(multibase.Base36)
			if err == nil {
				res.ErrorMsg += "\nNote: the value is a PeerID; inspect its CID representation instead:\n  " + as
			}
		}
		return res, nil
	}
	hash, err := multihash.Decode(c.Hash())
	if err != nil {
		res.ErrorMsg = fmt.Sprintf("failed to decode multihash: %s", err)
		return res, nil
	}
	res.Version = int(c.Version())
	res.Multibase = api.CIDPart{Prefix: "z", Name: "base58btc"}
	if c.Version() != 0 {
		base, err := cid.ExtractEncoding(req.CID)
		if err != nil {
			return res, err
		}
		res.Multibase = api.CIDPart{Prefix: string(rune(base)), Name: multibase.EncodingToStr[base]}
	}
	res.Multicodec = api.CIDCodec{Code: c.Type(), Name: codecName(c.Type())}
	name := multihash.Codes[hash.Code]
	if name == "" {
		name = "unknown"
	}
	res.Multihash = api.CIDHash{Code: hash.Code, Name: name, Length: hash.Length, Digest: hex.EncodeToString(hash.Digest)}
	if c.Type() == cid.DagProtobuf && hash.Code == multihash.SHA2_256 && hash.Length == 32 {
		res.CidV0 = cid.NewCidV0(c.Hash()).String()
	}
	base := multibase.Encoding(multibase.Base32)
	if c.Type() == cid.Libp2pKey {
		base = multibase.Base36
	}
	res.CidV1, err = cid.NewCidV1(c.Type(), c.Hash()).StringOfBase(base)
	return res, err
}

func codecName(code uint64) string {
	name := multicodec.Code(code).String()
	if name == "" || strings.HasPrefix(name, "Code(") {
		return "unknown"
	}
	return name
}

// cidBases implements the command.
func cidBases(context.Context, api.CIDBasesRequest) ([]api.CodeAndName, error) {
	var list []api.CodeAndName
	for code, name := range multibase.EncodingToStr {
		list = append(list, api.CodeAndName{Code: int(code), Name: name})
	}
	return list, nil
}

// cidCodecs implements the command.
func cidCodecs(_ context.Context, req api.CIDCodecsRequest) ([]api.CodeAndName, error) {
	supported := map[uint64]bool{cid.Libp2pKey: true}
	for _, code := range append(ipldcodecs.ListEncoders(), ipldcodecs.ListDecoders()...) {
		supported[code] = true
	}
	var list []api.CodeAndName
	for _, code := range multicodec.KnownCodes() {
		if code.Tag() == "ipld" && (!req.Supported || supported[uint64(code)]) {
			list = append(list, api.CodeAndName{Code: int(code), Name: code.String()})
		}
	}
	return list, nil
}

// cidHashes implements the command.
func cidHashes(context.Context, api.CIDHashesRequest) ([]api.CodeAndName, error) {
	var list []api.CodeAndName
	for code, name := range multihash.Codes {
		if content.AllowsHash(code) {
			list = append(list, api.CodeAndName{Code: int(code), Name: name})
		}
	}
	return list, nil
}
