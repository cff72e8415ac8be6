package verbs

import (
	"strings"
	"testing"
)

func TestACIDMayBeGivenAsPathOrURI(t *testing.T) {
	const c = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
	for _, text := range []string{c, "/ipfs/" + c, "ipfs://" + c, "ipfs:" + c, "/ipfs/" + c + "/"} {
		if got, err := parseCID(text); err != nil || got.String() != c {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"nope": "path does not have enough components", "/ipfs/" + c + "/a": "points below a root CID",
		"ipfs://" + c + "/a": "points below a root CID", "/ipns/example.com": "invalid path", "": "invalid path",
	} {
		if _, err := parseCID(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
