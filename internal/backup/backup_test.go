package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// openNames opens the store of a repo, as the program does.
func openNames(ctx context.Context, r repo.Repo, f func(Names) error) error {
	return records.With(ctx, r, records.Options{}, func(s *records.Store) error {
		return f(Names{Store: s, Notes: s, Marks: s, Rows: s.Rows()})
	})
}

var (
	passphrase = Secret{Passphrase: []byte("correct horse"), Work: 10}
	wrong      = Secret{Passphrase: []byte("wrong horse"), Work: 10}
)

// newRepo makes a repo with keys and a store of everything that a store can have.
func newRepo(t testing.TB) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := node.Identity(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Init(t.Context(), r, repo.NewConfig(id), nil); err != nil {
		t.Fatal(err)
	}
	keys, err := keystore.Open(r.Keystore())
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"sites.json": `{"blog":"/srv/blog"}`, "swarm.key": "/key/swarm/psk/1.0.0/\n", "denylists/a.deny": "/ipfs/bafkqaaa\n"} {
		path := filepath.Join(string(r), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := openNames(t.Context(), r, func(n Names) error { fill(t, n); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// fill enters names with all that an entry can have.
func fill(t testing.TB, n Names) {
	t.Helper()
	ctx := t.Context()
	swap := func(e recordstore.Entry) recordstore.Entry {
		t.Helper()
		stored, err := n.Store.Swap(ctx, e, recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	gen, err := n.Store.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		k := recordstoretest.KeyFromSeed(t, uint64(i))
		origin := recordstore.Own
		if i%3 == 0 {
			origin = recordstore.Hosted
		}
		var e recordstore.Entry
		for seq := range uint64(1 + i%5) {
			next := k.Entry(t, seq, recordstoretest.Value(int(seq)), origin)
			next.Version, next.Known, next.Entered, next.Next = e.Version, gen, gen, seq+1
			next.Tenant, next.Span, next.Forks = fmt.Sprint("tenant ", i%2), time.Duration(i)*time.Hour, uint64(i)
			next.Changed = recordstoretest.Epoch.Add(time.Duration(seq) * time.Minute)
			if i%7 == 1 {
				rival := k.Record(t, seq, recordstoretest.Value(1000), recordstoretest.Epoch.Add(30*time.Minute))
				next.Rivals, next.Rival = []*ipns.Record{rival}, rival
				next.Staged = []*ipns.Record{k.Record(t, seq+5, recordstoretest.Value(2000), recordstoretest.Epoch.Add(500*time.Hour))}
			}
			e = swap(next)
		}
		u := recordstore.Upkeep{Name: k.Name, Due: recordstoretest.Epoch, LastPut: recordstoretest.Epoch.Add(-time.Hour), Announced: e.Record.Hash(), Holders: i, LastErr: "why"}
		if err := n.Notes.SetUpkeep(ctx, u); err != nil {
			t.Fatal(err)
		}
		m := recordstore.SeenMark{Name: recordstoretest.KeyFromSeed(t, uint64(1000+i)).Name, Mark: e.Mark, Until: recordstoretest.Epoch}
		if err := n.Marks.SetSeen(ctx, m); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"ladder", "tenants", "\x01"} {
			if _, err := n.Rows.Swap(ctx, recordstore.Row{Table: table, Key: fmt.Sprint(i, "\x00\xff"), Value: bytes.Repeat([]byte{byte(i)}, i*100)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap(recordstore.Entry{Name: recordstoretest.KeyFromSeed(t, 77).Name, Origin: recordstore.Own, Known: gen}) // nothing published yet
	if err := n.Marks.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

// dump returns what a repo's store has, without its generation.
func dump(t testing.TB, r repo.Repo, damage ...string) string {
	t.Helper()
	var out bytes.Buffer
	err := openNames(t.Context(), r, func(n Names) error {
		s := Store{Book: &names.Book{Store: n.Store}, Rows: n.Rows, Pins: func(yield func(Pin, error) bool) {
			_ = yield(Pin{CID: "bafkqaaa", Recursive: true, Name: "empty"}, nil) && yield(Pin{CID: "bafkqaab"}, nil)
		}}
		if len(damage) > 0 {
			s.Damage = func(yield func(string, error) bool) { yield(damage[0], nil) }
		}
		return Dump(t.Context(), &out, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// content is a dump without its end, in any order of marks.
func content(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, `{"End"`) })
	return strings.Join(lines, "\n")
}

func save(t testing.TB, r repo.Repo, path string, secret Secret) Saved {
	t.Helper()
	saved, err := Save(t.Context(), path, Source{Repo: r, Names: strings.NewReader(dump(t, r)), Node: "test"}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func restore(t testing.TB, path string, into repo.Repo, secret Secret) (Restored, error) {
	t.Helper()
	return Restore(t.Context(), Restoration{Path: path, Secret: secret, Into: into, Open: openNames})
}

// files returns the files of a folder and what is in them, without locks and databases.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if strings.HasPrefix(name, "db") || strings.HasSuffix(name, ".lock") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		all[name] = fmt.Sprintf("%v %s", info.Mode(), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatIsRestoredIsWhatWasBackedUp(t *testing.T) {
	r := newRepo(t)
	path := filepath.Join(t.TempDir(), "names.age")
	saved := save(t, r, path, passphrase)
	if want := (Counts{Keys: 1, Names: 32, Past: 105, Seen: 30, Rows: 90, Pins: 2}); saved.Manifest.Counts != want {
		t.Errorf("counts %+v", saved.Manifest.Counts)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || info.Size() != saved.Size {
		t.Errorf("%v, %v", info, err)
	}
	into := repo.Repo(filepath.Join(t.TempDir(), "second"))
	res, err := restore(t, path, into, passphrase)
	if err != nil || res.Before != "" || len(res.Had) > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	want, got := files(t, string(r)), files(t, string(into))
	for name, text := range map[string]string{"restored-pins.txt": "bafkqaaa\n", "restored-pins-direct.txt": "bafkqaab\n"} {
		if got[name] != "-rw------- "+text {
			t.Errorf("%s: %q", name, got[name])
		}
		delete(got, name)
	}
	delete(want, "denylists/a.deny") // its mode is that of what everybody may read
	delete(got, "denylists/a.deny")
	if !maps.Equal(want, got) {
		t.Errorf("files\n%q, want\n%q", got, want)
	}
	if was, is := content(dump(t, r)), content(dump(t, into)); was != is {
		a, b := strings.Split(is, "\n"), strings.Split(was, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("the store has\n%s\nwant\n%s", a[i], b[i])
			}
		}
		t.Errorf("%d lines of %d", len(a), len(b))
	}
	// No sequence is known in the life of the restored store.
	err = openNames(t.Context(), into, func(n Names) error {
		b := &names.Book{Store: n.Store}
		for e, err := range b.Scan(t.Context(), recordstore.Region{}) {
			if err != nil {
				return err
			}
			if known, _ := b.Known(t.Context(), e); known {
				t.Errorf("the last sequence of %s is known", e.Name)
			}
			if current, _ := b.Current(t.Context(), e); current {
				t.Errorf("%s may be announced", e.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestABackupOpensByAgeAndTarAlone reads a file as a person would who has age and tar.
func TestABackupOpensByAgeAndTarAlone(t *testing.T) {
	r := newRepo(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, Secret{Recipients: []age.Recipient{id.Recipient()}})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := age.Decrypt(f, id)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(b)
	}
	for _, name := range []string{"config", "sites.json", "swarm.key", "keystore/key_mjwg6zy", "denylists/a.deny"} {
		b, err := os.ReadFile(filepath.Join(string(r), name))
		if err != nil || got[name] != string(b) {
			t.Errorf("%s: %q, %v", name, got[name], err)
		}
	}
	rec := recordstoretest.KeyFromSeed(t, 4).Entry(t, 4, recordstoretest.Value(4), recordstore.Own).Record
	if !strings.Contains(got["names/000001.jsonl"], base64.StdEncoding.EncodeToString(rec.Raw())) {
		t.Error("a record is not there in base64")
	}
	if got["format"] != "1\n" || !strings.Contains(got["manifest.json"], `"Name": "keystore/key_mjwg6zy"`) {
		t.Errorf("format %q, manifest %s", got["format"], got["manifest.json"])
	}
}

func TestABackupToRecipientsIsReadByEachOfThem(t *testing.T) {
	r := newRepo(t)
	var ids []*age.X25519Identity
	secret := Secret{}
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		secret.Recipients = append(secret.Recipients, id.Recipient())
	}
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	for i, id := range ids {
		if _, err := restore(t, path, repo.Repo(filepath.Join(t.TempDir(), fmt.Sprint(i))), Secret{Identities: []age.Identity{id}}); err != nil {
			t.Error(err)
		}
	}
}

// TestADumpHasWhatWasAcknowledgedBefore publishes while names are copied.
func TestADumpHasWhatWasAcknowledgedBefore(t *testing.T) {
	s := recordstore.NewMemory()
	b := &names.Book{Store: s}
	k := recordstoretest.KeyFromSeed(t, 1)
	seen := recordstoretest.KeyFromSeed(t, 2)
	if err := b.Create(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	acked.Store(-1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := range uint64(300) {
			e, err := b.Get(context.Background(), k.Name)
			if err == nil {
				_, err = b.Enter(context.Background(), e, k.Record(t, seq, recordstoretest.Value(int(seq)), recordstoretest.Epoch.Add(time.Hour)), names.Entrance{})
			}
			if err == nil {
				_, err = b.Take(context.Background(), seen.Record(t, seq, recordstoretest.Value(int(seq)), recordstoretest.Epoch.Add(time.Hour)), names.Entrance{})
			}
			if err != nil {
				t.Error(err)
				return
			}
			acked.Store(int64(seq))
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true // after a last dump
		default:
		}
		before := acked.Load()
		var out bytes.Buffer
		if err := Dump(t.Context(), &out, Store{Book: b, Rows: new(recordstore.MemoryRows)}); err != nil {
			t.Fatal(err)
		}
		var c checker
		got, mark := int64(-1), int64(-1)
		for text := range strings.Lines(out.String()) {
			l, err := parseLine([]byte(text))
			if err == nil && l.Name != nil {
				err = c.line(l)
			}
			if err != nil {
				t.Fatal(err)
			}
			if l.Name != nil && c.entry.Record != nil {
				got = int64(c.entry.Record.Sequence())
			}
			if l.Seen != nil {
				mark = int64(l.Seen.Mark.Sequence)
			}
		}
		if got < before || mark < before {
			t.Fatalf("sequence %d and mark %d in the dump, %d was acknowledged before", got, mark, before)
		}
	}
}
