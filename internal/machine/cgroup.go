package machine

import (
	"bufio"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// Files that bound the memory of a cgroup. Above the second one of version 2 the kernel slows
// a process down until it hardly runs.
var (
	limitsV1 = []string{"memory.limit_in_bytes"}
	limitsV2 = []string{"memory.max", "memory.high"}
)

// cgroupMemory returns the least limit of the cgroups that this process is in, and of those
// around them; math.MaxUint64: there is none, or it cannot be read. root is the file system.
func cgroupMemory(root fs.FS) uint64 {
	least := uint64(math.MaxUint64)
	for _, m := range cgroupMounts(root) {
		group, ok := groupOf(root, m)
		if !ok {
			continue
		}
		for at := group; ; at = path.Dir(at) {
			for _, file := range m.limits {
				least = min(least, readLimit(root, path.Join(m.at, at, file)))
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// A cgroupMount is a place where cgroups are shown that can bound memory.
type cgroupMount struct {
	at         string // without the leading /
	top        string // the group that is shown there
	controller string // as in /proc/self/cgroup; "": version 2
	limits     []string
}

// cgroupMounts finds them, in lines such as
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
func cgroupMounts(root fs.FS) (list []cgroupMount) {
	for _, line := range lines(root, "proc/self/mountinfo") {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := cgroupMount{at: strings.TrimPrefix(unescape(left[4]), "/"), top: unescape(left[3])}
		switch {
		case right[0] == "cgroup2":
			m.limits = limitsV2
		case right[0] == "cgroup" && has(right[2], "memory"):
			m.controller, m.limits = "memory", limitsV1
		default:
			continue
		}
		list = append(list, m)
	}
	return list
}

// groupOf returns the path of this process's group below a mount, from lines such as
// "4:memory:/service" and, of version 2, "0::/service".
func groupOf(root fs.FS, m cgroupMount) (string, bool) {
	for _, line := range lines(root, "proc/self/cgroup") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) < 3 || !has(parts[1], m.controller) || m.controller == "" && parts[0] != "0" {
			continue
		}
		group := path.Clean("/" + parts[2])
		if m.top == "/" {
			return group, true
		}
		// A container may see its own group alone, and its path as the machine has it.
		rest, below := strings.CutPrefix(group+"/", m.top+"/")
		if !below {
			return "/", true
		}
		return path.Clean("/" + rest), true
	}
	return "", false
}

// has reports whether a list with commas has a word.
func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescape undoes how mountinfo writes paths. systemd has backslashes in the names of groups.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func lines(root fs.FS, name string) (list []string) {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		list = append(list, s.Text())
	}
	return list
}

// readLimit reads a number of bytes; "max", like no file, is none.
func readLimit(root fs.FS, name string) uint64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n == 0 {
		return math.MaxUint64
	}
	return n
}
