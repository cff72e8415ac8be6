package postgres_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// Files that are copied back and just started begin no new timeline. A daemon that went on
// notices that there is less in them.
func TestFilesThatWereCopiedBackBeginANewGeneration(t *testing.T) {
	server := pgtest.Start(t)
	s := open(t, server.Database(t))
	k := recordstoretest.NewKey(t)
	kept := step(t, s, k, recordstore.Entry{})
	since, gen := here(t, s), generation(t, s)
	backup := server.Backup(t)
	lost := kept
	for range 100 {
		lost = step(t, s, k, lost)
	}
	server.Restore(t, backup, "")
	checkNewLife(t, s, k, kept, lost, gen, since)
}

// So does a snapshot of the disk, also if one swap alone is missing in it: the server
// recovers from its log, and then its sequence is ahead of the one that was lost.
func TestASnapshotThatLacksOneSwapBeginsANewGeneration(t *testing.T) {
	server := pgtest.Start(t, "autovacuum = off")
	s := open(t, server.Database(t))
	k := recordstoretest.NewKey(t)
	server.Exec(t, "postgres", `checkpoint`)
	kept := step(t, s, k, recordstore.Entry{})
	since, gen := here(t, s), generation(t, s)
	snapshot := server.Snapshot(t)
	lost := step(t, s, k, kept)
	server.Restore(t, snapshot, "")
	checkNewLife(t, s, k, kept, lost, gen, since)

	server.Exec(t, "postgres", `checkpoint`)
	step(t, s, recordstoretest.NewKey(t), recordstore.Entry{})
	gen = generation(t, s)
	snapshot = server.Snapshot(t)
	step(t, s, recordstoretest.NewKey(t), recordstore.Entry{}) // of a name that is not there then
	server.Restore(t, snapshot, "")
	eventually(t, "a read", func() error { _, err := s.Get(t.Context(), k.Name); return err })
	if generation(t, s) == gen {
		t.Error("it lacks a name, and the generation is the one of before")
	}
}

// So does a daemon that starts, by the file in which it noted how far the data had come. In
// another database, and in one that is as it was, that file has no meaning.
func TestADaemonThatStartsNoticesFilesThatWereCopiedBack(t *testing.T) {
	server := pgtest.Start(t)
	url, other := server.Database(t), server.Database(t)
	file := filepath.Join(t.TempDir(), "witness")
	begin := func(url, witness string) *postgres.Store {
		t.Helper()
		s, err := postgres.Open(t.Context(), url, postgres.Options{Witness: witness})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	foreign := generation(t, begin(other, ""))
	s := begin(url, file)
	k := recordstoretest.NewKey(t)
	e := step(t, s, k, recordstore.Entry{})
	backup := server.Backup(t)
	for range 100 {
		e = step(t, s, k, e)
	}
	gen := generation(t, s)
	s.Close()
	s = begin(url, file)
	if generation(t, s) != gen {
		t.Error("a new generation though nothing happened")
	}
	s.Close()
	o := begin(other, file)
	if generation(t, o) != foreign {
		t.Error("a new generation in another database")
	}
	o.Close()
	begin(url, file).Close() // nothing but starting has it be about this one again
	server.Restore(t, backup, "")
	without := begin(url, "")
	if generation(t, without) != gen {
		t.Error("without the file it is noticed: this test shows nothing")
	}
	if generation(t, begin(url, file)) == gen {
		t.Error("the generation is the one of before")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(url, file)
}

// The clock of a life that was lost may have been ahead: what begins then is above it all the
// same, and once.
func TestALifeAfterOneWhoseClockWasAheadBeginsOnce(t *testing.T) {
	server := pgtest.Start(t)
	url, file := server.Database(t), filepath.Join(t.TempDir(), "witness")
	begin := func() *postgres.Store {
		t.Helper()
		s, err := postgres.Open(t.Context(), url, postgres.Options{Witness: file})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	begin().Close()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	const ahead = uint64(1) << 55
	said["Base"] = ahead
	if b, err = json.Marshal(said); err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := begin()
	gen := generation(t, s)
	if e := step(t, s, recordstoretest.NewKey(t), recordstore.Entry{}); e.Version <= ahead {
		t.Errorf("version %d may have been that of something else", e.Version)
	}
	s.Close()
	if generation(t, begin()) != gen {
		t.Error("one more generation though nothing happened")
	}
}
