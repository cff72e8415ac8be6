package content

import (
	"cmp"
	"fmt"
	"io/fs"
	"strings"
	"time"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/boxo/verifcid"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

const defaultChunker = "size-262144" // the CID depends on it

// MaxInline bounds [AddOptions.InlineLimit], in bytes: nodes refuse longer CIDs.
const MaxInline = verifcid.DefaultMaxIdentityDigestSize

// Leaves says how the leaves of a file's tree are encoded.
type Leaves int

const (
	LeavesByVersion Leaves = iota // raw with CID version 1, wrapped with 0
	LeavesRaw                     // the bytes alone
	LeavesWrapped                 // in a UnixFS node
)

// ShardBy says how the size of a directory is estimated, which becomes a HAMT when it is above ShardSize.
type ShardBy int

const (
	ShardByLinks ShardBy = iota // the names and CIDs of its links
	ShardByBlock                // the size of its block
	ShardNever                  // it becomes one only by [AddOptions.DirLinks]
)

// AddOptions are the options of [Store.Add]. The zero value does what `ipfs add --pin=false` does.
type AddOptions struct {
	CIDVersion int    // 0 or 1; with a Hash other than sha2-256 it is always 1
	Hash       string // name of the multihash; "": sha2-256
	Leaves     Leaves
	// Chunker says how files are split: "size-BYTES", "rabin-MIN-AVG-MAX" or "buzhash", with no leaf above 2 MiB. "":
	// size-262144.
	Chunker string
	// Trickle lays files out for reading from the start, not for seeking.
	Trickle   bool
	FileLinks int // of one node of a file; 0: 174
	// DirLinks is how many links a directory may have before it becomes a HAMT. 0: any number.
	DirLinks  int
	Fanout    int // links of one node of a HAMT: a power of 2 from 8 to 1024; 0: 256
	ShardSize int // of a directory before it becomes a HAMT, in bytes; 0: 262144
	ShardBy   ShardBy
	// BatchBlocks and BatchBytes bound what is held before it is written. 0: 1024 blocks, 2 MiB.
	BatchBlocks, BatchBytes int
	// Inline puts blocks of up to InlineLimit bytes into their CIDs.
	Inline      bool
	InlineLimit int

	// Mode and ModTime are stored with each entry, if they are not zero; a link has no mode. KeepMode and KeepModTime
	// store those that the entries have, where there is no Mode or ModTime.
	Mode                  fs.FileMode
	ModTime               time.Time
	KeepMode, KeepModTime bool

	// Base is an earlier version of the tree, made with the same options and pinned: files that are Unchanged are taken
	// from it. What is not there is [ErrNoBase].
	Base cid.Cid

	// Pin pins each root recursively, under PinName if it is not empty.
	Pin     bool
	PinName string
	// OnlyHash computes the CIDs and stores nothing; Pin is then ignored.
	OnlyHash bool
	// Wrap puts everything added into one directory, which becomes the only root and has an empty name.
	Wrap bool
	// DropEmpty leaves out directories for which nothing is given that is in them, but for roots.
	DropEmpty bool
	// Progress is called with the number of bytes read so far of the file called name, every 256 KiB and at its end, by
	// the goroutine that ranges over the result.
	Progress func(name string, bytes int64)
}

// Check returns an error, in the words of Kubo, about options that cannot be.
func (o *AddOptions) Check() error {
	if err := CheckPinName(o.PinName); err != nil {
		return err
	}
	_, known := multihash.Names[o.hash()]
	switch n := o.Fanout; {
	case o.CIDVersion != 0 && o.CIDVersion != 1:
		return fmt.Errorf("unknown CID version: %d", o.CIDVersion)
	case !known:
		return fmt.Errorf("unrecognized hash function: %q", o.hash())
	case o.Inline && o.InlineLimit > MaxInline:
		return fmt.Errorf("inline-limit %d exceeds maximum allowed size of %d bytes", o.InlineLimit, MaxInline)
	case n != 0 && (n < 8 || n > 1024 || n&(n-1) != 0):
		return fmt.Errorf("HAMT fanout must be a power of 2, between 8 and 1024 (got %d)", n)
	}
	sum, err := multihash.Sum(nil, multihash.Names[o.hash()], -1)
	if err == nil {
		err = verifcid.ValidateCid(verifcid.DefaultAllowlist, cid.NewCidV1(cid.Raw, sum))
	}
	if err == nil {
		_, err = chunk.FromString(strings.NewReader(""), o.chunker())
	}
	return err
}

const sha256 = "sha2-256"

// hash is the name of the multihash.
func (o *AddOptions) hash() string { return cmp.Or(strings.ToLower(o.Hash), sha256) }

// version is the CID version.
func (o *AddOptions) version() int {
	if o.hash() != sha256 {
		return 1
	}
	return o.CIDVersion
}

// builder makes CIDs.
func (o *AddOptions) builder() cid.Builder {
	prefix := cid.Prefix{Version: uint64(o.version()), Codec: cid.DagProtobuf, MhType: multihash.Names[o.hash()], MhLength: -1}
	if o.Inline {
		return inliner{prefix, o.InlineLimit}
	}
	return prefix
}

func (o *AddOptions) chunker() string { return cmp.Or(o.Chunker, defaultChunker) }

// stat is what is stored of the mode and the time of an entry.
func (o *AddOptions) stat(e Entry) (mode fs.FileMode, modTime time.Time) {
	mode, modTime = o.Mode, o.ModTime
	if mode == 0 && o.KeepMode {
		mode = e.Mode
	}
	if modTime.IsZero() && o.KeepModTime {
		modTime = e.ModTime
	}
	return mode, modTime
}

// file is how files are laid out.
func (o *AddOptions) file() helpers.DagBuilderParams {
	links := o.FileLinks
	if links <= 0 {
		links = helpers.DefaultLinksPerBlock
	}
	return helpers.DagBuilderParams{Maxlinks: links}
}

// directory makes an empty directory, with the mode and the time of its link.
func (o *AddOptions) directory(dag ipld.DAGService, builder cid.Builder, l treeLink) (uio.Directory, error) {
	by := map[ShardBy]uio.SizeEstimationMode{
		ShardByLinks: uio.SizeEstimationLinks, ShardByBlock: uio.SizeEstimationBlock, ShardNever: uio.SizeEstimationDisabled,
	}[o.ShardBy]
	dir, err := uio.NewDirectory(dag, uio.WithCidBuilder(builder), uio.WithMaxLinks(o.DirLinks), uio.WithMaxHAMTFanout(o.Fanout),
		uio.WithStat(l.mode, l.modTime), uio.WithSizeEstimationMode(by))
	if err == nil {
		dir.SetHAMTShardingSize(o.ShardSize)
	}
	return dir, err
}

// inliner makes CIDs that hold their blocks, if those have up to limit bytes.
type inliner struct {
	cid.Builder
	limit int
}

// WithCodec implements [cid.Builder].
func (i inliner) WithCodec(codec uint64) cid.Builder {
	return inliner{i.Builder.WithCodec(codec), i.limit}
}

// Sum implements [cid.Builder].
func (i inliner) Sum(data []byte) (cid.Cid, error) {
	if len(data) > i.limit {
		return i.Builder.Sum(data)
	}
	return cid.Prefix{Version: 1, Codec: i.GetCodec(), MhType: multihash.IDENTITY, MhLength: -1}.Sum(data)
}
