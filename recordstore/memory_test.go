package recordstore_test

import (
	"testing"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func TestMemory(t *testing.T) {
	recordstoretest.Run(t, func(*testing.T) recordstoretest.Store { return recordstore.NewMemory() })
}

func TestMemoryLoads(t *testing.T) {
	recordstoretest.RunLoads(t, func(*testing.T) recordstoretest.Loader { return recordstore.NewMemory() })
}

func TestMemoryRows(t *testing.T) {
	recordstoretest.RunRows(t, func(*testing.T) recordstore.Rows { return new(recordstore.MemoryRows) })
}

func TestMemoryLeases(t *testing.T) {
	recordstoretest.RunLeases(t, func(*testing.T) (a, b recordstoretest.LeasedStore) {
		m := recordstore.NewMemory()
		return m, m
	})
}
