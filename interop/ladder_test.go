package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKuboFollowsAnAnchor signs, on a machine that is on no network, an anchor that leads to a hot
// name, and a ladder for it. Kubo resolves the anchor to what the hot name has, also after the hot
// key was replaced; and takes an offline signed record itself.
func TestKuboFollowsAnAnchor(t *testing.T) {
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	cold := newNode(t, ours, "ipns")
	anchor := cold.line("key", "gen", "anchor")
	hot, spare := us.line("key", "gen", "hot"), us.line("key", "gen", "spare")
	dir, next := site(t, "behind the hot name"), site(t, "behind the next one")
	publish(us, add(us, dir), "--key", "hot")
	publish(us, add(us, next), "--key", "spare")

	files := t.TempDir()
	carry := func(label string, args ...string) string {
		t.Helper()
		request, record := filepath.Join(files, label+".request"), filepath.Join(files, label+".signed")
		mustDo(t, os.WriteFile(request, []byte(us.run(append([]string{"name", "request"}, args...)...)), 0o600))
		cold.run("name", "sign", "--output", record, request)
		return record
	}
	us.run("name", "put", anchor, carry("first", "--every=31d", "--count=12", anchor, "/ipns/"+hot))
	for _, k := range kubos {
		resolves(k, anchor, "/ipfs/"+add(us, dir))
		reads(k, anchor, dir)
	}

	// Kubo puts it, and we follow.
	record := carry("second", "--lifetime=365d", anchor, "/ipns/"+spare)
	kubos[0].run("name", "put", anchor, record)
	for _, n := range append(kubos, us) {
		eventually(t, "the anchor leads to the spare name at "+n.name, func() bool {
			res := n.try(nil, "name", "resolve", "--nocache", anchor)
			return res.code == 0 && strings.TrimSpace(res.stdout) == "/ipfs/"+add(us, next)
		})
	}
}
