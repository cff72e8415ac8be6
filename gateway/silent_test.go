package gateway

import (
	"net/http"
	"testing"
	"time"
)

func TestAnswersSayForHowLongTheStoreIsSilent(t *testing.T) {
	var silent time.Duration
	w := newWorld(t, Options{Silent: func() (time.Duration, error) { return silent, nil }})
	named, fixed := "http://127.0.0.1/ipns/"+w.name.String()+"/notes/list.txt", "http://127.0.0.1/ipfs/"+w.root+"/notes/list.txt"
	ask := func(url, want string) {
		t.Helper()
		for range 2 { // the second answer is kept from the first
			check(t, w.get(url), http.StatusOK, "X-Ipns-Silent", want)
		}
	}
	silent = 1500 * time.Millisecond
	ask(named, "2")
	ask(fixed, "")
	silent = 0
	ask(named, "")
	silent = time.Minute
	ask(named, "60")
	ask("http://example.com/notes/list.txt", "60")
}
