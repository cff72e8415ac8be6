package interop

import (
	"slices"
	"strings"
	"testing"
)

// A sentFile is a file as kubo-rpc-client sends it. Without content it is a folder.
type sentFile struct {
	Path    string  `json:"path"`
	Content *string `json:"content"`
}

// sent makes files of lines: path, space, content. A path that ends with a slash is
// a folder.
func sent(lines ...string) []sentFile {
	files := make([]sentFile, len(lines))
	for i, line := range lines {
		path, content, _ := strings.Cut(line, " ")
		files[i] = sentFile{path, &content}
		if dir, ok := strings.CutSuffix(path, "/"); ok {
			files[i] = sentFile{Path: dir}
		}
	}
	return files
}

// added is what it says of a file or folder.
type added struct{ Path, CID string }

// TestRPCClient lets the JavaScript client of Kubo's RPC API use ours.
func TestRPCClient(t *testing.T) {
	client := startJS(t)
	us, them := newOfflineDaemon(t, ours), newOfflineDaemon(t, kubo)

	t.Run("adds files in any order", func(t *testing.T) { addsInAnyOrder(t, client, us, them) })
	t.Run("throws after a failed add", func(t *testing.T) { throwsAfterFailedAdd(t, client, us) })
	t.Run("publishes", func(t *testing.T) { clientPublishes(t, client, us) })
}

func addsInAnyOrder(t *testing.T, client *jsClient, us, them *node) {
	orders := []struct {
		name  string
		files []sentFile
	}{
		{"sorted", sent("s/a/1 one", "s/a/2 two", "s/b/3 three", "s/index.html front")},
		{"a folder entered again", sent("s/a/1 one", "s/b/3 three", "s/a/2 two", "s/index.html front")},
		{"backwards", sent("s/index.html front", "s/b/3 three", "s/a/2 two", "s/a/1 one")},
		{"folders first", sent("s/", "s/b/", "s/a/", "s/b/3 three", "s/a/1 one", "s/index.html front", "s/a/2 two")},
		{"folders last", sent("s/a/1 one", "s/index.html front", "s/b/3 three", "s/a/2 two", "s/a/", "s/b/", "s/")},
	}
	var roots []string
	for _, o := range orders {
		for _, wrap := range []bool{false, true} {
			options := args{"cidVersion": 1, "wrapWithDirectory": wrap, "pin": false}
			root := func(n *node) string {
				t.Helper()
				var list []added
				client.call(t, &list, "add", args{"api": n.rpcAddr(), "files": o.files, "options": options})
				i := slices.IndexFunc(list, func(a added) bool { return a.Path == "s" })
				if i < 0 {
					t.Fatalf("%s: no folder s among %+v", o.name, list)
				}
				return list[i].CID
			}
			got := root(us)
			if want := root(them); got != want {
				t.Errorf("%s, wrapped %v: %s, from Kubo %s", o.name, wrap, got, want)
			}
			roots = append(roots, got)
		}
	}
	slices.Sort(roots)
	if roots = slices.Compact(roots); len(roots) != 1 {
		t.Errorf("the same files in other orders have the roots %q", roots)
	}
	var front string
	client.call(t, &front, "cat", args{"api": us.rpcAddr(), "path": "/ipfs/" + roots[0] + "/index.html"})
	if front != "front" {
		t.Errorf("the front page reads %q", front)
	}
}

// What failed after the first line of the answer must not look like success. The
// client reads neither the trailer nor Message: it throws since the last line has no
// CID.
func throwsAfterFailedAdd(t *testing.T, client *jsClient, us *node) {
	for _, files := range [][]sentFile{
		sent("s/a one", "s/b two", "s/a three"),
		sent("s/a one", "s/b/c two", "s/a/d three"),
	} {
		for _, progress := range []bool{false, true} {
			var list []added
			err := client.try(t, &list, "add", args{"api": us.rpcAddr(), "files": files, "options": args{"progress": progress}})
			if err == nil || !strings.Contains(err.Error(), "parse") || !strings.Contains(err.Error(), "CID") {
				t.Errorf("add of %d files, the last of which can't be: %+v, %v", len(files), list, err)
			}
		}
	}
	var pins []string
	client.call(t, &pins, "pins", args{"api": us.rpcAddr()})
	if len(pins) != 0 {
		t.Errorf("a failed add pins %q", pins)
	}
}

func clientPublishes(t *testing.T, client *jsClient, us *node) {
	api := us.rpcAddr()
	for _, kind := range []string{"ed25519", "rsa"} {
		var name string
		client.call(t, &name, "newKey", args{"api": api, "label": kind, "type": kind})
		for _, value := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqaaa/b"} {
			var made published
			client.call(t, &made, "publishPath", args{"api": api, "path": value, "options": args{"key": kind, "allowOffline": true, "resolve": false, "lifetime": "1h", "ttl": "10s"}})
			var paths []string
			client.call(t, &paths, "resolvePath", args{"api": api, "name": name})
			if made.Name != name || made.Value != value || len(paths) == 0 || paths[len(paths)-1] != value {
				t.Errorf("%s of %s: published %+v, resolved %q", value, name, made, paths)
			}
		}
	}
	var labels []string
	client.call(t, &labels, "keys", args{"api": api})
	if slices.Sort(labels); !slices.Equal(labels, []string{"ed25519", "rsa", "self"}) {
		t.Errorf("keys: %q", labels)
	}
}
