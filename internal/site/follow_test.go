package site

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// rounds runs Follow, and returns when its rounds began, since its start, once f has ended and a minute has passed.
func rounds(t *testing.T, again []time.Duration, f func(poke func())) (began []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		changed := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Follow(ctx, changed, 0, func(context.Context) time.Duration {
				began = append(began, time.Since(start))
				if len(again) == 0 {
					return 0
				}
				next := again[0]
				again = again[1:]
				return next
			})
		}()
		f(func() {
			select {
			case changed <- struct{}{}:
			default:
			}
			synctest.Wait()
		})
		time.Sleep(time.Minute)
		cancel()
		<-done
	})
	return began
}

func TestARoundBeginsOnceNothingChangesAnyMore(t *testing.T) {
	got := rounds(t, nil, func(poke func()) {
		for range 10 {
			poke()
			time.Sleep(quiet / 2)
		}
	})
	if len(got) != 1 || got[0] != 9*quiet/2+quiet {
		t.Errorf("rounds after %v", got)
	}
}

func TestWhatChangesAllTheTimeIsPublishedAfterTheLongestTime(t *testing.T) {
	const writes = 1000
	got := rounds(t, nil, func(poke func()) {
		for range writes {
			poke()
			time.Sleep(quiet / 4)
		}
	})
	spent := writes * quiet / 4
	if want := int(spent/longest) + 1; len(got) < want-1 || len(got) > want+1 || got[0] > longest {
		t.Errorf("%d rounds in %s, the first after %v, want about %d", len(got), spent, got[0], want)
	}
}

func TestARoundThatAsksForItIsFollowedByAnother(t *testing.T) {
	got := rounds(t, []time.Duration{2 * time.Second, 4 * time.Second}, func(poke func()) { poke() })
	if len(got) != 3 || got[1]-got[0] != 2*time.Second || got[2]-got[1] != 4*time.Second {
		t.Errorf("rounds after %v", got)
	}
	got = rounds(t, []time.Duration{time.Hour}, func(poke func()) {
		poke()
		time.Sleep(10 * time.Second)
		poke()
	})
	if len(got) != 2 || got[1] != 10*time.Second+quiet {
		t.Errorf("a change does not end the wait: rounds after %v", got)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	if got := rounds(t, nil, func(func()) {}); len(got) != 0 {
		t.Errorf("rounds after %v without a change", got)
	}
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		changed <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), quiet/2)
		defer cancel()
		Follow(ctx, changed, 0, func(context.Context) time.Duration {
			t.Error("a round began after the end")
			return 0
		})
	})
}
