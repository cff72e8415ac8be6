//go:build !unix

package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// identity is unknown on this system, so a witness copied with its store is not
// detected.
func identity(vfs.File) uint64 { return 0 }

// volume is unknown on this system.
func volume(string) (id uint64, ok bool) { return 0, false }
