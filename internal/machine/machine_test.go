package machine

import (
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	mountsV1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	mountsV2   = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsInV1 = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
	mountsInV2 = "30 23 0:26 /a.slice/b\\134x2dc.service /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	mountsOdd  = "30 23 0:26 / /a\\040b rw - cgroup2 cgroup2 rw\n"

	v1 = "sys/fs/cgroup/memory/"
	v2 = "sys/fs/cgroup/"
)

func TestTheLeastLimitOfAllCgroupsAroundCounts(t *testing.T) {
	const none = uint64(math.MaxUint64)
	for name, tt := range map[string]struct {
		mounts, groups string
		files          map[string]string
		want           uint64
	}{
		"no cgroups": {"", "", nil, none},
		"version 1": {mountsV1, "9:name=systemd:/\n4:memory:/a/b\n0::/\n", map[string]string{
			v1 + "memory.limit_in_bytes": "9223372036854771712\n", v1 + "a/memory.limit_in_bytes": "9223372036854771712\n",
			v1 + "a/b/memory.limit_in_bytes": "268435456\n",
		}, 256 << 20},
		"version 1, a group around has less": {mountsV1, "4:cpu,memory:/a/b\n", map[string]string{
			v1 + "a/memory.limit_in_bytes": "1048576\n", v1 + "a/b/memory.limit_in_bytes": "268435456\n",
		}, 1 << 20},
		"version 1, another group has less": {mountsV1, "4:memory:/a\n", map[string]string{
			v1 + "memory.limit_in_bytes": "9223372036854771712\n", v1 + "b/memory.limit_in_bytes": "1048576\n",
		}, 9223372036854771712},
		"version 1 in a container that sees its own group alone": {mountsInV1, "4:memory:/docker/abc\n", map[string]string{
			v1 + "memory.limit_in_bytes": "268435456\n",
		}, 256 << 20},
		"version 1 in a group of that container": {mountsInV1, "4:memory:/docker/abc/x\n", map[string]string{
			v1 + "memory.limit_in_bytes": "268435456\n", v1 + "x/memory.limit_in_bytes": "1048576\n",
		}, 1 << 20},
		"version 2": {mountsV2, "0::/system.slice/ipns.service\n", map[string]string{
			v2 + "system.slice/memory.max": "max\n", v2 + "system.slice/ipns.service/memory.max": "536870912\n",
			v2 + "system.slice/ipns.service/memory.high": "max\n",
		}, 512 << 20},
		"version 2, slowed down before its end": {mountsV2, "0::/a\n", map[string]string{
			v2 + "a/memory.max": "536870912\n", v2 + "a/memory.high": "268435456\n",
		}, 256 << 20},
		"version 2, a group around has less": {mountsV2, "0::/a/b\n", map[string]string{
			v2 + "a/memory.max": "1048576\n", v2 + "a/b/memory.max": "536870912\n",
		}, 1 << 20},
		"version 2 in a container that sees its own group alone": {mountsInV2, "0::/a.slice/b\\x2dc.service/x\n", map[string]string{
			v2 + "memory.max": "268435456\n", v2 + "memory.high": "max\n", v2 + "x/memory.max": "1048576\n",
		}, 1 << 20},
		"version 2 in a container with names of its own": {mountsV2, "0::/\n", map[string]string{
			v2 + "memory.max": "268435456\n", v2 + "memory.high": "max\n",
		}, 256 << 20},
		"version 2 mounted elsewhere": {mountsOdd, "0::/\n", map[string]string{"a b/memory.max": "1048576\n"}, 1 << 20},
		"broken files":                {mountsV2 + "x\n- \n", "0::/a\nx\n", map[string]string{v2 + "a/memory.max": "-1"}, none},
	} {
		root := fstest.MapFS{
			"proc/self/mountinfo": {Data: []byte(tt.mounts)}, "proc/self/cgroup": {Data: []byte(tt.groups)},
		}
		for file, text := range tt.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := cgroupMemory(root); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestSharesFollowTheRoomWithinTheirBounds(t *testing.T) {
	for _, tt := range []struct {
		room      Room
		cache     int64
		files     int
		low, high int
	}{
		{Room{Memory: 64 << 20, Descriptors: 210}, 8 << 20, 74, 20, 40},
		{Room{Memory: 256 << 20, Descriptors: 1024}, 16 << 20, 256, 21, 64},
		{Room{Memory: 64 << 30, Descriptors: 220}, 64 << 20, 74, 20, 60},
		{Room{Memory: 64 << 30, Descriptors: 1 << 20}, 64 << 20, 1000, 32, 96},
	} {
		low, high := tt.room.Connections()
		if c, f := tt.room.DatabaseCache(), tt.room.DatabaseFiles(); c != tt.cache || f != tt.files || low != tt.low || high != tt.high {
			t.Errorf("%+v: cache %d, files %d, connections %d to %d", tt.room, c, f, low, high)
		}
		if tt.room.Descriptors < Needs(high) {
			t.Errorf("%+v: %d connections are kept, for which it needs %d descriptors", tt.room, high, Needs(high))
		}
		if m, d := tt.room.ConnectionMemory(), tt.room.ConnectionDescriptors(); m != tt.room.Memory/2 || d != tt.room.Descriptors/2 {
			t.Errorf("%+v: connections may use %d bytes and %d descriptors", tt.room, m, d)
		}
	}
}

// GOMEMLIMIT is read by Go when a process starts, so each case is a process.
func TestGOMEMLIMITCountsAndStays(t *testing.T) {
	if os.Getenv("MACHINE_CHILD") != "" {
		room := Here()
		room.Confine()
		limit := debug.SetMemoryLimit(-1)
		switch os.Getenv(goLimit) {
		case "64MiB":
			if room.Memory != 64<<20 || room.By != goLimit || limit != 64<<20 {
				t.Errorf("room %+v, limit %d", room, limit)
			}
		case "off", "1TiB": // no limit, or one above what there is: not ours to change
			if room.By == goLimit || limit < 1<<40 {
				t.Errorf("room %+v, limit %d", room, limit)
			}
		case "":
			if again := Here(); again != room || limit != room.heap() || uint64(limit) >= room.Memory {
				t.Errorf("room %+v, then %+v, limit %d", room, again, limit)
			}
		}
		return
	}
	for _, limit := range []string{"", "64MiB", "1TiB", "off"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestGOMEMLIMITCountsAndStays$")
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, goLimit+"=") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		cmd.Env = append(cmd.Env, "MACHINE_CHILD=1")
		if limit != "" {
			cmd.Env = append(cmd.Env, goLimit+"="+limit)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("GOMEMLIMIT=%s: %v\n%s", limit, err, out)
		}
	}
}

func TestThisMachineHasRoom(t *testing.T) {
	room := Here()
	disk, err := DiskAt(t.TempDir())
	if err != nil || disk.Free == 0 || disk.Total < disk.Free || disk.Type == "" || room.Memory == 0 || room.Descriptors == 0 {
		t.Errorf("room %+v, disk %+v, %v", room, disk, err)
	}
}
