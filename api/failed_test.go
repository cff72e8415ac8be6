package api

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goipns/ipns/rpc"
)

// A page in a browser reads no trailers.
func TestAPublishThatFailsOnTheWaySaysSoInItsLastLine(t *testing.T) {
	m := new(rpc.Mux)
	rpc.Handle(m, NamePublish, func(context.Context, PublishRequest) iter.Seq2[Published, error] {
		return func(yield func(Published, error) bool) {
			if yield(Published{Name: "k51", Outcome: Outcome{Announced: 1, Of: 20}}, nil) {
				yield(Published{}, rpc.Because(ReasonUnannounced, errors.New("announced to 1 of 20")))
			}
		}
	})
	srv := httptest.NewServer(m)
	defer srv.Close()
	resp, err := http.Post(srv.URL+"/api/v0/name/publish?arg=/ipfs/bafkqaaa&progress=true", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if want := `{"Message":"announced to 1 of 20","Code":0,"Type":"error","Reason":"unannounced"}` + "\n"; err != nil || !strings.HasSuffix(string(b), "}\n"+want) {
		t.Errorf("%s, %v; want it to end with %s", b, err, want)
	}

	c, err := rpc.NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	req := rpc.New[PublishRequest]()
	req.Progress = true
	p, err := rpc.Do(t.Context(), c, NamePublish, req)
	if err == nil || err.Error() != "announced to 1 of 20" || !rpc.HasReason(err, ReasonUnannounced) || p.Announced != 1 {
		t.Errorf("the client has %+v and %v, %q", p, err, rpc.ReasonOf(err))
	}
}
