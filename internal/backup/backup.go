// Package backup copies what a node cannot get back from others into one file, and makes
// a repo of such a file: keys, records with their history, marks, rows, config, sites and
// a list of pins, but no blocks.
//
// A file is encrypted in the age format, with a passphrase or to recipients. Inside is a
// tar, which age and tar can open without this program:
//
//	format              the number of the format, and a line end
//	config              as in the repo, and so are the next ones, if they are there
//	sites.json
//	swarm.key
//	libp2p-resource-limit-overrides.json
//	keystore/NAME       the files of the keys; encrypted ones stay as they are
//	denylists/NAME
//	names/000001.jsonl  what the store has, one [Line] of JSON each, and so on
//	manifest.json       a [Manifest]
//
// Invariants: nothing of a file counts before its manifest was read and all of it is as the
// manifest says; what is read is bounded by limits, whatever a file claims; a file at its
// last name is whole and was read back; a repo has all that was restored or is as it was.
package backup

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Format is the number of the format that is written and read.
const Format = 1

// Limits of a backup.
const (
	maxSmall   = 4 << 20  // bytes of format, config, sites and the like
	maxKey     = 64 << 10 // bytes of a file of the keystore
	maxDeny    = 256 << 20
	maxNames   = 8 << 20  // bytes of one file of lines
	fullNames  = 4 << 20  // from which on another file is begun
	maxLine    = 4 << 20  // bytes of one line
	maxList    = 64 << 20 // bytes of the manifest
	maxMembers = 300_000  // files in the tar
	maxTail    = 1 << 20  // bytes after the end of the tar, all zero
)

// Names in the tar.
const (
	formatName   = "format"
	manifestName = "manifest.json"
	keysDir      = "keystore/"
	denyDir      = "denylists/"
	namesDir     = "names/"
	selfFile     = "key_onswyzq" // of the keystore: the node's own key, if that is encrypted
)

// single are the files of a repo that are copied if they are there.
var single = []string{"config", "sites.json", "swarm.key", "libp2p-resource-limit-overrides.json"}

var (
	// ErrSecret means that the passphrase or identities do not fit.
	ErrSecret = errors.New("it was not encrypted with this passphrase, or to this identity")
	// ErrFormat means that a backup has a format that this program does not read.
	ErrFormat = errors.New("this program does not read it")
	// ErrDamaged means that a file is not a whole backup.
	ErrDamaged = errors.New("the backup is damaged")
)

// Manifest says what is in a backup.
type Manifest struct {
	Format     int
	Node       string    // version of the program that wrote it
	Created    time.Time // when it was begun: everything acknowledged before is in it
	PeerID     string
	Generation string // of the store, in hex
	Counts     Counts
	Missing    []string `json:",omitempty"` // what could not be read, if that was allowed
	Members    []Member // all files before the manifest, in their order
}

// Counts is how much is in a backup.
type Counts struct {
	Keys  int // files of keys, not counting one in the config
	Names int
	Past  int // versions of names
	Seen  int // marks of names that were only looked up
	Rows  int
	Pins  int
}

// SelfInKeystore reports whether the node's own key is one of the files of keys.
func (m Manifest) SelfInKeystore() bool {
	return slices.ContainsFunc(m.Members, func(f Member) bool { return f.Name == keysDir+selfFile })
}

// Member is one file in the tar.
type Member struct {
	Name   string
	Size   int64
	SHA256 string
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$`)
	namesFile = regexp.MustCompile(`^names/[0-9]{6}\.jsonl$`)
)

// limitOf returns how large a file in the tar may be, or an error if none has this name.
// Only these names are ever made into paths.
func limitOf(name string) (int64, error) {
	for _, s := range append(single, formatName) {
		if name == s {
			return maxSmall, nil
		}
	}
	key, isKey := strings.CutPrefix(name, keysDir)
	list, isList := strings.CutPrefix(name, denyDir)
	switch {
	case name == manifestName:
		return maxList, nil
	case isKey && plainName.MatchString(key):
		return maxKey, nil
	case isList && plainName.MatchString(list):
		return maxDeny, nil
	case namesFile.MatchString(name):
		return maxNames, nil
	}
	return 0, fmt.Errorf("%w: it has a file %.100q", ErrDamaged, name)
}

// isKeyFile reports whether a file of the tar is that of a key.
func isKeyFile(name string) bool { return strings.HasPrefix(name, keysDir+"key_") }
