//go:build !unix

package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// identity is not known here: a witness that is copied with its store testifies
// for the copy.
func identity(vfs.File) uint64 { return 0 }

// volume is not known here.
func volume(string) (id uint64, ok bool) { return 0, false }
