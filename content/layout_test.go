package content

import (
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"time"
)

// moded is a tree in which all has a mode and a time.
func moded() iter.Seq2[Entry, error] {
	at := time.Unix(1_500_000_000, 7)
	es := []Entry{
		{Path: "t", Mode: fs.ModeDir | 0o755, ModTime: time.Unix(1_600_000_000, 0)},
		{Path: "t/a.txt", Mode: 0o640, ModTime: at, Content: strings.NewReader("a")},
		{Path: "t/b", Mode: fs.ModeDir | 0o750, ModTime: at},
		{Path: "t/b/c", Mode: 0o600, ModTime: at, Content: strings.NewReader(strings.Repeat("0123456789", 1000))},
	}
	for i := 1; i <= 12; i++ {
		n := fmt.Sprintf("%02d", i)
		es = append(es, Entry{Path: "t/b/n" + n, Mode: 0o600, ModTime: at, Content: strings.NewReader(n + "\n")})
	}
	es = append(es, Entry{Path: "t/e", Mode: fs.ModeDir | 0o700, ModTime: at},
		Entry{Path: "t/l", Mode: fs.ModeSymlink | 0o777, ModTime: at, Target: "a.txt"})
	return entries(es...)
}

// The CIDs are those of Kubo 0.43 for the same files and options.
func TestOptionsMakeTheCIDsOfKubo(t *testing.T) {
	s := offlineStore(t)
	for cid, o := range map[string]AddOptions{
		"QmZvGFmfWwNN9qwo6ayVHjnwhDeuPivQXiayntzPmimjsi":              {},
		"bafybmicukatysfprzx3pp4l5t7vbojv4pscga6565homvw5m2smxmrnaje": {Hash: "sha3-256"},
		"bafyb4iain7qoi4l3jjjx4j4rigpdeuqtcr3xyu2ansskscm62pssthhiou": {CIDVersion: 1, Hash: "BLAKE3", Leaves: LeavesWrapped},
		"bafybeiewnc5rzlgpbkw46mhorcgszgkeqzp3hw55ipyvdhvvsc34mzvfpu": {Inline: true, InlineLimit: 32, CIDVersion: 1},
		"bafyaa4ysdafa2alqaaequbyiaijacyiyaejakyjoor4higajcivauiqseagqy4sxkg4fd2e3eqk3ox2fk7q6iflmgywnp7trjzaw7k2b7z2zyeqbmimiouqsb4faqalqaacauaqiaejacziyaqjbmcqpafyaacykbeeaieqfmexhi6duciawygalbibaqai": {Inline: true, InlineLimit: 128},
		"QmUSH2qL4ReCpQSFmS7YU9sffyGGNGvM8pHwsbqA9wcaDN":              {Chunker: "size-500", FileLinks: 4},
		"QmS3phmmN2pdN2sdpZGXVfC3fLuXLbKmRQvGu6SwafZz8A":              {Chunker: "size-500", FileLinks: 4, Trickle: true},
		"QmWW8PSSoLsXYcAZKMXzFGGowykL5AC6VAWNC8gBnXpzop":              {DirLinks: 5},
		"bafybeieslab62ljxcpeh77frelulpaxonz552cwn2m52epjma66za4flly": {DirLinks: 5, Fanout: 8, CIDVersion: 1},
		"QmeGxWhGwTHBJeaBBGMKPpoCuhy1tLCPqqh6CQyHNDU5VC":              {Mode: 0o604},
		"QmPjxx8D8qWZZ5WkGzZn9ajzWTb5M3Ysy363kAhzXoKLcT":              {ModTime: time.Unix(-7, 9)},
		"QmWWnrB8WDfoPZC8JgNuXVfnaBsbeocn48wSaBGhkDZ5sW":              {KeepMode: true},
		"QmPNuwHabrM8aoRr5tr6WNbZS66b3ACGPvA5q8YLCvP8uR":              {KeepModTime: true},
		"bafybeidlylftisjzi5thn3fpb5ip7p63qfbuhtix63n4godziagoa6kfcq": {KeepMode: true, KeepModTime: true, Mode: 0o444, CIDVersion: 1, Leaves: LeavesWrapped},
		"Qmdr65m85HA3qNGFbm9WGNUut4DfyqEF1yD85HTxP4bypU":              {KeepMode: true, KeepModTime: true, DirLinks: 5},
		"QmPrj1RG6Pc6ayn8ZsL57YB3Vwd6nmSoRxJWNwRZSiSdQR":              {DropEmpty: true},
		"QmQdtq9Xx3BHocWwJcAJzKg4wJJ4nBST8FFv7xVa9yzCwo":              {KeepMode: true, Wrap: true},
		"QmZnotQvg9x5DRAvCVSvGmkcenziEokiSRgT3cKYbxA4Hs":              {Mode: 0o700, ModTime: time.Unix(5, 0), Wrap: true},
	} {
		for _, o.OnlyHash = range []bool{false, true} {
			if got := rootOf(t, add(t, s, moded(), o)).CID.String(); got != cid {
				t.Errorf("%+v: %s, want %s", o, got, cid)
			}
		}
	}
}

// The folder t/b has links of 479 bytes, in a block of 638.
func TestFoldersAboveAThresholdBecomeHAMTs(t *testing.T) {
	const basic, sharded = "QmZvGFmfWwNN9qwo6ayVHjnwhDeuPivQXiayntzPmimjsi", "QmWW8PSSoLsXYcAZKMXzFGGowykL5AC6VAWNC8gBnXpzop"
	for _, tt := range []struct {
		o   AddOptions
		cid string
	}{
		{AddOptions{ShardSize: 520}, basic},
		{AddOptions{ShardSize: 450}, sharded},
		{AddOptions{ShardSize: 520, ShardBy: ShardByBlock}, sharded},
		{AddOptions{ShardSize: 650, ShardBy: ShardByBlock}, basic},
		{AddOptions{ShardSize: 1, ShardBy: ShardNever}, basic},
		{AddOptions{ShardSize: 1, ShardBy: ShardNever, DirLinks: 5}, sharded},
	} {
		if got := rootOf(t, add(t, offlineStore(t), moded(), tt.o)).CID.String(); got != tt.cid {
			t.Errorf("%+v: %s, want %s", tt.o, got, tt.cid)
		}
	}
}

// A directory keeps its mode and time also if its links have gone through a file, and its tree is yielded a second time.
func TestModesAndTimesOutliveALongTree(t *testing.T) {
	o := AddOptions{KeepMode: true, KeepModTime: true}
	want := rootOf(t, add(t, offlineStore(t), moded(), o)).CID
	var es []Entry
	for e := range moded() {
		es = append(es, e)
	}
	half := len(es) / 2
	apart := append(append(es[:half:half], file("other/f", "x")), es[half:]...)
	all := add(t, offlineStore(t), entries(apart...), o)
	if got := all[len(all)-1]; got.CID != want || !got.Root {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestEventsHaveTheModeOfTheirRoot(t *testing.T) {
	for _, a := range add(t, offlineStore(t), moded(), AddOptions{}) {
		if a.Mode != fs.ModeDir|0o755 || a.ModTime.Unix() != 1_600_000_000 {
			t.Errorf("%s: %s %s", a.Name, a.Mode, a.ModTime)
		}
	}
	es := []Entry{{Path: "x", Mode: 0o600, Content: strings.NewReader("x")}, file("y", "y")}
	if all := add(t, offlineStore(t), entries(es...), AddOptions{}); all[0].Mode != 0o600 || all[1].Mode != 0 {
		t.Error(all)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for want, o := range map[string]AddOptions{
		"unknown CID version: -1":                                   {CIDVersion: -1},
		`unrecognized hash function: "sha4"`:                        {Hash: "SHA4"},
		"potentially insecure hash functions not allowed":           {Hash: "murmur3-x64-64"},
		"no such hash registered":                                   {Hash: "poseidon-bls12_381-a2-fc1"},
		"inline-limit 129 exceeds maximum allowed size of 128":      {Inline: true, InlineLimit: 129},
		"HAMT fanout must be a power of 2, between 8 and 1024 (got": {Fanout: 12},
		"rabin min must be greater than 16":                         {Chunker: "rabin-1-2-3"},
		"chunker parameters may not exceed":                         {Chunker: "size-2096897"},
		"pin name is 256 bytes (max 255 bytes)":                     {Pin: true, PinName: strings.Repeat("n", 256)},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	// Nothing that could not be stored gets a CID.
	err := addErr(t, offlineStore(t), entries(file("f", strings.Repeat("x", 200))), AddOptions{Hash: "identity", OnlyHash: true})
	if !strings.Contains(err.Error(), "digest too large") {
		t.Error(err)
	}
}
