package testnet

import "context"

// TB is what ForTest needs of a testing.TB, which no program is to link.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Fatal(...any)
	Error(...any)
}

// ForTest starts n servers that end with the test.
func ForTest(t TB, n int) *Network {
	t.Helper()
	nw, err := Start(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nw.Close(); err != nil {
			t.Error(err)
		}
	})
	return nw
}
