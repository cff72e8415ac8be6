package gateway

import (
	"context"
	"io"

	"github.com/ipfs/boxo/files"
	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/path"
)

// What a denylist names is not looked for below any CID. That boxo answers such errors with 410 it finds out by their
// text, which is that of content.ErrDenied. The blocks themselves are denied by the Store.

// ResolvePath implements boxo.IPFSBackend.
func (b *backend) ResolvePath(ctx context.Context, p path.ImmutablePath) (boxo.ContentPathMetadata, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, err
	}
	return b.BlocksBackend.ResolvePath(ctx, p)
}

// Head implements boxo.IPFSBackend.
func (b *backend) Head(ctx context.Context, p path.ImmutablePath) (boxo.ContentPathMetadata, *boxo.HeadResponse, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, nil, err
	}
	return b.BlocksBackend.Head(ctx, p)
}

// GetAll implements boxo.IPFSBackend.
func (b *backend) GetAll(ctx context.Context, p path.ImmutablePath) (boxo.ContentPathMetadata, files.Node, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, nil, err
	}
	return b.BlocksBackend.GetAll(ctx, p)
}

// GetBlock implements boxo.IPFSBackend.
func (b *backend) GetBlock(ctx context.Context, p path.ImmutablePath) (boxo.ContentPathMetadata, files.File, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, nil, err
	}
	return b.BlocksBackend.GetBlock(ctx, p)
}

// GetCAR implements boxo.IPFSBackend.
func (b *backend) GetCAR(ctx context.Context, p path.ImmutablePath, params boxo.CarParams) (boxo.ContentPathMetadata, io.ReadCloser, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, nil, err
	}
	return b.BlocksBackend.GetCAR(ctx, p, params)
}
