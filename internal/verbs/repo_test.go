package verbs

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/rpc"
)

// damage overwrites all stored values of one kind.
func damage(t *testing.T, r repo.Repo, kind byte) {
	t.Helper()
	db, err := pebble.Open(r.Database(), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	from := append([]byte(store.DefaultPrefix), kind)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: append([]byte(store.DefaultPrefix), kind+1)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := 0
	for it.First(); it.Valid(); it.Next() {
		if err := db.Set(append([]byte(nil), it.Key()...), []byte("damaged"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		t.Fatalf("nothing is stored under %c", kind)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// A status says that an entry is damaged, with what is left of it. verify finds the
// damage, and repairs it if requested.
func TestStatusAndVerifyNameWhatIsDamaged(t *testing.T) {
	for _, history := range []bool{false, true} {
		r := newRepo(t)
		n, err := node.New(t.Context(), r, node.Config{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publish(t, Mux(n), api.PublishRequest{Path: "/ipfs/bafkqaaa", AllowOffline: true}); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		damage(t, r, 'e')
		if history {
			damage(t, r, 'h')
		}
		m := Mux(start(t, r, node.Config{Offline: true, ReadOnFull: true}))
		list, err := rpc.Do(t.Context(), m, api.NameStatus, api.StatusRequest{})
		if err != nil || len(list.Names) != 1 || !list.Names[0].Damaged || list.Names[0].Key != "self" || history != (list.Names[0].Value == "") {
			t.Errorf("history damaged %t: status %+v, %v", history, list.Names, err)
		}
		for i, repair := range []bool{false, true, true} {
			var msgs []string
			var failed error
			for f, err := range rpc.Call(t.Context(), m, api.RepoVerify, api.RepoVerifyRequest{Repair: repair}) {
				if failed = err; err == nil {
					msgs = append(msgs, f.Msg)
				}
			}
			whole := strings.Contains(strings.Join(msgs, "\n"), "all names are whole")
			if (failed != nil) != (i == 0) || whole != (i > 0) {
				t.Errorf("history damaged %t, step %d: %q, %v", history, i, msgs, failed)
			}
		}
	}
}
