package verbs

import (
	"context"
	"fmt"
	"io"

	"github.com/multiformats/go-multibase"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleMultibase(m *rpc.Mux) {
	rpc.Handle(m, api.MultibaseEncode, rpc.One(multibaseEncode))
	rpc.Handle(m, api.MultibaseDecode, rpc.One(multibaseDecode))
	rpc.Handle(m, api.MultibaseTranscode, rpc.One(multibaseTranscode))
	rpc.Handle(m, api.MultibaseList, rpc.One(cidBases))
}

// multibaseEncode implements the command.
func multibaseEncode(_ context.Context, req api.MultibaseEncodeRequest) (rpc.Stream, error) {
	base, err := multibase.EncoderByName(req.Base)
	if err != nil {
		return rpc.Stream{}, err
	}
	data, err := readWhole(req.File)
	if err != nil {
		return rpc.Stream{}, err
	}
	return streamOf([]byte(base.Encode(data)), "text/plain"), nil
}

// multibaseDecode implements the command.
func multibaseDecode(_ context.Context, req api.MultibaseDecodeRequest) (rpc.Stream, error) {
	data, err := decodeMultibase(req.File)
	if err != nil {
		return rpc.Stream{}, err
	}
	return streamOf(data, "text/plain"), nil
}

// multibaseTranscode implements the command.
func multibaseTranscode(_ context.Context, req api.MultibaseTranscodeRequest) (rpc.Stream, error) {
	base, err := multibase.EncoderByName(req.Base)
	if err != nil {
		return rpc.Stream{}, err
	}
	data, err := decodeMultibase(req.File)
	if err != nil {
		return rpc.Stream{}, err
	}
	return streamOf([]byte(base.Encode(data)), "text/plain"), nil
}

func decodeMultibase(r io.Reader) ([]byte, error) {
	text, err := readWhole(r)
	if err != nil {
		return nil, err
	}
	_, data, err := multibase.Decode(string(text))
	if err != nil {
		return nil, fmt.Errorf("failed to decode multibase: %w", err)
	}
	return data, nil
}

// readWhole reads a file that is held in memory.
func readWhole(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxData+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read file contents: %w", err)
	}
	if len(b) > maxData {
		return nil, rpc.Refuse(fmt.Errorf("the file is larger than %d bytes", maxData))
	}
	return b, nil
}
