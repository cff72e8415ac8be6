package machine

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

func descriptors() int { return unknownDescriptors }

// DiskAt returns the disk that a path lies on.
func DiskAt(path string) (d Disk, err error) {
	at, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return d, err
	}
	if err := windows.GetDiskFreeSpaceEx(at, &d.Free, &d.Total, nil); err != nil {
		return d, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return d, err
	}
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(path) + `\`)
	if err != nil {
		return d, err
	}
	name := make([]uint16, windows.MAX_PATH)
	if err := windows.GetVolumeInformation(root, nil, 0, nil, nil, nil, &name[0], uint32(len(name))); err != nil {
		return d, err
	}
	d.Type = windows.UTF16ToString(name)
	return d, nil
}
