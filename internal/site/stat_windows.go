package site

import "io/fs"

// identity is not read here: size and time have to do.
func identity(fs.FileInfo) (inode uint64, changed int64) { return 0, 0 }
