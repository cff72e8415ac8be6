package repo

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/multiformats/go-multihash"
)

// Import says how content is added where a command does not say it. nil is the default.
type Import struct {
	CidVersion      *int    // 0 or 1; 0
	UnixFSRawLeaves *bool   // true with version 1
	UnixFSChunker   *string // "size-262144"
	HashFunction    *string // "sha2-256"

	UnixFSFileMaxLinks           *int // 174
	UnixFSDirectoryMaxLinks      *int // 0: no limit
	UnixFSHAMTDirectoryMaxFanout *int // 256
	// UnixFSHAMTDirectorySizeThreshold is the size above which a folder becomes a HAMT: 256 KiB. 0: none does.
	UnixFSHAMTDirectorySizeThreshold  *Bytes
	UnixFSHAMTDirectorySizeEstimation *string // "links", "block" or "disabled"; "links"
	UnixFSDAGLayout                   *string // "balanced" or "trickle"; "balanced"

	BatchMaxNodes *int // blocks written at once; 1024
	BatchMaxSize  *int // bytes written at once; 2 MiB

	FastProvideRoot *bool // announce a new root at once; true
	FastProvideDAG  *bool // and all that is below it; false
	FastProvideWait *bool // and wait until that is done; false
}

// UnmarshalJSON takes "default" for null, as Kubo's older versions wrote it.
func (i *Import) UnmarshalJSON(b []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	for key, v := range values {
		if string(v) == `"default"` {
			delete(values, key)
		}
	}
	b, err := json.Marshal(values)
	if err != nil {
		return err
	}
	type plain Import
	return json.Unmarshal(b, (*plain)(i))
}

// check returns an error in the words of Kubo if a value cannot be.
func (i *Import) check() error {
	if v := i.CidVersion; v != nil && *v != 0 && *v != 1 {
		return fmt.Errorf("Import.CidVersion must be 0 or 1, got %d", *v)
	}
	if n := i.UnixFSDirectoryMaxLinks; n != nil && *n < 0 {
		return fmt.Errorf("Import.UnixFSDirectoryMaxLinks must be non-negative, got %d", *n)
	}
	if n := i.UnixFSHAMTDirectoryMaxFanout; n != nil && (*n < 8 || *n > 1024 || *n&(*n-1) != 0) {
		return fmt.Errorf("Import.UnixFSHAMTDirectoryMaxFanout must be a power of 2, between 8 and 1024 (got %d)", *n)
	}
	for key, n := range map[string]*int{
		"UnixFSFileMaxLinks": i.UnixFSFileMaxLinks, "BatchMaxNodes": i.BatchMaxNodes, "BatchMaxSize": i.BatchMaxSize,
	} {
		if n != nil && *n <= 0 {
			return fmt.Errorf("%s must be positive, got %d", "Import."+key, *n)
		}
	}
	if c := i.UnixFSChunker; c != nil && !isChunker(*c) {
		return fmt.Errorf(`Import.UnixFSChunker invalid format: %q (expected "size-<bytes>", "rabin-<min>-<avg>-<max>", or "buzhash")`, *c)
	}
	if h := i.HashFunction; h != nil {
		if _, ok := multihash.Names[strings.ToLower(*h)]; !ok {
			return fmt.Errorf("Import.HashFunction unrecognized: %q", *h)
		}
	}
	if e := i.UnixFSHAMTDirectorySizeEstimation; e != nil && *e != "links" && *e != "block" && *e != "disabled" {
		return fmt.Errorf(`Import.UnixFSHAMTDirectorySizeEstimation must be "links", "block", or "disabled", got %q`, *e)
	}
	if l := i.UnixFSDAGLayout; l != nil && *l != "balanced" && *l != "trickle" {
		return fmt.Errorf(`Import.UnixFSDAGLayout must be "balanced" or "trickle", got %q`, *l)
	}
	return nil
}

// isChunker reports whether a text has the form of a chunker. Whether its sizes can be is known when it is used.
func isChunker(s string) bool {
	kind, rest, _ := strings.Cut(s, "-")
	var sizes []uint64
	for part := range strings.SplitSeq(rest, "-") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil && rest != "" {
			return false
		}
		sizes = append(sizes, n)
	}
	switch kind {
	case "buzhash":
		return s == kind
	case "size":
		return len(sizes) == 1 && sizes[0] > 0
	case "rabin":
		return len(sizes) == 3 && sizes[0] <= sizes[1] && sizes[1] <= sizes[2]
	}
	return false
}

// Bytes is a size as text, such as "256KiB"; in JSON it may be a number too.
type Bytes string

// N is the size in bytes.
func (b Bytes) N() int {
	n, _ := humanize.ParseBytes(string(b)) // UnmarshalJSON has read it
	return int(n)
}

// UnmarshalJSON reads a number or a text.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	if n, err := humanize.ParseBytes(text); err != nil || n > maxSize {
		return fmt.Errorf(`%s is not a size, such as "256KiB"`, data)
	}
	*b = Bytes(text)
	return nil
}

// maxSize bounds a size in the config, in bytes.
const maxSize = 1 << 40
