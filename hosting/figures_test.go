package hosting_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/goipns/ipns/hosting"
)

// However many tenants there are, there are figures of a few, and the sums are right.
func TestFiguresAreOfAFewTenantsAndAddUp(t *testing.T) {
	const tenants = 30
	w := newWorld(t, hosting.Settings{Policy: hosting.Open})
	for i := range tenants {
		c := w.caller(t, fmt.Sprint("t", i))
		for range 1 + i%3 {
			a := newAuthor(t)
			if _, err := w.Put(t.Context(), c, a.name, a.record(t, 1, time.Hour).Raw()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Put(t.Context(), c, a.name, []byte("junk")); err == nil {
				t.Fatal("junk was taken")
			}
		}
	}
	if _, err := w.admit("wrong", "8.8.8.8"); err == nil {
		t.Fatal("a wrong token was taken")
	}
	var names, atRisk int
	var taken, junk, unauthorized uint64
	list := w.Figures()
	for _, f := range list {
		names += f.Names
		atRisk += f.AtRisk
		taken += f.Taken
		junk += f.Refused["invalid"]
		unauthorized += f.Refused["unauthorized"]
	}
	if len(list) != 21 || names != 60 || atRisk != 60 || taken != 60 || junk != 60 || unauthorized != 1 {
		t.Errorf("%d figures: %d names, %d at risk, %d taken, %d junk, %d unauthorized", len(list), names, atRisk, taken, junk, unauthorized)
	}
	if list[20].Tenant != "(others)" || list[20].Soonest.IsZero() {
		t.Errorf("the last is %+v", list[20])
	}
}
