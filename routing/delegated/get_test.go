package delegated

import (
	"strconv"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing/routingtest"
)

// However many names are asked for, prepared answers take no more memory than they may.
func TestPreparedAnswersAreBounded(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	var a answers
	fit := maxPrepared / prepare(rec, time.Now()).size()
	for i := range 2 * fit {
		text := strconv.Itoa(i)
		a.put(text, prepare(rec, time.Now()))
		a.put(text, prepare(rec, time.Now()))
		if a.bytes > maxPrepared || len(a.all) > fit || len(a.all) < min(i, fit)-1 {
			t.Fatalf("after %d: %d answers of %d bytes", i, len(a.all), a.bytes)
		}
	}
	for text := range a.all {
		a.drop(text)
	}
	if a.bytes != 0 {
		t.Errorf("%d bytes of no answers", a.bytes)
	}
}
