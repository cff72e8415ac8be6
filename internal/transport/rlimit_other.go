//go:build !unix

package transport

// rlimit is how many descriptors the process may have; 0 if that cannot be told.
func rlimit() int { return 0 }
