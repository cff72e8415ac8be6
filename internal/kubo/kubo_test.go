package kubo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/kubo/kubotest"
)

// record signs a record with a sequence, which has expired if it is old.
func record(t *testing.T, key crypto.PrivKey, sequence uint64, old bool) *ipns.Record {
	t.Helper()
	eol := time.Now().Add(time.Hour)
	if old {
		eol = time.Now().Add(-time.Hour)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, EOL: eol, TTL: time.Minute}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// make makes a repo.
func makeRepo(t *testing.T, r kubotest.Repo) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kubo")
	if r.Self == nil {
		r.Self = kubotest.Key(t, ipns.Ed25519)
	}
	if err := kubotest.Make(dir, r); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openRepo(t *testing.T, dir string) *Repo {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// digest covers names, modes, times and contents of all files below a folder.
func digest(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Mode(), info.ModTime())
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		sum.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestReadingARepoChangesNothingInIt(t *testing.T) {
	key := kubotest.Key(t, ipns.Secp256k1)
	leaf := kubotest.Raw("leaf")
	root := kubotest.Tree(leaf)
	for _, pebble := range []bool{false, true} {
		t.Run(fmt.Sprintf("pebble %v", pebble), func(t *testing.T) {
			dir := makeRepo(t, kubotest.Repo{
				Pebble:  pebble,
				Keys:    map[string]crypto.PrivKey{"blog": key},
				Records: []*ipns.Record{record(t, key, 7, false)},
				Blocks:  []blocks.Block{leaf, root},
				Pins:    []kubotest.Pin{{CID: root.Cid(), Name: "site"}, {CID: leaf.Cid(), Direct: true}},
			})
			before := digest(t, dir)
			r := openRepo(t, dir)
			keys, err := r.Keys()
			if err != nil || len(keys) != 2 || keys[1].Label != "blog" || !keys[1].Priv.Equals(key) {
				t.Errorf("keys %+v, %v", keys, err)
			}
			if rec, err := r.Record(keys[1]); err != nil || rec.Sequence() != 7 {
				t.Errorf("record %v, %v", rec, err)
			}
			if rec, err := r.Record(keys[0]); err != nil || rec != nil {
				t.Errorf("record of a key that was never used: %v, %v", rec, err)
			}
			var pins []string
			for p, err := range r.Pins() {
				if err != nil {
					t.Fatal(err)
				}
				b, err := r.Block(p.CID)
				if err != nil {
					t.Fatal(err)
				}
				pins = append(pins, fmt.Sprintf("%v %q %d", p.Recursive, p.Name, len(b.RawData())))
			}
			if got := strings.Join(pins, ", "); got != `true "site" 42, false "" 4` {
				t.Errorf("pins %s", got)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if digest(t, dir) != before {
				t.Error("the repo has changed")
			}
		})
	}
}

// P-60, P-62: records are found wherever a Kubo, new or old, keeps them.
func TestTheNewestRecordCountsWhereverItIs(t *testing.T) {
	dht := func(rec *ipns.Record) []byte {
		b, err := proto.Marshal(&recpb.Record{Key: rec.Name().RoutingKey(), Value: rec.Raw()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, kind := range []ipns.KeyType{ipns.Ed25519, ipns.RSA} {
		priv := kubotest.Key(t, kind)
		name, err := ipns.NameOf(priv.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		key := Key{Label: "blog", Name: name, Priv: priv}
		binary, routing := kubotest.Base32.EncodeToString(name.Binary()), kubotest.Base32.EncodeToString(name.RoutingKey())
		low, high := record(t, priv, 3, false), record(t, priv, 4, true) // expired: its sequence was used
		places := map[string][]byte{
			"/ipns/" + binary:                  high.Raw(),
			"/ipns/" + strings.ToLower(binary): high.Raw(),
			"/dht/ipns/" + routing:             dht(high),
			"/dht/" + routing:                  dht(high),
			"/ipns/" + routing:                 dht(high),
			"/" + routing:                      dht(high),
		}
		if old := hashedName(key); old != nil {
			places["/ipns/"+kubotest.Base32.EncodeToString(old)] = high.Raw()
		} else if kind == ipns.Ed25519 {
			t.Error("an Ed25519 key had the same name before")
		}
		for at, value := range places {
			values := map[string][]byte{"/ipns/" + binary: low.Raw(), "/dht/ipns/" + routing: dht(low)}
			values[at] = value
			r := openRepo(t, makeRepo(t, kubotest.Repo{Values: values}))
			rec, err := r.Record(key)
			if err != nil || rec == nil || rec.Sequence() != 4 {
				t.Errorf("%s: got %v, %v", at, rec, err)
			}
		}
		r := openRepo(t, makeRepo(t, kubotest.Repo{Values: map[string][]byte{"/ipns/" + binary: []byte("torn"), "/dht/ipns/" + routing: dht(low)}}))
		rec, err := r.Record(key)
		if err == nil || rec == nil || rec.Sequence() != 3 {
			t.Errorf("beside a torn record: %v, %v", rec, err)
		}
	}
}

func TestReposThatCannotBeReadAreRefused(t *testing.T) {
	refused := func(dir string, want error, text string) {
		t.Helper()
		before := digest(t, dir)
		r, err := Open(dir)
		if err == nil {
			r.Close()
		}
		if want != nil && !errors.Is(err, want) || err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %v %q", err, want, text)
		}
		if digest(t, dir) != before {
			t.Error("the repo has changed")
		}
	}
	refused(t.TempDir(), ErrNotKubo, "")
	refused(makeRepo(t, kubotest.Repo{Version: 11}), nil, "older than 12")
	refused(makeRepo(t, kubotest.Repo{Version: 19}), nil, "newer than 18")
	refused(makeRepo(t, kubotest.Repo{Badger: true}), ErrBadger, "ipfs dag export")

	private := makeRepo(t, kubotest.Repo{})
	if err := os.WriteFile(filepath.Join(private, "swarm.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(private, ErrPrivate, "'ipns key import'")

	running := makeRepo(t, kubotest.Repo{})
	f, err := os.Create(filepath.Join(running, "repo.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Of an open file, so that it is in the way of this process, too.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	refused(running, ErrRunning, "ipfs shutdown")
	f.Close()
	openRepo(t, running) // the lock of a killed daemon is none
}

func TestADamagedBlockIsAnError(t *testing.T) {
	good := kubotest.Raw("good")
	bad, err := blocks.NewBlockWithCid([]byte("bad"), good.Cid())
	if err != nil {
		t.Fatal(err)
	}
	r := openRepo(t, makeRepo(t, kubotest.Repo{Blocks: []blocks.Block{bad}}))
	if _, err := r.Block(good.Cid()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged block: %v", err)
	}
	if _, err := r.Block(kubotest.Raw("none").Cid()); !errors.Is(err, errNone) {
		t.Errorf("a missing block: %v", err)
	}
}

// The names of folders are those of Kubo's flatfs.
func TestFlatfsShards(t *testing.T) {
	for spec, want := range map[string]string{"prefix/2": "AB", "suffix/2": "DE", "next-to-last/2": "CD", "prefix/9": "ABCDE____", "next-to-last/9": "_____ABCD"} {
		shard, err := parseShard("/repo/flatfs/shard/v1/" + spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := shard("ABCDE"); got != want {
			t.Errorf("%s of ABCDE is %s, want %s", spec, got, want)
		}
	}
	for _, spec := range []string{"", "/repo/flatfs/shard/v1/prefix/0", "/repo/flatfs/shard/v1/odd/2", "/repo/flatfs/shard/v2/prefix/2"} {
		if _, err := parseShard(spec); err == nil {
			t.Errorf("%q is a sharding", spec)
		}
	}
}
