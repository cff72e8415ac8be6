package recordstoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goipns/ipns/recordstore"
)

// RunRows runs the contract of Rows. open returns empty ones each time.
func RunRows(t *testing.T, open func(t *testing.T) recordstore.Rows) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, recordstore.Rows)
	}{
		{"Swap", testRowSwap},
		{"Range", testRowRange},
		{"Refused", testRowRefused},
		{"OneWriterWins", testRowWriters},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

func setRow(t testing.TB, rows recordstore.Rows, table, key, value string, version uint64) recordstore.Row {
	t.Helper()
	r, err := rows.Swap(t.Context(), recordstore.Row{Table: table, Key: key, Value: []byte(value), Version: version})
	if err != nil || string(r.Value) != value || r.Version == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// A row is created, replaced, deleted and created again; no version is used twice.
func testRowSwap(t *testing.T, rows recordstore.Rows) {
	ctx := t.Context()
	if _, err := rows.Get(ctx, "t", "k"); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("Get of a row that is not stored: %v", err)
	}
	if _, err := rows.Swap(ctx, recordstore.Row{Table: "t", Key: "k"}); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("deleting a row that is not stored: %v", err)
	}
	used := map[uint64]bool{0: true}
	for range 3 {
		first := setRow(t, rows, "t", "k", "one", 0)
		second := setRow(t, rows, "t", "k", "", first.Version)
		if used[first.Version] || used[second.Version] || first.Version == second.Version {
			t.Fatalf("versions %d and %d, after %v", first.Version, second.Version, used)
		}
		used[first.Version], used[second.Version] = true, true
		for _, version := range []uint64{0, first.Version, second.Version + 1} {
			for _, value := range [][]byte{nil, []byte("x")} {
				if _, err := rows.Swap(ctx, recordstore.Row{Table: "t", Key: "k", Value: value, Version: version}); !errors.Is(err, recordstore.ErrConflict) {
					t.Fatalf("swap with version %d over %d: %v", version, second.Version, err)
				}
			}
		}
		got, err := rows.Get(ctx, "t", "k")
		if err != nil || got.Value == nil || len(got.Value) != 0 || got.Version != second.Version || got.Table != "t" || got.Key != "k" {
			t.Fatalf("%+v, %v", got, err)
		}
		gone, err := rows.Swap(ctx, recordstore.Row{Table: "t", Key: "k", Version: second.Version})
		if err != nil || gone.Version != 0 {
			t.Fatalf("%+v, %v", gone, err)
		}
		if _, err := rows.Get(ctx, "t", "k"); !errors.Is(err, recordstore.ErrNotFound) {
			t.Fatalf("Get of a deleted row: %v", err)
		}
	}
	value := []byte("mine")
	r, err := rows.Swap(ctx, recordstore.Row{Table: "t", Key: "k", Value: value})
	if err != nil {
		t.Fatal(err)
	}
	value[0] = 'M'
	if got, err := rows.Get(ctx, "t", "k"); err != nil || string(got.Value) != "mine" {
		t.Fatalf("the row shares the caller's bytes: %s of version %d, %v", got.Value, r.Version, err)
	}
}

// A range yields rows of its own table only, whatever the keys.
func testRowRange(t *testing.T, rows recordstore.Rows) {
	keys := []string{"", "\x00", "a", "a\x00b", "ab", "b", "\xff", "\xff\xff"}
	for _, table := range []string{"t", "t\x01", "ta", "s"} {
		for _, key := range keys {
			setRow(t, rows, table, key, table+"/"+key, 0)
		}
	}
	for i := range 700 { // more than any implementation reads in one chunk
		setRow(t, rows, "many", fmt.Sprintf("%04d", i), "", 0)
	}
	for _, tt := range []struct {
		table, from, to string
		want            []string
	}{
		{"t", "", "", keys},
		{"t", "a", "b", keys[2:5]},
		{"t", "aa", "", keys[4:]},
		{"ta", "", "a", keys[:2]},
		{"t", "b", "a", nil},
		{"u", "", "", nil},
	} {
		var got []string
		for r, err := range rows.Range(t.Context(), tt.table, tt.from, tt.to) {
			if err != nil || string(r.Value) != tt.table+"/"+r.Key || r.Table != tt.table || r.Version == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			got = append(got, r.Key)
		}
		if strings.Join(got, "|") != strings.Join(tt.want, "|") || len(got) != len(tt.want) {
			t.Errorf("%q from %q to %q: %q, want %q", tt.table, tt.from, tt.to, got, tt.want)
		}
	}
	n := 0
	for r, err := range rows.Range(t.Context(), "many", "", "") {
		if err != nil || r.Key != fmt.Sprintf("%04d", n) {
			t.Fatalf("row %d: %q, %v", n, r.Key, err)
		}
		n++
	}
	if n != 700 {
		t.Errorf("%d rows of 700", n)
	}
	var all []string
	for r, err := range rows.All(t.Context()) {
		if err != nil || r.Version == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.Table != "many" && string(r.Value) != r.Table+"/"+r.Key {
			t.Fatalf("of all rows: %+v", r)
		}
		all = append(all, r.Table+"\x00"+r.Key)
	}
	if len(all) != 700+4*len(keys) || !slices.IsSorted(all) {
		t.Errorf("%d of all rows, want %d in order", len(all), 700+4*len(keys))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range rows.Range(ctx, "many", "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of its context: %v", err)
		}
	}
}

func testRowRefused(t *testing.T, rows recordstore.Rows) {
	for what, r := range map[string]recordstore.Row{
		"no table":      {Key: "k", Value: []byte{}},
		"a zero byte":   {Table: "t\x00", Key: "k", Value: []byte{}},
		"a long key":    {Table: "t", Key: strings.Repeat("k", recordstore.MaxRowKey), Value: []byte{}},
		"a large value": {Table: "t", Key: "k", Value: make([]byte, recordstore.MaxRow+1)},
	} {
		if _, err := rows.Swap(t.Context(), r); err == nil || errors.Is(err, recordstore.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	setRow(t, rows, "t", strings.Repeat("k", recordstore.MaxRowKey-1), strings.Repeat("v", recordstore.MaxRow), 0)
}

// Many writers increment one row: no increment is lost or counted twice.
func testRowWriters(t *testing.T, rows recordstore.Rows) {
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				r, err := rows.Get(t.Context(), "t", "k")
				if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(r.Value))
				_, err = rows.Swap(t.Context(), recordstore.Row{Table: "t", Key: "k", Value: []byte(strconv.Itoa(n + 1)), Version: r.Version})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, recordstore.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, err := rows.Get(t.Context(), "t", "k"); err != nil || string(r.Value) != strconv.Itoa(writers*each) {
		t.Errorf("counted to %s of %d, %v", r.Value, writers*each, err)
	}
}
