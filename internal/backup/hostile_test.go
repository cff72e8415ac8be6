package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"github.com/goipns/ipns/internal/repo"
)

// cheap is a secret that costs no work.
func cheap(t testing.TB) Secret {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return Secret{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
}

// refuses restores a file into a repo that has a key, and checks that nothing changes.
func refuses(t *testing.T, what, path string, into repo.Repo, secret Secret, want error) error {
	t.Helper()
	before := files(t, string(into))
	_, err := Restore(t.Context(), Restoration{Path: path, Secret: secret, Into: into, Replace: true, Open: openNames})
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if !maps.Equal(before, files(t, string(into))) {
		t.Fatalf("%s: the repo has changed", what)
	}
	return err
}

// small makes a repo without much in its store, so that a backup of it is small.
func small(t testing.TB) repo.Repo {
	t.Helper()
	r := newRepo(t)
	if err := os.RemoveAll(r.Database()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestATornBackupChangesNothing(t *testing.T) {
	secret := cheap(t)
	r := small(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	by, err := secret.identities()
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := read(bytes.NewReader(whole[:n]), by, &checker{}); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSecret) {
			t.Fatalf("torn at %d of %d: %v", n, len(whole), err)
		}
	}
	for bit := range len(whole) * 8 {
		if len(whole) > 2000 && bit > 8*500 && bit%97 != 0 { // all of the header, some of the rest
			continue
		}
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := read(bytes.NewReader(b), by, &checker{}); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSecret) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	if _, err := read(bytes.NewReader(append(bytes.Clone(whole), 0)), by, &checker{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte more: %v", err)
	}
	for _, n := range []int{100, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		refuses(t, fmt.Sprint("torn at ", n), path, r, secret, ErrDamaged)
	}
	fresh := repo.Repo(filepath.Join(t.TempDir(), "none"))
	if _, err := restore(t, path, fresh, secret); err == nil {
		t.Error("restored from a torn file")
	}
	if _, err := os.Stat(string(fresh)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed restore left a folder: %v", err)
	}
}

func TestAWrongPassphraseChangesNothing(t *testing.T) {
	r := small(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, passphrase)
	refuses(t, "wrong passphrase", path, r, wrong, ErrSecret)
	refuses(t, "another identity", path, r, Secret{Identities: cheap(t).Identities}, ErrSecret)
	refuses(t, "no secret", path, r, Secret{}, nil)
}

func TestWorkThatABackupAsksForIsBounded(t *testing.T) {
	var sealed bytes.Buffer
	rec, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	rec.SetWorkFactor(1)
	w, err := age.Encrypt(&sealed, rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	hungry := strings.Replace(sealed.String(), " 1\n", fmt.Sprintf(" %d\n", maxWork+1), 1)
	by, err := passphrase.identities()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(strings.NewReader(hungry), by, &checker{}); err == nil || !strings.Contains(err.Error(), "work factor") {
		t.Errorf("%v", err)
	}
}

// entry is a file of a tar that a test makes by hand.
type entry struct {
	name, content string
	header        func(*tar.Header)
}

// sealed writes a tar by hand, encrypted.
func sealed(t *testing.T, secret Secret, list []entry) string {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, secret.Recipients...)
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewWriter(w)
	for _, e := range list {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o600, Size: int64(len(e.content))}
		if e.header != nil {
			e.header(h)
		}
		if err := in.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(in, e.content) // a link takes none
	}
	if !slices.ContainsFunc(list, func(e entry) bool { return e.content == "huge" }) {
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hostile.age")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listed returns files with a manifest that fits them.
func listed(list []entry, change func(*Manifest)) []entry {
	m := Manifest{Format: Format}
	for _, e := range list {
		sum := sha256.Sum256([]byte(e.content))
		m.Members = append(m.Members, Member{Name: e.name, Size: int64(len(e.content)), SHA256: hex.EncodeToString(sum[:])})
		if isKeyFile(e.name) {
			m.Counts.Keys++
		}
		for line := range strings.Lines(e.content) {
			if l, err := parseLine([]byte(line)); err == nil && strings.HasPrefix(e.name, namesDir) {
				m.Counts.add(l)
			}
		}
	}
	if change != nil {
		change(&m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append(slices.Clone(list), entry{name: manifestName, content: string(b)})
}

func TestAHostileTarChangesNothing(t *testing.T) {
	secret := cheap(t)
	r := small(t)
	config, err := os.ReadFile(filepath.Join(string(r), "config"))
	if err != nil {
		t.Fatal(err)
	}
	format, conf := entry{name: "format", content: "1\n"}, entry{name: "config", content: string(config)}
	good := []entry{format, conf}
	if _, err := restore(t, sealed(t, secret, listed(good, nil)), repo.Repo(filepath.Join(t.TempDir(), "new")), secret); err != nil {
		t.Fatalf("a backup made by hand: %v", err)
	}
	with := func(e ...entry) []entry { return listed(append(slices.Clone(good), e...), nil) }
	link := func(to string, kind byte) func(*tar.Header) {
		return func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = kind, to, 0 }
	}
	lines := strings.Split(dump(t, newRepo(t)), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"Record":`) && strings.Contains(l, `"Name":"k51`) })
	if at < 0 {
		t.Fatal("no line has a record")
	}
	name := lines[at]
	for what, list := range map[string][]entry{
		"a path upward":            with(entry{name: "../evil", content: "x"}),
		"a path upward in keys":    with(entry{name: "keystore/../../evil", content: "x"}),
		"an absolute path":         with(entry{name: "/etc/evil", content: "x"}),
		"a database":               with(entry{name: "db/CURRENT", content: "x"}),
		"a hidden key":             with(entry{name: "keystore/.tmp-x", content: "x"}),
		"a key in a folder":        with(entry{name: "keystore/a/b", content: "x"}),
		"a symlink":                with(entry{name: "keystore/key_a", header: link("/etc/passwd", tar.TypeSymlink)}),
		"a hard link":              with(entry{name: "keystore/key_a", header: link("config", tar.TypeLink)}),
		"a folder":                 with(entry{name: "keystore/key_a", header: link("", tar.TypeDir)}),
		"a device":                 with(entry{name: "keystore/key_a", header: link("", tar.TypeChar)}),
		"the config twice":         with(conf),
		"a key twice":              with(entry{name: "keystore/key_a", content: "x"}, entry{name: "keystore/key_a", content: "y"}),
		"a huge key":               append(slices.Clone(good), entry{name: "keystore/key_a", content: "huge", header: func(h *tar.Header) { h.Size = 1 << 40 }}),
		"a key above the limit":    with(entry{name: "keystore/key_a", content: strings.Repeat("x", maxKey+1)}),
		"no manifest":              good,
		"nothing":                  {},
		"no format":                listed([]entry{conf}, nil),
		"the format in the middle": listed([]entry{conf, format}, nil),
		"no config":                listed([]entry{format}, nil),
		"a format that is none":    listed([]entry{{name: "format", content: "one"}, conf}, nil),
		"something behind":         append(with(), entry{name: "keystore/key_a", content: "x"}),
		"another manifest":         listed(good, func(m *Manifest) { m.Members[1].SHA256 = m.Members[0].SHA256 }),
		"a manifest that has more": listed(good, func(m *Manifest) { m.Members = append(m.Members, m.Members[1]) }),
		"other counts":             listed(good, func(m *Manifest) { m.Counts.Names = 7 }),
		"a config that is none":    listed([]entry{format, {name: "config", content: "{"}}, nil),
		"a line that is none":      with(entry{name: "names/000001.jsonl", content: "{}\n"}),
		"a line with more":         with(entry{name: "names/000001.jsonl", content: `{"Pin":{"CID":"x"},"Damage":"y"}` + "\n"}),
		"an unknown field":         with(entry{name: "names/000001.jsonl", content: `{"Other":{}}` + "\n"}),
		"half a line":              with(entry{name: "names/000001.jsonl", content: name[:40]}),
		"a version of no name":     with(entry{name: "names/000001.jsonl", content: `{"Past":{"Record":"","At":"2026-11-20T12:00:00Z"}}` + "\n"}),
		"a record of another name": with(entry{name: "names/000001.jsonl", content: strings.Replace(name, `"Name":"k51`, `"Name":"k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8","Tenant":"k51`, 1) + "\n"}),
		"the same name twice":      with(entry{name: "names/000001.jsonl", content: name + "\n" + name + "\n"}),
	} {
		path := sealed(t, secret, list)
		if strings.Contains(what, "twice") || strings.Contains(what, "path") || strings.Contains(what, "link") {
			refuses(t, what, path, r, secret, nil)
		} else if _, err := readFile(t.Context(), path, secret.Identities, &checker{}); err == nil {
			t.Errorf("%s was read", what)
		}
	}
	for text, want := range map[string]string{"2\n": "of a newer version", "0\n": "the backup has format 0"} {
		err := refuses(t, "format "+text, sealed(t, secret, listed([]entry{{name: "format", content: text}, {name: "future", content: "?"}}, nil)), r, secret, ErrFormat)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("format %s: %v", text, err)
		}
	}
	if list, err := filepath.Glob(filepath.Join(filepath.Dir(string(r)), "*evil*")); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	secret := cheap(t)
	r := newRepo(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(r.Keystore(), "key_nrxw64a")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.Keystore(), "key_mzxwy"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := Source{Repo: r, Names: strings.NewReader(dump(t, r, "damaged: the entry of a name")), Damaged: []string{"read key empty: it is empty"}}
	_, err = Save(t.Context(), path, s, secret)
	for _, what := range []string{loop, "key_mzxwy", "damaged: the entry of a name", "read key empty"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v does not name %s", err, what)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the backup before is not there any more: %v", err)
	}
	s.Names, s.Partial = strings.NewReader(dump(t, r, "damaged: the entry of a name")), true
	saved, err := Save(t.Context(), path, s, secret)
	if err != nil || len(saved.Manifest.Missing) != 4 {
		t.Fatalf("%+v, %v", saved.Manifest.Missing, err)
	}
	res, err := restore(t, path, repo.Repo(filepath.Join(t.TempDir(), "r")), secret)
	if err != nil || len(res.Manifest.Missing) != 4 {
		t.Errorf("%+v, %v", res.Manifest.Missing, err)
	}
}

func TestANodeWithoutItsOwnKeyIsNotBackedUp(t *testing.T) {
	r := newRepo(t)
	c, err := r.Config()
	if err == nil {
		err = r.SetIdentity(repo.Identity{PeerID: c.Identity.PeerID})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Save(t.Context(), filepath.Join(t.TempDir(), "x"), Source{Repo: r, Names: strings.NewReader(dump(t, r))}, cheap(t))
	if err == nil || !strings.Contains(err.Error(), "the node's own key") {
		t.Error(err)
	}
}

func TestACopyThatEndsEarlyIsNoBackup(t *testing.T) {
	r := newRepo(t)
	path := filepath.Join(t.TempDir(), "names.age")
	secret := cheap(t)
	text := dump(t, r)
	for _, n := range []int{0, 10, len(text) / 2, strings.LastIndex(strings.TrimSpace(text), "\n") + 1, len(text) - 1} {
		if _, err := Save(t.Context(), path, Source{Repo: r, Names: strings.NewReader(text[:n])}, secret); err == nil {
			t.Errorf("%d of %d bytes were a backup", n, len(text))
		}
	}
	second := strings.Index(text, "\n") + 1
	if _, err := Save(t.Context(), path, Source{Repo: r, Names: strings.NewReader(text[second:])}, secret); err == nil {
		t.Error("without its first line it was a backup")
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) > 0 {
		t.Errorf("left %v, %v", list, err)
	}
}

// A restore that is interrupted says so, not that the backup is damaged, and a pipe is
// refused: opening it would wait for somebody who writes.
func TestARestoreNeverWaitsForever(t *testing.T) {
	secret, r := cheap(t), small(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, dry := range []bool{false, true} {
		_, err := Restore(ctx, Restoration{Path: path, Secret: secret, Into: repo.Repo(filepath.Join(t.TempDir(), "r")), DryRun: dry, Open: openNames})
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
			t.Errorf("dry %v: %v", dry, err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, pipe, repo.Repo(filepath.Join(t.TempDir(), "r")), secret); err == nil || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Errorf("a pipe: %v", err)
	}
}
