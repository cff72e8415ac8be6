package keyspace

import (
	"testing"

	"pgregory.net/rapid"
)

func keys() *rapid.Generator[Key] {
	return rapid.Custom(func(t *rapid.T) Key {
		var k Key
		copy(k[:], rapid.SliceOfN(rapid.Byte(), len(k), len(k)).Draw(t, "key"))
		return k
	})
}

func TestDistanceOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, a, b := keys().Draw(t, "target"), keys().Draw(t, "a"), keys().Draw(t, "b")
		want := Distance(target, a).Compare(Distance(target, b))
		if got := Closer(target, a, b); (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("Closer(%x, %x, %x) = %d, distances compare %d", target, a, b, got, want)
		}
		if Closer(target, target, a) > 0 {
			t.Fatal("nothing is closer to a key than the key itself")
		}
	})
}

func TestRegion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, other := keys().Draw(t, "k"), keys().Draw(t, "other")
		n := rapid.IntRange(0, Bits).Draw(t, "bits")
		r := RegionOf(k, n)
		if !r.Contains(k) || !r.Contains(r.First()) || !r.Contains(r.Last()) {
			t.Fatalf("%v does not contain its own key or bounds", r)
		}
		inside := r.First().Compare(other) <= 0 && other.Compare(r.Last()) <= 0
		if r.Contains(other) != inside {
			t.Fatalf("%v.Contains(%x) = %v, by bounds %v", r, other, !inside, inside)
		}
	})
}
