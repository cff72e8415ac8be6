// Package filelock locks a file among processes. A lock ends when the file is closed, or with
// the process, however that ends; it does not keep anybody from reading or writing the file.
package filelock
