package api

import (
	"io"

	"github.com/goipns/ipns/rpc"
)

// multibaseCommands are the commands of this file.
var multibaseCommands = []rpc.Spec{MultibaseEncode, MultibaseDecode, MultibaseTranscode, MultibaseList}

var (
	// MultibaseEncode: write bytes in a multibase.
	MultibaseEncode = rpc.Command[MultibaseEncodeRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "multibase/encode", Args: "<file>",
			Short:    "Write bytes in a multibase",
			Examples: []string{`echo hello | ipns multibase encode -b base16`},
			Local:    true,
		},
	}
	// MultibaseDecode: read bytes in any multibase.
	MultibaseDecode = rpc.Command[MultibaseDecodeRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "multibase/decode", Args: "<encoded_file>",
			Short:    "Read bytes in any multibase",
			Examples: []string{`printf f68656c6c6f0a | ipns multibase decode`},
			Local:    true,
		},
	}
	// MultibaseTranscode: convert between multibases.
	MultibaseTranscode = rpc.Command[MultibaseTranscodeRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "multibase/transcode", Args: "<encoded_file>",
			Short:    "Convert between multibases",
			Examples: []string{`printf f68656c6c6f0a | ipns multibase transcode -b base32`},
			Local:    true,
		},
	}
	// MultibaseList: list multibase encodings.
	MultibaseList = rpc.Command[CIDBasesRequest, []CodeAndName]{
		Info: rpc.Info{
			Path:     "multibase/list",
			Short:    "List multibase encodings",
			Examples: []string{`ipns multibase list --prefix`},
			Local:    true,
		},
		Text: CIDBasesRequest.Text,
	}
)

// MultibaseEncodeRequest encodes a file.
type MultibaseEncodeRequest struct {
	File io.Reader `file:"file,stdin"`
	Base string    `opt:"b" default:"base64url" help:"multibase to write"`
}

// MultibaseDecodeRequest decodes a file.
type MultibaseDecodeRequest struct {
	File io.Reader `file:"encoded_file,stdin"`
}

// MultibaseTranscodeRequest converts a file.
type MultibaseTranscodeRequest struct {
	File io.Reader `file:"encoded_file,stdin"`
	Base string    `opt:"b" default:"base64url" help:"multibase to write"`
}
