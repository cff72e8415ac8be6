//go:build !linux

package keystore

// renameNew renames a file unless there is one at to, which is [fs.ErrExist].
func renameNew(from, to string) error { return renameByLink(from, to) }
