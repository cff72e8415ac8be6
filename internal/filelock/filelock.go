// Package filelock locks a file among processes. A lock ends with [Unlock], when the file is
// closed, or with the process, however that ends. On Unix a child process that is being started
// while the file is closed has it, with its lock, for some milliseconds more: who locks it again
// at once needs Unlock. A lock does not keep anybody from reading or writing the file.
package filelock
