package site

import "golang.org/x/sys/unix"

// mounts are the file systems of which changes may come without an event, by their magic numbers.
var mounts = map[int64]mount{
	unix.NFS_SUPER_MAGIC:       {"nfs", true, true},
	unix.SMB_SUPER_MAGIC:       {"smb", true, true},
	unix.SMB2_SUPER_MAGIC:      {"smb", true, true},
	unix.CIFS_SUPER_MAGIC:      {"cifs", true, true},
	unix.V9FS_MAGIC:            {"9p", true, true},
	unix.FUSE_SUPER_MAGIC:      {"fuse", true, true},
	unix.CEPH_SUPER_MAGIC:      {"ceph", true, true},
	unix.AFS_SUPER_MAGIC:       {"afs", true, true},
	unix.AFS_FS_MAGIC:          {"afs", true, true},
	unix.CODA_SUPER_MAGIC:      {"coda", true, true},
	unix.NCP_SUPER_MAGIC:       {"ncp", true, true},
	0x786f4256:                 {"vboxsf", true, true},
	0x0bd00bd0:                 {"lustre", true, true},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", true, false}, // a change below it is none of its own
	unix.ECRYPTFS_SUPER_MAGIC:  {"ecryptfs", true, false},
}

// mountOf describes the file system that a folder is on.
func mountOf(dir string) mount {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return mount{}
	}
	return mounts[int64(uint32(s.Type))]
}
