// Package repo manages the folder in which a node lives: its config, its keys, its
// database, and the files by which commands find a running daemon.
//
//	config            JSON, with Kubo's names wherever the meaning is Kubo's
//	config.edit       the config while it is edited, or one that was refused
//	version           the layout of this folder, a number (see [Version])
//	keystore/         private keys, one file each
//	db/               the database: records, blocks, pins
//	names-at          which database has the names, if it is not db/
//	servers-*         the known servers of each network: a cache
//	wan-answered      when the public network last answered
//	pubsub            the names that are listened to by pubsub, with their records
//	swarm.key         the key of a private network, if the node is on one
//	libp2p-resource-limit-overrides.json
//	                  limits of resources, if the user sets some
//	sites.json        which folder each key publishes; only the command up writes it
//	sites.lock        held (flock) while it does
//	repo.lock         held (flock) by the one process that uses the folder
//	before-restore-*  what was here before a backup was restored
//	api, gateway      where a running daemon listens; gone when it stopped
//
// Invariants: a file is replaced as a whole or not at all, and is on disk when the call
// returns; only the holder of repo.lock opens the database or changes the config; the
// lock ends with the process, so that files left by a killed daemon are known to be
// stale.
package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goipns/ipns/internal/durable"
)

// Names of the files in a repo.
const (
	configFile  = "config"
	editedFile  = "config.edit"
	versionFile = "version"
	lockFile    = "repo.lock"
	apiFile     = "api"
	gatewayFile = "gateway"
	sitesFile   = "sites.json"
	sitesLock   = "sites.lock"
	keystoreDir = "keystore"
	databaseDir = "db"
)

var (
	// ErrNoRepo means that a folder holds no repo.
	ErrNoRepo = errors.New("no repo here")
	// ErrKubo means that a folder holds a repo of Kubo's, of which nothing is changed.
	ErrKubo = errors.New("a repo of Kubo's")
	// ErrLocked means that another process uses the repo.
	ErrLocked = errors.New("in use by another process")
)

// Repo is the path of a repo. To write, hold the lock (see [Repo.Lock]).
type Repo string

// Default returns $IPNS_PATH, or .ipns in the home directory.
func Default() (Repo, error) {
	if p := os.Getenv("IPNS_PATH"); p != "" {
		return At(p)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the repo: %w; set IPNS_PATH", err)
	}
	return Repo(filepath.Join(home, ".ipns")), nil
}

// At returns the repo in a folder. A leading "~/" that no shell has expanded, as in an
// environment file, means the home directory.
func At(folder string) (Repo, error) {
	if rest, ok := strings.CutPrefix(folder, "~"+string(filepath.Separator)); ok || folder == "~" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the repo %s: %w", folder, err)
		}
		folder = filepath.Join(home, rest)
	}
	abs, err := filepath.Abs(folder)
	return Repo(abs), err
}

func (r Repo) path(name string) string { return filepath.Join(string(r), name) }

// Keystore is the folder of the private keys.
func (r Repo) Keystore() string { return r.path(keystoreDir) }

// Database is the folder of the database.
func (r Repo) Database() string { return r.path(databaseDir) }

// ServerMap is the file of the servers known in a network. It is a cache: it may be
// missing or deleted.
func (r Repo) ServerMap(network string) string { return r.path("servers-" + network) }

// Answered is the file that says when the public network last answered. Without it and
// without bootstrap peers, that network is not expected.
func (r Repo) Answered() string { return r.path("wan-answered") }

// Pubsub is the file of the names that are listened to by pubsub, and of the highest
// sequence number of this node's messages. It may be missing; without it, peers ignore
// what a node publishes whose clock was set back.
func (r Repo) Pubsub() string { return r.path("pubsub") }

// SwarmKey is the file with the key of a private network. Without it the node is on the
// public one.
func (r Repo) SwarmKey() string { return r.path("swarm.key") }

// Certificates is the folder for those of AutoTLS, which is Kubo's. It may be missing.
func (r Repo) Certificates() string { return r.path("p2p-forge-certs") }

// LimitOverrides is the file that sets single limits of the resources for connections.
// It may be missing.
func (r Repo) LimitOverrides() string { return r.path("libp2p-resource-limit-overrides.json") }

// Denylists is the folder of lists of what the node neither fetches nor serves.
func (r Repo) Denylists() string { return r.path("denylists") }

// Exists reports whether the folder holds a repo.
func (r Repo) Exists() bool {
	_, err := os.Stat(r.path(configFile))
	return err == nil
}

// kubosSpec is the file in which Kubo describes its datastore; a repo of ours has none.
const kubosSpec = "datastore_spec"

// Check returns nil if the folder holds a repo that this program can open, [ErrNoRepo]
// if it holds none, [ErrKubo] if it holds one of Kubo's, and [ErrNewer] if it holds one of a
// newer program.
func (r Repo) Check() error {
	if err := r.readable(); err != nil {
		return err
	}
	if err := r.settleIfFree(); err != nil {
		return err
	}
	if !r.Exists() {
		return fmt.Errorf("%w: %s", ErrNoRepo, string(r))
	}
	_, err := r.Number()
	return err
}

// Make creates the folders of a repo; without a config it is not a repo yet.
func (r Repo) Make() error {
	if err := os.MkdirAll(string(r), 0o755); err != nil {
		return fmt.Errorf("create repo: %w", err)
	}
	if err := os.MkdirAll(r.Keystore(), 0o700); err != nil {
		return fmt.Errorf("create repo: %w", err)
	}
	return nil
}

// Create creates a repo with the given config. It fails with [fs.ErrExist] if there is
// one already, and never replaces its config. The config is written last: without it
// there is no repo.
func (r Repo) Create(c Config) error {
	if r.Exists() {
		return &fs.PathError{Op: "create repo", Path: string(r), Err: fs.ErrExist}
	}
	if err := r.Make(); err != nil {
		return err
	}
	if err := durable.Replace(r.path(versionFile), []byte(strconv.Itoa(Version)+"\n"), 0o644); err != nil {
		return fmt.Errorf("create repo: %w", err)
	}
	b, err := c.file()
	if err != nil {
		return fmt.Errorf("create repo: %w", err)
	}
	if err := durable.Create(r.path(configFile), b, 0o600); err != nil {
		return fmt.Errorf("create repo: %w", err)
	}
	return nil
}

// Clean removes unfinished files that a crash left behind, such as a config with its
// private key. The lock of the repo must be held.
func (r Repo) Clean() error {
	sites := func(base string) bool { return strings.HasPrefix(base, durable.TempPrefix+sitesFile) } // written under its own lock
	if err := durable.Clean(string(r), sites); err != nil {
		return fmt.Errorf("clean the repo: %w", err)
	}
	return nil
}
