package republisher_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// A hosted name is removed when its record has expired; an own one stays, so that its
// owner is told. The mark is kept.
func TestHostedNamesGoWhenTheyHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		ends, stays, own := recordstoretest.NewKey(t), recordstoretest.NewKey(t), recordstoretest.NewKey(t)
		fields := func(seq uint64, life time.Duration) ipns.Fields {
			return ipns.Fields{Value: recordstoretest.Value(int(seq)), Sequence: seq, EOL: s.Now().Add(life)}
		}
		s.add(t, ends, fields(3, time.Hour), ipns.V2Only, recordstore.Hosted)
		s.add(t, stays, fields(3, time.Hour), ipns.V2Only, recordstore.Hosted)
		s.add(t, own, fields(3, time.Hour), ipns.V2Only, recordstore.Own)
		s.keys = nil // cannot be renewed
		stop := s.run(t)
		defer func() { stop() }()
		time.Sleep(55 * time.Minute)
		if st := s.Status(); st.Hosted != 2 || st.Expired != 0 {
			t.Errorf("before the end: %d hosted, %d expired", st.Hosted, st.Expired)
		}
		s.add(t, stays, fields(4, 48*time.Hour), ipns.V2Only, recordstore.Hosted) // its owner sent a newer record
		time.Sleep(10 * time.Minute)
		if _, err := s.Book.Get(t.Context(), ends.Name); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("a hosted name whose record has ended: %v", err)
		}
		s.entry(t, stays.Name)
		s.entry(t, own.Name)
		if st := s.Status(); st.Hosted != 1 || st.Expired != 1 || st.Own != 1 {
			t.Errorf("after the end: %d own, %d hosted, %d expired", st.Own, st.Hosted, st.Expired)
		}
		old, err := ipns.Sign(t.Context(), ends.Signer, fields(2, 48*time.Hour), ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err := s.Book.Take(t.Context(), old, names.Entrance{Origin: recordstore.Hosted}); outcome != names.Older || err != nil {
			t.Errorf("an older record of a name that has gone is %v, %v", outcome, err)
		}
		s.add(t, ends, fields(4, 48*time.Hour), ipns.V2Only, recordstore.Hosted)
		s.entry(t, ends.Name)
	})
}
