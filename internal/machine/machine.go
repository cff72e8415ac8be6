// Package machine says what this process may use, memory, descriptors and disk, and how
// much of it each part of a node gets. It is the only place that knows either.
//
// What the process may use is the least of what bounds it: the machine, the cgroups that it
// is in (of version 1 or 2), and GOMEMLIMIT. A part that the config gives a size of its own
// does not ask here.
package machine

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/pbnjay/memory"
)

// Room is what a process may use.
type Room struct {
	Memory uint64 // bytes
	By     string // what bounds the memory: "machine", "cgroup" or "GOMEMLIMIT"
	// Descriptors is how many files and connections it may have open. At its start Go raises
	// the soft limit to the hard one, where there are such.
	Descriptors int
}

// Here returns the room of this process.
func Here() Room {
	r := Room{Memory: memory.TotalMemory(), By: "machine", Descriptors: descriptors()}
	if r.Memory == 0 {
		r.Memory = unknownMemory
	}
	if limit := cgroupMemory(os.DirFS("/")); limit < r.Memory {
		r.Memory, r.By = limit, "cgroup"
	}
	if os.Getenv(goLimit) != "" { // else the limit that is set may be Confine's
		if limit := debug.SetMemoryLimit(-1); uint64(limit) < r.Memory {
			r.Memory, r.By = uint64(limit), goLimit
		}
	}
	return r
}

// Disk is a file system.
type Disk struct {
	Type        string // a number on Unix
	Free, Total uint64 // bytes; Free is what this user may still write
}

const (
	goLimit            = "GOMEMLIMIT"
	unknownMemory      = 1 << 30
	unknownDescriptors = 8192 // where a process has no such limit
)

// Confine makes the collector of Go work harder rather than let the process outgrow its
// memory, which ends it. A limit that the user has set stays.
func (r Room) Confine() {
	if os.Getenv(goLimit) == "" {
		debug.SetMemoryLimit(r.heap())
	}
}

// heap is what Go may use. The rest is for the pages of program and files, the buffers of
// sockets and, in some builds, the cache of the database.
func (r Room) heap() int64 { return int64(min(r.Memory, math.MaxInt64) / 4 * 3) }

// Bounds of the shares. A large machine has the upper ones, which are Kubo's or those that
// the benchmarks were made with.
const (
	cacheShare, cacheLeast, cacheMost = 16, 8 << 20, 64 << 20
	filesShare, filesLeast, filesMost = 4, 74, 1000 // with fewer, the database refuses to keep to it

	connsEach             = 4 << 20 // memory of the machine for each connection that is kept
	connsLeast, connsMost = 40, 96
	connsLowLeast         = 20

	// ownDescriptors are for the database, keys, listeners, and clients of the servers.
	ownDescriptors = 160
)

// DatabaseCache is how many bytes of blocks the database keeps in memory.
func (r Room) DatabaseCache() int64 {
	return int64(min(max(r.Memory/cacheShare, cacheLeast), cacheMost))
}

// DatabaseFiles is how many files the database keeps open.
func (r Room) DatabaseFiles() int {
	return min(max(r.Descriptors/filesShare, filesLeast), filesMost)
}

// ConnectionMemory and ConnectionDescriptors are what all connections may use together.
// They are Kubo's shares.
func (r Room) ConnectionMemory() uint64   { return r.Memory / 2 }
func (r Room) ConnectionDescriptors() int { return r.Descriptors / 2 }

// Connections returns how many connections are kept: above high some are closed, until low
// are left.
func (r Room) Connections() (low, high int) {
	high = int(min(r.Memory/connsEach, connsMost))
	high = max(min(high, r.Descriptors-ownDescriptors), connsLeast)
	return max(high/3, connsLowLeast), high
}

// Needs returns how many descriptors a node needs that keeps so many connections.
func Needs(connections int) int { return ownDescriptors + connections }
