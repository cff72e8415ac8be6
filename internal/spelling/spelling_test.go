package spelling_test

import (
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/spelling"
)

func TestNearestForgivesOneErrorInThreeLetters(t *testing.T) {
	words := []string{"name", "publish", "pin", "Addresses.API"}
	for typed, want := range map[string]string{
		"nmae": "name", "nam": "name", "names": "name", "pni": "pin", "publsih": "publish", "pblis": "",
		"pubilhs": "publish", "adresses.api": "Addresses.API", "nope": "", "x": "", "": "",
		strings.Repeat("name", 1000): "",
	} {
		if got := spelling.Nearest(typed, words); got != want {
			t.Errorf("%q is taken for %q, want %q", typed, got, want)
		}
	}
}
