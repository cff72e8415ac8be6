// Package leaktest checks in tests that no goroutine is left. It is goleak with more patience:
// on a busy machine the goroutines of what was just closed take their time to end.
package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end.
const patience = time.Minute

// await waits until no goroutine is left but those that the options ignore, or patience ends.
func await(options ...goleak.Option) {
	for end := time.Now().Add(patience); goleak.Find(options...) != nil && time.Now().Before(end); {
	}
}

// VerifyNone fails the test if a goroutine is left that the options do not ignore.
func VerifyNone(t testing.TB, options ...goleak.Option) {
	t.Helper()
	await(options...)
	goleak.VerifyNone(t, options...)
}

// VerifyMain runs the tests of a package and ends the process: in failure, if one has failed or a
// goroutine is left.
func VerifyMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

type patient struct{ *testing.M }

func (m patient) Run() int {
	code := m.M.Run()
	await()
	return code
}
