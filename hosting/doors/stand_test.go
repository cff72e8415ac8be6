package doors

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/pins"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/watch"
)

// stand is a server of all doors over stores in memory. Nobody else is on its network.
type stand struct {
	*testing.T
	*httptest.Server
	host    *hosting.Host
	keys    *keystore.Keyring
	pins    *pins.Pins
	shelf   *shelf
	options Options
	token   string // of the tenant ann, which may do everything
}

// newStand returns a stand with a policy, and quotas where the defaults do not do.
func newStand(t *testing.T, s hosting.Settings) *stand {
	t.Helper()
	store, err := keystore.Open(t.TempDir())
	must(t, err)
	self, err := ipns.GenerateKey(ipns.Ed25519, 0)
	must(t, err)
	name, err := ipns.NameOf(self.GetPublic())
	must(t, err)
	d := &stand{T: t, keys: keystore.NewKeyring(store, name, self), shelf: &shelf{there: map[cid.Cid]bool{}, pins: map[cid.Cid]string{}}}
	book := &names.Book{Store: recordstore.NewMemory()}
	d.keys.Begin = book.Create
	rows := &recordstore.MemoryRows{}
	d.host = &hosting.Host{
		Book: book, Rows: rows, Opener: &routing.Opener{},
		Keys: d.keys, Publisher: &publisher.Publisher{Book: book, Router: nobody{}}, Encrypted: func() bool { return true },
	}
	book.Forgotten = d.host.Forgotten
	if s.Policy == "" {
		s.Policy = hosting.Token
	}
	d.host.Set(s)
	d.pins = &pins.Pins{Rows: rows, Content: d.shelf, Self: name.PeerID(), Limit: func(ctx context.Context, tenant string) (uint64, error) {
		tn, err := d.host.Tenant(ctx, tenant)
		return uint64(tn.Quota.PinnedBytes), err
	}}
	must(t, d.pins.Load(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = d.pins.Run(ctx) })
	d.options = Options{
		Host: d.host, Pins: d.pins,
		Names: &watch.Names{Book: book},
	}
	d.Server = httptest.NewServer(New(d.options))
	t.Cleanup(func() {
		d.Close()
		cancel()
		running.Wait()
		must(t, d.host.Publisher.Close(context.WithoutCancel(ctx)))
	})
	d.token = d.newToken("ann", hosting.ScopePut, hosting.ScopePublish+"*")
	must(t, d.host.SetTenant(t.Context(), "ann", hosting.Quota{PinnedBytes: 1 << 20}))
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (d *stand) newToken(tenant string, scopes ...hosting.Scope) string {
	d.Helper()
	token, _, err := d.host.NewToken(d.Context(), tenant, scopes, 0)
	must(d.T, err)
	return token
}

// reply is an answer of the server.
type reply struct {
	status int
	head   http.Header
	body   []byte
}

// into reads the JSON of a reply.
func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
}

// send sends a request with a token ("": none) and a body, which is JSON unless it is bytes.
func (d *stand) send(method, path, token string, body any, heads ...string) reply {
	d.Helper()
	var b []byte
	switch v := body.(type) {
	case nil:
	case []byte:
		b = v
	case string:
		b = []byte(v)
	default:
		var err error
		b, err = json.Marshal(v)
		must(d.T, err)
	}
	r, err := http.NewRequestWithContext(d.Context(), method, d.URL+path, bytes.NewReader(b))
	must(d.T, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(heads); i += 2 {
		r.Header.Set(heads[i], heads[i+1])
	}
	resp, err := d.Client().Do(r)
	must(d.T, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(d.T, err)
	checkAnswer(d.T, method, path, resp, got)
	return reply{resp.StatusCode, resp.Header, got}
}

// author makes records of one name.
type author struct {
	signer ipns.Signer
	name   ipns.Name
}

func newAuthor(t testing.TB) author {
	t.Helper()
	k := recordstoretest.NewKey(t)
	return author{k.Signer, k.Name}
}

func (a author) record(t testing.TB, seq uint64, value string, life time.Duration) []byte {
	t.Helper()
	rec, err := ipns.Sign(context.Background(), a.signer, ipns.Fields{Value: value, Sequence: seq, EOL: time.Now().Add(life)}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Raw()
}

// nobody is a network that has no record of any name, and takes each.
type nobody struct{}

func (nobody) Put(context.Context, *ipns.Record, routing.Look) iter.Seq2[routing.Ack, error] {
	return func(func(routing.Ack, error) bool) {}
}

func (nobody) Search(context.Context, ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) { yield(routing.Answer{}, nil) }
}

// shelf is content that is there at once, or never.
type shelf struct {
	mu    sync.Mutex
	there map[cid.Cid]bool
	pins  map[cid.Cid]string
}

func (s *shelf) Fetch(ctx context.Context, c cid.Cid) error {
	s.mu.Lock()
	there := s.there[c]
	s.mu.Unlock()
	if there {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *shelf) Pin(_ context.Context, c cid.Cid, _ content.PinType, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins[c] = name
	return nil
}

func (s *shelf) Unpin(_ context.Context, c cid.Cid, _ content.PinType) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pins, c)
	return nil
}

func (s *shelf) PinOf(_ context.Context, c cid.Cid, _ content.PinType) (content.Pin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.pins[c]
	if !ok {
		return content.Pin{}, content.ErrNotPinned
	}
	return content.Pin{CID: c, Name: name}, nil
}

func (s *shelf) Pins(context.Context, content.PinType) iter.Seq2[content.Pin, error] {
	return func(func(content.Pin, error) bool) {}
}
