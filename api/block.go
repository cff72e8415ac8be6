package api

import (
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// blockCommands are the commands of this file.
var blockCommands = []rpc.Spec{BlockGet, BlockPut, BlockStat, BlockRm}

var (
	// BlockGet: print a block.
	BlockGet = rpc.Command[BlockGetRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "block/get", Args: "<cid>",
			Short:    "Print a block",
			Examples: []string{`ipns block get $CID > node.bin`},
		},
	}
	// BlockPut: store blocks.
	BlockPut = rpc.Command[BlockPutRequest, Block]{
		Info: rpc.Info{
			Path: "block/put", Args: "<data>...",
			Short:    "Store blocks as they are",
			Long:     "Store each file as one block, whatever is in it, and print its CID. The codec\nis that of the CID: nothing is converted or checked.",
			Examples: []string{`echo hello | ipns block put`, `ipns block put --cid-codec=dag-pb --pin node.bin`},
			Chunked:  true,
		},
		Text: BlockPutRequest.Text,
	}
	// BlockStat: show the CID and the size of a block.
	BlockStat = rpc.Command[BlockStatRequest, Block]{
		Info: rpc.Info{
			Path: "block/stat", Args: "<cid>",
			Short:    "Show the CID and the size of a block",
			Examples: []string{`ipns block stat $CID`},
		},
		Text: BlockStatRequest.Text,
	}
	// BlockRm: delete blocks that nothing pins.
	BlockRm = rpc.Command[BlockRmRequest, RemovedBlock]{
		Info: rpc.Info{
			Path: "block/rm", Args: "<cid>...",
			Short:    "Delete blocks that nothing pins",
			Examples: []string{`ipns block rm bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am`},
			Chunked:  true,
		},
		Text: BlockRmRequest.Text,
	}
)

// Block is a block: its CID, and its size in bytes.
type Block struct {
	Key  string
	Size int
}

// BlockGetRequest reads a block.
type BlockGetRequest struct {
	Path string `arg:"cid,stdin"`
}

// BlockPutRequest stores blocks.
type BlockPutRequest struct {
	Files
	CIDBase
	Codec    string `opt:"cid-codec" default:"raw" help:"multicodec of the CID"`
	Hash     string `opt:"mhtype" default:"sha2-256" help:"hash function"`
	HashLen  int    `opt:"mhlen" default:"-1" help:"length of the hash in bytes, -1 for the usual one"`
	Pin      bool   `opt:"pin" help:"pin each block, and what it leads to"`
	AllowBig bool   `opt:"allow-big-block" help:"take blocks over 2 MiB, which other nodes don't fetch"`
	Format   string `opt:"format,f" help:"older form of --cid-codec; v0 makes a CID of version 0"`
}

// Text is one CID a line.
func (BlockPutRequest) Text(b Block) string { return display.Sprintf("%s\n", b.Key) }

// BlockStatRequest asks for a block.
type BlockStatRequest struct {
	CIDBase
	Path string `arg:"cid,stdin"`
}

// Text is two lines.
func (BlockStatRequest) Text(b Block) string {
	return display.Sprintf("Key: %s\nSize: %d\n", b.Key, b.Size)
}

// BlockRmRequest deletes blocks.
type BlockRmRequest struct {
	CIDBase
	Paths []string `arg:"cid"`
	Force bool     `opt:"force,f" help:"a block that is not here is no error"`
	Quiet bool     `opt:"quiet,q" help:"print only what was not deleted"`
}

// RemovedBlock is a block that was deleted or, with Error set, was not.
type RemovedBlock struct {
	Hash  string `json:",omitempty"`
	Error string `json:",omitempty"`
}

// Failed tells why the block was not deleted, and what that makes of the command;
// empty: it was.
func (b RemovedBlock) Failed() (why, verdict string) {
	if b.Error == "" {
		return "", ""
	}
	return display.Sprintf("cannot remove %s: %s", b.Hash, b.Error), "some blocks not removed"
}

// Text is one line a block.
func (BlockRmRequest) Text(b RemovedBlock) string {
	if b.Error != "" {
		return ""
	}
	return display.Sprintf("removed %s\n", b.Hash)
}
