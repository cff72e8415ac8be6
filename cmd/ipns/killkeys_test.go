package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/keystore/age/agetest"
)

var keyKillRounds = flag.Int("key-kill-rounds", 9, "how often TestKilledKeyCommandsLoseNoKey kills a command")

// keeper is a repo whose key commands are killed, and what must be in it.
type keeper struct {
	t          *testing.T
	dir        string // of repo and files
	repo       repo.Repo
	random     *rand.Rand
	passphrase string                    // of the keys once they are encrypted
	encrypted  bool                      // the last conversion that ended was an encryption
	keys       map[string]crypto.PrivKey // by label, self included
	made       int                       // labels made up
}

// keyOperation is one key command: its arguments, and what it may have done to the keys if it
// was killed. settle makes k.keys what is there, and complains about what cannot be.
type keyOperation struct {
	args   []string
	settle func(got map[string]crypto.PrivKey)
	next   string // the passphrase that it sets
}

// TestKilledKeyCommandsLoseNoKey kills every command that changes or exports keys, at points that
// the files show, and looks at all keys each time. -key-kill-rounds=200 is the long form.
func TestKilledKeyCommandsLoseNoKey(t *testing.T) {
	t.Parallel() // it waits for other processes
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &keeper{t: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 1)), passphrase: "one", keys: map[string]crypto.PrivKey{}}
	k.repo = repo.Repo(filepath.Join(k.dir, "repo"))
	runIpns(t, string(k.repo), "init", "--profile", "test")
	for range 5 {
		runIpns(t, string(k.repo), "key", "gen", k.label())
	}
	k.keys = k.look("")
	operations := map[string]func() keyOperation{
		"gen": k.gen, "import": k.importOne, "export": k.export, "rename": k.rename, "rm": k.remove,
		"rotate": k.rotate, "encrypt": k.encrypt, "passphrase": k.change, "decrypt": k.decrypt,
	}
	order := strings.Fields("gen encrypt import rename rm export rotate passphrase decrypt " +
		"rename import rotate rm export encrypt gen passphrase encrypt rm gen rename passphrase decrypt")
	killed, rounds := map[string]int{}, map[string]int{}
	for round := 0; round < *keyKillRounds || len(killed) == 0 && round < 10**keyKillRounds; round++ {
		op := order[round%len(order)]
		what := operations[op]()
		points := 1 + k.random.IntN(3)
		if op == "encrypt" || op == "decrypt" { // of all keys
			points = 1 + k.random.IntN(2*len(k.keys))
		}
		rounds[op]++
		if k.run(what.args, points) {
			killed[op]++
		}
		if k.verify(what); t.Failed() {
			t.Fatalf("round %d: %s, killed after %d changes", round, op, points)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(rounds)) {
		t.Logf("%s: %d of %d were killed before they ended", op, killed[op], rounds[op])
	}
	if len(killed) == 0 {
		t.Error("no command was killed in time")
	}
}

// label makes up a label.
func (k *keeper) label() string {
	k.made++
	return fmt.Sprintf("key %d", k.made)
}

// any returns the label of a key that is not self.
func (k *keeper) any() string {
	list := slices.Sorted(maps.Keys(k.keys))
	list = slices.DeleteFunc(list, func(label string) bool { return label == keystore.Self })
	return list[k.random.IntN(len(list))]
}

// secretFile writes the passphrase, and returns the option that names the file.
func (k *keeper) secretFile(name, passphrase string) string {
	k.t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.WriteFile(path, []byte(passphrase), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// run runs a command and kills it after so many changes of the files. It reports whether it was
// still at work.
func (k *keeper) run(args []string, changes int) bool {
	k.t.Helper()
	if k.encrypted {
		args = append(args, "--passphrase-file="+k.secretFile("secret", k.passphrase))
	}
	cmd := ipnsCommand(k.t, string(k.repo), args...)
	cmd.Dir = k.dir
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	before := k.files()
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				k.t.Errorf("ipns %s: %v\n%s", strings.Join(args, " "), err, out.String())
			}
			return false
		case <-time.After(100 * time.Microsecond):
		}
		if now := k.files(); now != before {
			before = now
			changes--
		}
		if changes <= 0 {
			_ = cmd.Process.Kill()
			return <-ended != nil
		}
	}
}

// files describes the files that key commands change.
func (k *keeper) files() string {
	var all strings.Builder
	for _, pattern := range []string{"repo/config", "repo/.tmp-*", "repo/keystore/*", "repo/keystore/.tmp-*", "*.key", ".tmp-*"} {
		list, _ := filepath.Glob(filepath.Join(k.dir, pattern))
		for _, path := range list {
			if info, err := os.Stat(path); err == nil {
				fmt.Fprintln(&all, path, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return all.String()
}

// look returns all keys. Whatever a command has left can be opened, without the passphrase too,
// has no damaged file and no leftovers.
func (k *keeper) look(passphrase string) map[string]crypto.PrivKey {
	k.t.Helper()
	config, err := k.repo.Config()
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := identity.Open(k.repo, config.Identity, nil); err != nil {
		k.t.Fatalf("without the passphrase: %v", err)
	}
	keys, err := identity.Open(k.repo, config.Identity, []byte(passphrase))
	if err != nil || keys.Damaged != nil || keys.Self == nil {
		k.t.Fatalf("cannot open the keys: %v, %v", err, keys)
	}
	if config, err = k.repo.Config(); err != nil || config.Identity.PeerID != keys.Name.PeerID().String() {
		k.t.Errorf("the peer id in the config is %s, %v", config.Identity.PeerID, err)
	}
	got := map[string]crypto.PrivKey{keystore.Self: keys.Self}
	labels, err := keys.Store.List()
	if err != nil {
		k.t.Fatal(err)
	}
	for _, label := range labels {
		if label == keystore.Self {
			continue
		}
		if got[label], err = keys.Store.Get(label); err != nil {
			k.t.Errorf("key %q: %v", label, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(k.repo.Keystore(), ".tmp-*")); len(left) > 0 {
		k.t.Errorf("left over: %q", left)
	}
	return got
}

// verify looks at all keys, after the command was killed or has ended.
func (k *keeper) verify(op keyOperation) {
	k.t.Helper()
	if op.next != "" {
		k.passphrase = k.tried(op.next, k.passphrase)
	}
	got := k.look(k.passphrase)
	op.settle(got)
	for label, want := range k.keys {
		if have := got[label]; have == nil || !have.Equals(want) {
			k.t.Errorf("key %q is lost, or is another one", label)
		}
	}
	if len(got) != len(k.keys) {
		k.t.Errorf("there are %d keys, not %d: %q", len(got), len(k.keys), slices.Sorted(maps.Keys(got)))
	}
}

func (k *keeper) gen() keyOperation {
	label := k.label()
	return keyOperation{args: []string{"key", "gen", label}, settle: func(got map[string]crypto.PrivKey) {
		if key := got[label]; key != nil {
			k.keys[label] = key
		}
	}}
}

func (k *keeper) importOne() keyOperation {
	label := k.label()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	b, err := ipns.MarshalPrivateKey(key)
	if err != nil {
		k.t.Fatal(err)
	}
	file := filepath.Join(k.dir, "import")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		k.t.Fatal(err)
	}
	return keyOperation{args: []string{"key", "import", label, file}, settle: func(got map[string]crypto.PrivKey) {
		if got[label] != nil {
			k.keys[label] = key
		}
	}}
}

func (k *keeper) export() keyOperation {
	label := k.any()
	k.made++
	file := fmt.Sprintf("%d.key", k.made)
	return keyOperation{args: []string{"key", "export", label, "-o", file}, settle: func(map[string]crypto.PrivKey) {
		b, err := os.ReadFile(filepath.Join(k.dir, file))
		want, _ := ipns.MarshalPrivateKey(k.keys[label])
		if !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(b, want) {
			k.t.Errorf("exported %d bytes of %d, %v", len(b), len(want), err)
		}
		os.Remove(filepath.Join(k.dir, file))
		left, _ := filepath.Glob(filepath.Join(k.dir, ".tmp-*")) // next to the file that was asked for
		for _, path := range left {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
				k.t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
			os.Remove(path)
		}
	}}
}

func (k *keeper) rename() keyOperation {
	from, to := k.any(), k.label()
	return keyOperation{args: []string{"key", "rename", from, to}, settle: func(got map[string]crypto.PrivKey) {
		if got[to] != nil {
			k.keys[to] = k.keys[from]
			if got[from] == nil {
				delete(k.keys, from)
				return
			}
			// Under both: the same command goes on.
			k.run([]string{"key", "rename", from, to}, 1<<20)
			delete(k.keys, from)
			clear(got)
			maps.Copy(got, k.look(k.passphrase))
		}
	}}
}

func (k *keeper) remove() keyOperation {
	label := k.any()
	return keyOperation{args: []string{"key", "rm", label}, settle: func(got map[string]crypto.PrivKey) {
		if got[label] == nil {
			delete(k.keys, label)
		}
	}}
}

func (k *keeper) rotate() keyOperation {
	label := k.label()
	return keyOperation{args: []string{"key", "rotate", "--oldkey=" + label}, settle: func(got map[string]crypto.PrivKey) {
		old := k.keys[keystore.Self]
		if got[label] != nil {
			k.keys[label] = old
		}
		if !got[keystore.Self].Equals(old) {
			if got[label] == nil {
				k.t.Error("the old key of the node is lost")
			}
			k.keys[keystore.Self] = got[keystore.Self]
		}
	}}
}

func (k *keeper) encrypt() keyOperation {
	if k.random.IntN(2) == 0 && len(k.vault()) == 0 { // as an encryption does that was killed right after; it costs little work
		if err := agetest.Identity(k.repo.Keystore(), k.passphrase); err != nil {
			k.t.Fatal(err)
		}
	}
	k.encrypted = true
	return keyOperation{args: []string{"key", "encrypt"}, settle: func(got map[string]crypto.PrivKey) {
		k.run([]string{"key", "encrypt"}, 1<<20) // the same command goes on
		clear(got)
		maps.Copy(got, k.look(k.passphrase))
		k.nothingInClear()
	}}
}

// vault lists the files that decrypt others.
func (k *keeper) vault() []string {
	list, _ := filepath.Glob(filepath.Join(k.repo.Keystore(), "*.age"))
	return list
}

// nothingInClear reads all files of the repo for keys in clear.
func (k *keeper) nothingInClear() {
	err := filepath.WalkDir(string(k.repo), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(path)
		for label, key := range k.keys {
			raw, _ := key.Raw()
			all, _ := ipns.MarshalPrivateKey(key)
			if bytes.Contains(b, raw) || strings.Contains(string(b), base64.StdEncoding.EncodeToString(all)) {
				k.t.Errorf("key %q is in clear in %s", label, path)
			}
		}
		return nil
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) change() keyOperation {
	next := k.passphrase + "+"
	return keyOperation{args: []string{"key", "encrypt", "--new-passphrase-file=" + k.secretFile("next", next)}, settle: func(map[string]crypto.PrivKey) {}, next: next}
}

// decrypt is what ends as decrypted, after it has been killed and has gone on.
func (k *keeper) decrypt() keyOperation {
	return keyOperation{args: []string{"key", "decrypt"}, settle: func(got map[string]crypto.PrivKey) {
		if len(k.vault()) > 0 { // the same command goes on
			k.run([]string{"key", "decrypt"}, 1<<20)
		}
		if left := k.vault(); len(left) > 0 {
			k.t.Errorf("decrypted, but for %q", left)
		}
		k.encrypted = false
		clear(got)
		maps.Copy(got, k.look(""))
	}}
}

// tried returns which of two passphrases opens the keys: that of a change that was killed.
func (k *keeper) tried(passphrases ...string) string {
	k.t.Helper()
	config, err := k.repo.Config()
	if err != nil {
		k.t.Fatal(err)
	}
	for _, p := range passphrases {
		_, err := identity.Open(k.repo, config.Identity, []byte(p))
		if err == nil {
			return p
		}
		if !errors.Is(err, age.ErrPassphrase) {
			k.t.Error(err)
		}
	}
	k.t.Fatal("no passphrase opens the keys")
	return ""
}
