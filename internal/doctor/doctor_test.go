package doctor

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/contenthash"
	"github.com/goipns/ipns/internal/dnslink"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func newName(t *testing.T) ipns.Name {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// well are facts of a name with which nothing is wrong.
func well(name ipns.Name) Facts {
	record := &check.Record{Sequence: 7, Value: "/ipfs/a", EOL: now.Add(40 * time.Hour)}
	return Facts{
		Now: now, Path: "/repo",
		Names: []Name{{
			Key: "blog", Name: name, Record: &Record{7, "/ipfs/a", now.Add(40 * time.Hour)}, Announced: now.Add(-time.Hour), Holders: 20,
			Outside: &check.Report{OK: true, Newest: record, Sources: []check.Source{{Record: record}}},
		}},
		Machine: Machine{Newest: now, Free: 1 << 40, Descriptors: 1 << 20},
		Fetch:   "anyone", Reachability: "public",
		Domains:      []dnslink.Report{{Domain: "example.com", Value: name.Path() + "/docs"}, {Domain: "example.org", Value: "/ipns/" + name.PeerID().String()}},
		Contenthashs: []string{contenthash.Hex(contenthash.Encode(name))},
	}
}

// Each line changes one fact, and wants one finding.
func TestEachTroubleIsFoundAndSaysWhatMendsIt(t *testing.T) {
	name, other := newName(t), newName(t)
	off := -5 * time.Minute
	for what, test := range map[string]struct {
		change func(*Facts)
		check  string
		note   bool
		found  string
	}{
		"a Kubo that runs":     {func(f *Facts) { f.Closed = errors.New("running") }, "kubo", false, "running"},
		"a damaged key":        {func(f *Facts) { f.Names = append(f.Names, Name{Key: "bad", Err: "torn"}) }, "key", false, "torn"},
		"a signer away":        {func(f *Facts) { f.Names[0].Signer = "no one listens" }, "signer", false, "cannot sign: no one listens"},
		"a readable key":       {func(f *Facts) { f.Open = []File{{"/repo/keystore/key_a", 0o644}} }, "files", false, "0644"},
		"an expired record":    {func(f *Facts) { f.Names[0].Record.EOL = now }, "record", false, "sequence 7, expired 2026-11-28T12:00:00Z"},
		"a record at risk":     {func(f *Facts) { f.Names[0].Record.EOL = now.Add(time.Hour) }, "record", false, "ends"},
		"an unused key":        {func(f *Facts) { f.Names = append(f.Names, Name{Key: "new", Name: other}) }, "record", true, "nothing was published"},
		"never announced":      {func(f *Facts) { f.Names[0].Announced = time.Time{} }, "announced", false, "never"},
		"announced to few":     {func(f *Facts) { f.Names[0].LastError = "3 of 20" }, "announced", false, "3 of 20"},
		"no network":           {func(f *Facts) { f.Unheard = errors.New("none reached") }, "outside", false, "none reached"},
		"an unreachable name":  {func(f *Facts) { f.Names[0].Outside = &check.Report{Verdict: "nobody has it"} }, "outside", false, "unreachable: nobody has it"},
		"stale answers":        {func(f *Facts) { f.Names[0].Outside.OK, f.Names[0].Outside.Verdict = false, "3 an older record" }, "outside", false, "stale answers, here is sequence 7: 3 an older record"},
		"older outside":        {func(f *Facts) { f.Names[0].Record.Sequence = 8 }, "outside", false, "here is sequence 8"},
		"a lower one here":     {func(f *Facts) { f.Names[0].Record.Sequence = 6 }, "outside", false, "others have sequence 7, here is sequence 6"},
		"a rival":              {func(f *Facts) { f.Names[0].Rivals = true }, "writers", false, "another holder"},
		"another value":        {func(f *Facts) { f.Names[0].Record.Value = "/ipfs/b" }, "writers", false, "another holder"},
		"a wrong clock":        {func(f *Facts) { f.Off = &off }, "clock", false, "-5m0s"},
		"files of the future":  {func(f *Facts) { f.Newest = now.Add(time.Hour) }, "clock", false, "later than now"},
		"a full disk":          {func(f *Facts) { f.Free = 1 << 20 }, "disk", false, "1.0 MiB"},
		"a port that is taken": {func(f *Facts) { f.Busy = []string{"/ip4/0.0.0.0/tcp/4001"} }, "ports", false, "another program"},
		"few descriptors":      {func(f *Facts) { f.Descriptors = 1024 }, "descriptors", false, "1024"},
		"a NAT":                {func(f *Facts) { f.Fetch, f.Reachability = "punched", "private: names work" }, "nat", false, "can connect to this node: private"},
		"a symmetric NAT":      {func(f *Facts) { f.Fetch, f.Reachability = "public", "private: names work" }, "nat", false, "can connect to this node: private"},
		"no DNSLink":           {func(f *Facts) { f.Domains[0].Value, f.Domains[0].Findings = "", []string{"it has no DNSLink"} }, "dnslink", false, "no DNSLink"},
		"a fixed DNSLink":      {func(f *Facts) { f.Domains[0].Value = "/ipfs/bafkqaaa" }, "dnslink", true, "/ipfs/bafkqaaa"},
		"a foreign DNSLink":    {func(f *Facts) { f.Domains[0].Value = other.Path() }, "dnslink", false, other.String()},
		"no contenthash":       {func(f *Facts) { f.Contenthashs[0] = "0x12" }, "ens", false, "no contenthash"},
		"a foreign one":        {func(f *Facts) { f.Contenthashs[0] = contenthash.Hex(contenthash.Encode(other)) }, "ens", false, other.String()},
		"a fixed one": {func(f *Facts) {
			f.Contenthashs[0] = "0xe3010170122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f"
		}, "ens", true, "ipfs://"},
	} {
		f := well(name)
		test.change(&f)
		all := without(Examine(f))
		if len(all) != 1 {
			t.Errorf("%s: %+v", what, all)
			continue
		}
		got := all[0]
		if got.Check != test.check || got.Note != test.note || !strings.Contains(got.Found, test.found) || got.Subject == "" || got.Means == "" || got.Mend == "" {
			t.Errorf("%s: %+v", what, got)
		}
		text := Text(all)
		for _, part := range []string{got.Check, got.Subject, got.Found, got.Means, got.Mend} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q is not in the text:\n%s", what, part, text)
			}
		}
		if wrong := Wrong(all) > 0; wrong == test.note || wrong == strings.Contains(text, "nothing is wrong") {
			t.Errorf("%s: wrong is %v, and the text says\n%s", what, wrong, text)
		}
	}
}

// without leaves the note away that is always there.
func without(all []Finding) []Finding {
	var rest []Finding
	for _, f := range all {
		if !(f.Note && f.Check == "files") {
			rest = append(rest, f)
		}
	}
	return rest
}

func TestNothingIsWrongWithWhatIsWell(t *testing.T) {
	in := well(newName(t))
	if all := Examine(in); len(all) > 0 {
		t.Errorf("found, with encrypted keys, %+v", all)
	}
	in.InClear = true
	all := Examine(in)
	if rest := without(all); len(rest) > 0 || len(all) != 1 || Wrong(all) != 0 {
		t.Errorf("found %+v", all)
	}
	if rest := without(Examine(Facts{Now: now, Path: "/repo", Kubo: true})); len(rest) > 0 {
		t.Errorf("found, knowing nothing, %+v", rest)
	}
}

func TestLookSeesModesAndPorts(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"config", "keystore/key_a", "keystore/key_b"} {
		if err := os.MkdirAll(filepath.Join(dir, "keystore"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "keystore/key_b"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, err := listen(t)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Look(dir, []string{l, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/4001/quic-v1", "", "nonsense"})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Open) != 1 || m.Open[0].Path != filepath.Join(dir, "keystore/key_b") || m.Open[0].Mode != 0o640 {
		t.Errorf("open: %v", m.Open)
	}
	if len(m.Busy) != 1 || m.Busy[0] != l {
		t.Errorf("busy: %v, want %s", m.Busy, l)
	}
	if m.Free == 0 || m.Descriptors == 0 || m.Newest.IsZero() {
		t.Errorf("looked and saw %+v", m)
	}
	if _, err := Look(filepath.Join(dir, "nowhere"), nil); err == nil {
		t.Error("a folder that is not there was seen")
	}
}

// listen takes a port, and returns its multiaddr.
func listen(t *testing.T) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "/ip4/127.0.0.1/tcp/" + port, err
}

func TestTheClockOfAServerIsCompared(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	}))
	defer s.Close()
	off := ClockOff(t.Context(), s.URL)
	if off == nil || *off > -59*time.Minute {
		t.Errorf("off by %v", off)
	}
	s.Close()
	if off := ClockOff(t.Context(), s.URL); off != nil {
		t.Errorf("a server that is gone says %v", off)
	}
}
