package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	boxoipns "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/routing/http/client"
	"github.com/ipfs/boxo/routing/http/server"
	"github.com/ipfs/boxo/routing/http/types"
	boxoiter "github.com/ipfs/boxo/routing/http/types/iter"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
	"github.com/goipns/ipns/routing/routingtest"
)

// world is what both servers know.
type world struct {
	mu      sync.Mutex
	records map[string]*ipns.Record // by name
	peers   []peer.AddrInfo
}

func newWorld(t *testing.T) *world {
	w := &world{records: map[string]*ipns.Record{}}
	for i := range 30 {
		id, err := peer.IDFromPublicKey(routingtest.NewKey(t).GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		p := peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/8.8.8.8/tcp/%d", i+1))}}
		if i%2 == 0 {
			p.Addrs = append(p.Addrs, ma.StringCast("/ip4/8.8.8.8/udp/1/quic-v1/webtransport"))
		}
		w.peers = append(w.peers, p)
	}
	return w
}

func (w *world) get(name string) *ipns.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records[name]
}

// put returns what is newer than the record, if there is such a one.
func (w *world) put(rec *ipns.Record) *ipns.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.records[rec.Name().String()]; old != nil && ipns.Compare(old, rec) > 0 {
		return old
	}
	w.records[rec.Name().String()] = rec
	return nil
}

// ours is the world behind our handler.
func (w *world) ours() http.Handler {
	found := func(list []peer.AddrInfo) iter.Seq2[peer.AddrInfo, error] {
		return func(yield func(peer.AddrInfo, error) bool) {
			for _, p := range list {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
	return &delegated.Handler{
		Opener: new(routing.Opener),
		Find: func(_ context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
			if rec := w.get(name.String()); rec != nil {
				return rec, time.Now(), nil
			}
			return nil, time.Time{}, delegated.ErrNotFound
		},
		Take: func(_ *http.Request, rec *ipns.Record) error {
			if newer := w.put(rec); newer != nil {
				return &delegated.NewerError{Current: newer}
			}
			return nil
		},
		Providers: func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] { return found(w.peers) },
		Peer:      func(context.Context, peer.ID) iter.Seq2[peer.AddrInfo, error] { return found(w.peers[:1]) },
		Closest:   func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] { return found(w.peers[:20]) },
	}
}

// boxos is the world behind boxo's server.
type boxos struct{ *world }

func (b boxos) GetIPNS(_ context.Context, name boxoipns.Name) (*boxoipns.Record, error) {
	rec := b.get(name.String())
	if rec == nil {
		return nil, corerouting.ErrNotFound
	}
	return boxoipns.UnmarshalRecord(rec.Raw())
}

func (b boxos) PutIPNS(_ context.Context, name boxoipns.Name, record *boxoipns.Record) error {
	raw, err := boxoipns.MarshalRecord(record)
	if err != nil {
		return err
	}
	n, err := ipns.ParseName(name.String())
	if err != nil {
		return err
	}
	rec, err := ipns.Open(n, raw, time.Now())
	if err == nil && b.put(rec) != nil {
		err = errors.New("older")
	}
	return err
}

func (b boxos) FindProviders(context.Context, cid.Cid, int) (boxoiter.ResultIter[types.Record], error) {
	var list []boxoiter.Result[types.Record]
	for _, p := range b.peers {
		list = append(list, boxoiter.Result[types.Record]{Val: boxoPeer(p)})
	}
	return boxoiter.FromSlice(list), nil
}

func (b boxos) FindPeers(context.Context, peer.ID, int) (boxoiter.ResultIter[*types.PeerRecord], error) {
	return boxoPeers(b.peers[:1]), nil
}

func (b boxos) GetClosestPeers(context.Context, cid.Cid) (boxoiter.ResultIter[*types.PeerRecord], error) {
	return boxoPeers(b.peers[:20]), nil
}

//lint:ignore SA1019 the interface has it
func (b boxos) ProvideBitswap(context.Context, *server.BitswapWriteProvideRequest) (time.Duration, error) {
	return 0, errors.New("not supported")
}

func boxoPeer(p peer.AddrInfo) *types.PeerRecord {
	rec := &types.PeerRecord{Schema: types.SchemaPeer, ID: &p.ID}
	for _, a := range p.Addrs {
		rec.Addrs = append(rec.Addrs, types.Multiaddr{Multiaddr: a})
	}
	return rec
}

func boxoPeers(ps []peer.AddrInfo) boxoiter.ResultIter[*types.PeerRecord] {
	var list []boxoiter.Result[*types.PeerRecord]
	for _, p := range ps {
		list = append(list, boxoiter.Result[*types.PeerRecord]{Val: boxoPeer(p)})
	}
	return boxoiter.FromSlice(list)
}

// pair is both servers of one world.
func pair(t *testing.T, w *world) (ours, boxo *httptest.Server) {
	ours = httptest.NewServer(w.ours())
	boxo = httptest.NewServer(server.Handler(boxos{w}, server.WithPrometheusRegistry(prometheus.NewRegistry())))
	t.Cleanup(ours.Close)
	t.Cleanup(boxo.Close)
	return ours, boxo
}

// texts are the peers of an answer, as text.
func texts[T any](it boxoiter.ResultIter[T], err error) (list []string) {
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	defer it.Close()
	for it.Next() {
		v := it.Val()
		if v.Err != nil {
			return append(list, "error: "+v.Err.Error())
		}
		p, ok := any(v.Val).(*types.PeerRecord)
		if !ok {
			return append(list, fmt.Sprintf("no peer: %T", v.Val))
		}
		list = append(list, fmt.Sprintf("%s %s %s %s", p.Schema, p.ID, p.Addrs, p.Protocols))
	}
	return list
}

// T-40, T-43, T-50 to T-53, T-60: boxo's client gets from our server what it gets from boxo's, by every
// call that it has.
func TestBoxosClientGetsTheSameFromBothServers(t *testing.T) {
	w := newWorld(t)
	ours, boxo := pair(t, w)
	key := routingtest.NewKey(t)
	var recs []*boxoipns.Record
	for i := range uint64(3) {
		rec, err := boxoipns.UnmarshalRecord(routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: i}).Raw())
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
	id, err := peer.IDFromPublicKey(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	name, nobodys := boxoipns.NameFromPeer(id), boxoipns.NameFromPeer(w.peers[0].ID)
	content := cid.MustParse("bafkqaaa")
	for _, options := range [][]client.Option{
		nil,
		{client.WithStreamResultsRequired()},
		{client.WithProtocolFilter([]string{"unknown", "transport-bitswap"}), client.WithAddrFilter([]string{"webtransport", "!tcp"})},
		{client.WithProtocolFilter([]string{"transport-bitswap"}), client.WithDisabledLocalFiltering(true)},
		{client.WithAddrFilter([]string{"tcp", "unknown"}), client.WithDisabledLocalFiltering(true), client.WithStreamResultsRequired()},
	} {
		var got [2][][]string
		for i, url := range []string{ours.URL, boxo.URL} {
			c, err := client.New(url, options...)
			if err != nil {
				t.Fatal(err)
			}
			providers, err := c.FindProviders(t.Context(), content)
			got[i] = append(got[i], texts(providers, err))
			peers, err := c.FindPeers(t.Context(), id)
			got[i] = append(got[i], texts(peers, err))
			closest, err := c.GetClosestPeers(t.Context(), content)
			got[i] = append(got[i], texts(closest, err))
		}
		for i, call := range []string{"FindProviders", "FindPeers", "GetClosestPeers"} {
			if !slices.Equal(got[0][i], got[1][i]) || strings.Contains(strings.Join(got[0][i], ""), "error:") {
				t.Errorf("%s: ours\n%q\nboxo's\n%q", call, got[0][i], got[1][i])
			}
		}
		if n := len(got[0][2]); n != 20 {
			t.Errorf("%d closest peers: %q", n, got[0][2])
		}
	}
	for what, url := range map[string]string{"ours": ours.URL, "boxo's": boxo.URL} {
		clear(w.records)
		c, err := client.New(url, client.WithIdentity(key), client.WithProviderInfo(id, nil))
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := c.GetIPNS(t.Context(), name); !errors.Is(err, corerouting.ErrNotFound) {
			t.Errorf("%s: nothing was put: %v, %v", what, rec, err)
		}
		for _, seq := range []int{1, 1, 2} {
			if err := c.PutIPNS(t.Context(), name, recs[seq]); err != nil {
				t.Errorf("%s: put sequence %d: %v", what, seq, err)
			}
		}
		rec, err := c.GetIPNS(t.Context(), name)
		if err != nil {
			t.Errorf("%s: get: %v", what, err)
		} else if raw, _ := boxoipns.MarshalRecord(rec); !bytes.Equal(raw, w.get(name.String()).Raw()) {
			t.Errorf("%s: got another record than was put", what)
		}
		if err := c.PutIPNS(t.Context(), name, recs[0]); err == nil {
			t.Errorf("%s: an older record was taken", what)
		}
		if err := c.PutIPNS(t.Context(), nobodys, recs[2]); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("%s: a record of another name: %v", what, err)
		}
		//lint:ignore SA1019 clients still have it
		if _, err := c.ProvideBitswap(t.Context(), []cid.Cid{content}, time.Hour); err == nil {
			t.Errorf("%s: providing is not supported", what)
		}
	}
}

// T-60: our client gets from boxo's server what it gets from ours.
func TestOurClientGetsTheSameFromBothServers(t *testing.T) {
	w := newWorld(t)
	ours, boxo := pair(t, w)
	key := routingtest.NewKey(t)
	older := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa"})
	newer := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1})
	for what, url := range map[string]string{"ours": ours.URL, "boxo's": boxo.URL} {
		clear(w.records)
		c, err := delegated.New(delegated.Config{URL: url, Opener: new(routing.Opener)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if rec, err := c.Get(t.Context(), newer.Name()); rec != nil || err != nil {
			t.Errorf("%s: nothing was put: %v, %v", what, rec, err)
		}
		for _, step := range []struct {
			rec  *ipns.Record
			took bool
		}{{newer, true}, {newer, true}, {older, false}} {
			for ack, err := range c.Put(t.Context(), step.rec, routing.Look{}) {
				if err != nil || (ack.Err == nil) != step.took {
					t.Errorf("%s: put sequence %d: %+v, %v", what, step.rec.Sequence(), ack, err)
				}
			}
		}
		if rec, err := c.Get(t.Context(), newer.Name()); err != nil || rec == nil || rec.Sequence() != 1 {
			t.Errorf("%s: get: %v, %v", what, rec, err)
		}
	}
}

// Where the statuses of both servers differ, there is a reason.
func TestBothServersAnswerWithTheSameStatus(t *testing.T) {
	w := newWorld(t)
	ours, boxo := pair(t, w)
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa", TTL: time.Minute})
	none := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	name := path + rec.Name().String()
	const kind, id = ipns.RecordMediaType, "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	long := strings.Repeat("x", ipns.MaxRecordSize+1)
	for _, c := range []struct {
		method, path, accept, kind, body string
		ours, boxo                       int
		reason                           string
	}{
		{"PUT", name, "", kind, string(rec.Raw()), 200, 200, ""},
		{"PUT", name, "", "text/plain", string(rec.Raw()), 406, 406, ""},
		{"PUT", name, "", "", string(rec.Raw()), 406, 406, ""},
		{"PUT", name, "", kind, "junk", 400, 400, ""},
		{"PUT", name, "", kind, "", 400, 400, ""},
		{"PUT", name, "", kind, string(none.Raw()), 400, 400, ""},
		{"PUT", path + "bafkqaaa", "", kind, string(rec.Raw()), 400, 400, ""},
		{"PUT", name, "", kind, long, 413, 400, "R-60: what is too long is refused, not truncated and then found to be invalid"},
		{"GET", name, "", "", "", 200, 200, ""},
		{"GET", name, "*/*", "", "", 200, 200, ""},
		{"GET", name, kind, "", "", 200, 200, ""},
		{"GET", name, "text/html", "", "", 406, 406, ""},
		{"GET", path + none.Name().String(), "", "", "", 200, 200, ""},
		{"GET", path + "nope", "", "", "", 400, 400, ""},
		{"GET", path + "bafkqaaa", "", "", "", 400, 400, ""},
		{"GET", path + id, "", "", "", 200, 400, "T-40: base58 is a name too"},
		{"HEAD", name, "", "", "", 200, 405, "T-45: HEAD mirrors GET"},
		{"OPTIONS", name, "", "", "", 204, 405, "T-47: preflight must be answered"},
		{"POST", name, "", "", "", 405, 405, ""},
		{"DELETE", name, "", "", "", 405, 405, ""},
		{"GET", "/routing/v1/nope", "", "", "", 501, 404, "T-45: below the API what is unknown is not supported"},
		{"GET", "/nope", "", "", "", 404, 404, ""},
		{"GET", "/routing/v1/providers/bafkqaaa", "", "", "", 200, 200, ""},
		{"GET", "/routing/v1/providers/bafkqaaa", "application/x-ndjson", "", "", 200, 200, ""},
		{"GET", "/routing/v1/providers/bafkqaaa", "text/html", "", "", 406, 400, "the same as for names"},
		{"GET", "/routing/v1/providers/nope", "", "", "", 400, 400, ""},
		{"GET", "/routing/v1/peers/" + id, "", "", "", 200, 200, ""},
		{"GET", "/routing/v1/peers/" + none.Name().String(), "", "", "", 200, 200, ""},
		{"GET", "/routing/v1/peers/nope", "", "", "", 400, 400, ""},
		{"GET", "/routing/v1/dht/closest/peers/" + id, "", "", "", 200, 200, ""},
		{"GET", "/routing/v1/dht/closest/peers/bafkqaaa", "", "", "", 200, 200, ""},
		{"GET", "/routing/v1/dht/closest/peers/nope", "", "", "", 400, 400, ""},
	} {
		if (c.ours == c.boxo) != (c.reason == "") {
			t.Fatalf("%s %s: a reason is for a difference", c.method, c.path)
		}
		for url, want := range map[string]int{ours.URL: c.ours, boxo.URL: c.boxo} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for header, value := range map[string]string{"Accept": c.accept, "Content-Type": c.kind} {
				if value != "" {
					req.Header.Set(header, value)
				}
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s %s (%s): %d, want %d; ours: %v", c.method, c.path, c.reason, resp.StatusCode, want, url == ours.URL)
			}
		}
	}
}
