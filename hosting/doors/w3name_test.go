package doors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
)

// Of one record, every door that takes records says the same, each as its protocol says it.
func TestTheSameRecordHasTheSameVerdictAtEveryDoor(t *testing.T) {
	const value = "/ipfs/bafkqaaa"
	other := newAuthor(t)
	for _, c := range []struct {
		what  string
		raw   func(author) []byte
		token string // "" as the table says, else another
		set   func(*hosting.Settings)
		// statuses of PUT /routing/v1 and of POST /name, and what the latter says
		routing, w3 int
		says        string
	}{
		{what: "a record", raw: func(a author) []byte { return a.record(t, 7, value, time.Hour*48) }, routing: 200, w3: 202},
		{what: "the one that is kept", raw: func(a author) []byte { return nil }, routing: 200, w3: 202},
		{what: "an older one", raw: func(a author) []byte { return a.record(t, 4, value, time.Hour*48) }, routing: 409, w3: 400, says: "invalid record: the record is outdated."},
		{what: "an older one with the same sequence", raw: func(a author) []byte { return a.record(t, 5, value, time.Hour*2) }, routing: 409, w3: 400, says: "invalid record: the record is outdated."},
		{what: "one of another name", raw: func(author) []byte { return other.record(t, 9, value, time.Hour*48) }, routing: 400, w3: 400, says: "invalid ipns entry: "},
		{what: "one that has expired", raw: func(a author) []byte { return a.record(t, 9, value, -time.Hour) }, routing: 400, w3: 400, says: "invalid ipns entry: "},
		{what: "one that soon expires", raw: func(a author) []byte { return a.record(t, 9, value, time.Minute) }, set: func(s *hosting.Settings) { s.RefuseShort = true }, routing: 400, w3: 400, says: "invalid ipns entry: "},
		{what: "no record", raw: func(author) []byte { return []byte("x") }, routing: 400, w3: 400, says: "invalid ipns entry: "},
		{what: "a wrong token", raw: func(a author) []byte { return a.record(t, 7, value, time.Hour*48) }, token: "wrong", routing: 401, w3: 401},
		{what: "no token", raw: func(a author) []byte { return a.record(t, 7, value, time.Hour*48) }, token: "none", routing: 401, w3: 401},
		{what: "a token that may only read", raw: func(a author) []byte { return a.record(t, 7, value, time.Hour*48) }, token: "read", routing: 403, w3: 403},
		{what: "one name too many", raw: func(a author) []byte { return a.record(t, 7, value, time.Hour*48) }, token: "small", routing: 429, w3: 429},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, door := range []string{"routing", "w3name"} {
				s := hosting.Settings{Policy: hosting.Token}
				if c.set != nil {
					c.set(&s)
				}
				d := newStand(t, s)
				a := newAuthor(t)
				kept := a.record(t, 5, value, time.Hour*24)
				put := func(token string, name ipns.Name, raw []byte) reply {
					if door == "routing" {
						return d.send("PUT", "/routing/v1/ipns/"+name.String(), token, raw, "Content-Type", ipns.RecordMediaType)
					}
					return d.send("POST", "/name/"+name.String(), token, base64.StdEncoding.EncodeToString(raw))
				}
				if got := put(d.token, a.name, kept); got.status/100 != 2 {
					t.Fatalf("the first record: %d %s", got.status, got.body)
				}
				token := d.token
				switch c.token {
				case "wrong":
					token = "ipnsh_wrong"
				case "none":
					token = ""
				case "read":
					token = d.newToken("ann", hosting.ScopeRead)
				case "small":
					token = d.newToken("bob", hosting.ScopePut)
					must(t, d.host.SetTenant(t.Context(), "bob", hosting.Quota{Names: 1}))
					first := newAuthor(t)
					if got := put(token, first.name, first.record(t, 0, value, time.Hour*48)); got.status/100 != 2 {
						t.Fatalf("%d %s", got.status, got.body)
					}
				}
				raw := c.raw(a)
				if raw == nil {
					raw = kept
				}
				name := a.name
				if c.token == "small" {
					b := newAuthor(t)
					name, raw = b.name, b.record(t, 7, value, time.Hour*48)
				}
				got := put(token, name, raw)
				want := c.routing
				if door == "w3name" {
					want = c.w3
				}
				if got.status != want {
					t.Errorf("%s: %d %s, want %d", door, got.status, got.body, want)
				}
				if want == 429 && got.head.Get("Retry-After") == "" {
					t.Errorf("%s: it does not say when to come again", door)
				}
				if door == "routing" && want == 409 && !bytes.Equal(got.body, kept) {
					t.Error("the newer record is not in the answer")
				}
				if door == "w3name" && want != 202 {
					var said w3Said
					got.into(t, &said)
					if !strings.HasPrefix(said.Message, c.says) || said.Message == "" {
						t.Errorf("it says %q", said.Message)
					}
				}
				// What is kept is the same at both doors.
				want7 := want/100 == 2 && bytes.Contains(raw, kept) == false && c.token == ""
				now := kept
				if want7 {
					now = raw
				}
				var shown w3Record
				d.send("GET", "/name/"+a.name.String(), "", nil).into(t, &shown)
				if shown.Record != base64.StdEncoding.EncodeToString(now) || shown.Value != value {
					t.Errorf("%s: kept is another record: %+v", door, shown)
				}
				if got := d.send("GET", "/routing/v1/ipns/"+a.name.String(), "", nil, "Accept", ipns.RecordMediaType); !bytes.Equal(got.body, now) {
					t.Errorf("%s: routing shows another record: %d %q", door, got.status, got.body)
				}
			}
		})
	}
}

func TestW3NameWorksWithoutTokenWhereThePolicyAllows(t *testing.T) {
	a := newAuthor(t)
	body := base64.StdEncoding.EncodeToString(a.record(t, 1, "/ipfs/bafkqaaa", 48*time.Hour))
	for _, c := range []struct {
		set  hosting.Settings
		want int
	}{
		{hosting.Settings{Policy: hosting.Open}, 202},
		{hosting.Settings{Policy: hosting.Allow, Allow: map[ipns.Name]bool{a.name: true}}, 202},
		{hosting.Settings{Policy: hosting.Allow}, 401},
		{hosting.Settings{Policy: hosting.Token}, 401},
	} {
		if got := newStand(t, c.set).send("POST", "/name/"+a.name.String(), "", body); got.status != c.want {
			t.Errorf("%+v: %d %s", c.set, got.status, got.body)
		}
	}
}

func TestW3NameRefusesWhatIsNoRequest(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	a := newAuthor(t)
	path := "/name/" + a.name.String()
	raw := a.record(t, 1, "/ipfs/bafkqaaa", 48*time.Hour)
	for what, c := range map[string]struct {
		method, path string
		body         any
		want         int
	}{
		"an unknown name":    {"GET", path, nil, 404},
		"a key that is none": {"GET", "/name/nope", nil, 400},
		"a CID of content":   {"POST", "/name/bafkqaaa", "x", 400},
		"a long key":         {"GET", "/name/" + strings.Repeat("k", 5000), nil, 400},
		"no body":            {"POST", path, nil, 400},
		"no base64":          {"POST", path, "%%%", 400},
		"raw bytes":          {"POST", path, raw, 400},
		"a huge body":        {"POST", path, strings.Repeat("A", 1<<20), 413},
		"another method":     {"PUT", path, "x", 405},
		"another path":       {"GET", "/name/", nil, 404},
	} {
		if got := d.send(c.method, c.path, d.token, c.body); got.status != c.want {
			t.Errorf("%s: %d %s, want %d", what, got.status, got.body, c.want)
		}
	}
	// As its client sends it, and without padding or with a line break.
	text := base64.StdEncoding.EncodeToString(raw)
	for _, body := range []string{text, strings.TrimRight(text, "="), text + "\n"} {
		got := d.send("POST", path, d.token, body, "Content-Type", "text/plain;charset=UTF-8")
		var said w3Said
		got.into(t, &said)
		if got.status != http.StatusAccepted || said.ID != a.name.String() {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// A name on the deny list is neither taken nor shown.
func TestADeniedNameIsNotShown(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	a := newAuthor(t)
	body := base64.StdEncoding.EncodeToString(a.record(t, 1, "/ipfs/bafkqaaa", 48*time.Hour))
	d.send("POST", "/name/"+a.name.String(), d.token, body)
	_, err := d.host.Deny(t.Context(), a.name.String(), "phishing")
	must(t, err)
	for _, method := range []string{"GET", "POST"} {
		if got := d.send(method, "/name/"+a.name.String(), d.token, body); got.status != 403 || !strings.Contains(string(got.body), "phishing") {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	if _, status := d.watching(a.name.String(), ""); status != 403 {
		t.Errorf("watch: %d", status)
	}
}

// The other spellings of a name are the same name.
func TestW3NameTakesANameInEverySpelling(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	a := newAuthor(t)
	body := base64.StdEncoding.EncodeToString(a.record(t, 1, "/ipfs/bafkqaaa", 48*time.Hour))
	if got := d.send("POST", "/name/"+a.name.PeerID().String(), d.token, body); got.status != http.StatusAccepted {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.send("GET", "/name/"+a.name.String(), "", nil); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// watching is what a client gets by WebSocket.
func (d *stand) watching(key, token string) (next func() w3Record, status int) {
	d.Helper()
	head := http.Header{}
	if token != "" {
		head.Set("Authorization", "Bearer "+token)
	}
	conn, resp, err := websocket.Dial(d.Context(), strings.Replace(d.URL, "http", "ws", 1)+"/name/"+key+"/watch", &websocket.DialOptions{HTTPHeader: head})
	if err != nil {
		if resp == nil {
			d.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	d.Cleanup(func() { _ = conn.CloseNow() })
	return func() (got w3Record) {
		d.Helper()
		_, b, err := conn.Read(d.Context())
		must(d.T, err)
		must(d.T, json.Unmarshal(b, &got))
		return got
	}, resp.StatusCode
}

// Whatever door a record comes by, who watches its name gets it, once and in order.
func TestW3NameIsWatched(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	a, b := newAuthor(t), newAuthor(t)
	next, status := d.watching(a.name.String(), "")
	all, statusOfAll := d.watching("*", d.token)
	if status != 101 || statusOfAll != 101 {
		t.Fatalf("%d, %d", status, statusOfAll)
	}
	var want []string
	for seq := range uint64(4) {
		raw := a.record(t, seq, "/ipfs/"+oneCID, 48*time.Hour)
		if seq%2 == 0 {
			d.send("POST", "/name/"+a.name.String(), d.token, base64.StdEncoding.EncodeToString(raw))
		} else {
			d.send("PUT", "/routing/v1/ipns/"+a.name.String(), d.token, raw, "Content-Type", ipns.RecordMediaType)
		}
		text := base64.StdEncoding.EncodeToString(raw)
		if got := next(); got.Key != a.name.String() || got.Record != text || got.Value != "/ipfs/"+oneCID {
			t.Errorf("of sequence %d: %+v", seq, got)
		}
		want = append(want, text)
	}
	other := base64.StdEncoding.EncodeToString(b.record(t, 1, "/ipfs/"+oneCID, 48*time.Hour))
	d.send("POST", "/name/"+b.name.String(), d.token, other)
	seen := map[string]bool{}
	for !seen[other] {
		seen[all().Record] = true
	}
	if !seen[want[3]] {
		t.Error("who watches all names missed one")
	}
	for key, token := range map[string]string{"*": "", "nope": "", a.name.String(): "wrong"} {
		want := map[string]int{"*": 401, "nope": 400, a.name.String(): 401}[key]
		if _, status := d.watching(key, token); status != want {
			t.Errorf("%s: %d", key, status)
		}
	}
	if got := d.send("GET", "/name/"+a.name.String()+"/watch", "", nil); got.status != 400 {
		t.Errorf("without a WebSocket: %d %s", got.status, got.body)
	}
}
