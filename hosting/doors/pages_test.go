package doors

import (
	"net/http"
	"strings"
	"testing"

	"github.com/goipns/ipns/hosting"
)

// Pages of any origin may use every door, with their tokens.
func TestPagesOfAnyOriginMayUseEveryDoor(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	for _, path := range []string{"/name/k", "/v1/names", "/v1/names/x", "/pins", "/pins/x", "/v1/ipfs/pins", "/routing/v1/ipns/k"} {
		got := d.send("OPTIONS", path, "", nil, "Origin", "https://page.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
		allowed := strings.ToLower(got.head.Get("Access-Control-Allow-Headers"))
		if got.status != http.StatusNoContent || got.head.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "content-type") || !strings.Contains(got.head.Get("Access-Control-Allow-Methods"), "DELETE") {
			t.Errorf("%s: %d %v", path, got.status, got.head)
		}
		if got := d.send("GET", path, "", nil, "Origin", "https://page.example"); got.head.Get("Access-Control-Allow-Origin") != "*" || got.head.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, got.head)
		}
	}
}
