package postgres_test

import (
	"testing"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	server := pgtest.Start(t)
	recordstoretest.Run(t, func(t *testing.T) recordstoretest.Store { return open(t, server.Database(t)) })
	t.Run("Rows", func(t *testing.T) {
		recordstoretest.RunRows(t, func(t *testing.T) recordstore.Rows { return open(t, server.Database(t)).Rows() })
	})
	t.Run("Leases", func(t *testing.T) {
		recordstoretest.RunLeases(t, func(t *testing.T) (a, b recordstoretest.LeasedStore) {
			url := server.Database(t)
			return open(t, url), open(t, url)
		})
	})
	t.Run("Loads", func(t *testing.T) {
		recordstoretest.RunLoads(t, func(t *testing.T) recordstoretest.Loader { return open(t, server.Database(t)) })
	})
}
