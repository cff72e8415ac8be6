package repo

import (
	"os"
	"path/filepath"
	"strconv"
)

// Witness is the file beside the database that records how far its records have come.
func (r Repo) Witness() string { return r.Database() + ".witness" }

// SharedWitness is the same for records in a database that daemons share.
func (r Repo) SharedWitness() string { return r.Database() + ".shared.witness" }

// WitnessPlaces are folders outside the repo for files that record how far its records
// have come: in the user's state, which lasts, and in a place that a reboot clears.
// Folders on the volume of the repo are of no use and are ignored.
func WitnessPlaces() []string {
	var list []string
	add := func(dir string) {
		if filepath.IsAbs(dir) {
			list = append(list, filepath.Join(dir, "ipns", "witness"))
		}
	}
	state := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); state == "" && err == nil {
		state = filepath.Join(home, ".local", "state")
	}
	add(state)
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if uid := os.Getuid(); runtime == "" && uid >= 0 {
		// Systems without sessions have none; root has an equivalent.
		runtime = "/run/user/" + strconv.Itoa(uid)
		if uid == 0 {
			runtime = "/run"
		}
		if info, err := os.Stat(runtime); err != nil || !info.IsDir() {
			runtime = ""
		}
	}
	add(runtime)
	return list
}
