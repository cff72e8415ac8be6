package delegated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits of an answer with peers.
const (
	maxPeers    = 20   // in one JSON document, as clients expect
	maxStreamed = 1000 // in a stream
	maxFilters  = 64   // elements of one filter

	maxLookups  = 128 // of peers, at once
	lookupAgain = 5 * time.Second
)

// limited lets as many lookups of peers go on at once as there may be: each of them
// asks dozens of servers.
func (h *Handler) limited(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer h.looking.Add(-1)
		if h.looking.Add(1) > maxLookups {
			fail(w, &LimitError{lookupAgain, errors.New("too many lookups at once")})
			return
		}
		serve(w, r)
	}
}

// peerRecord is a peer as the API writes one.
type peerRecord struct {
	Schema    string
	ID        peer.ID
	Addrs     []ma.Multiaddr
	Protocols []string
}

func (h *Handler) providers(w http.ResponseWriter, r *http.Request) {
	c, err := cid.Decode(strings.TrimPrefix(r.URL.Path, providersPath))
	if err != nil {
		plain(w, http.StatusBadRequest, fmt.Sprintf("unable to parse CID: %v", err))
		return
	}
	ctx, cancel := h.context(r)
	defer cancel()
	writePeers(w, r, "Providers", h.Providers(ctx, c))
}

func (h *Handler) peers(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimPrefix(r.URL.Path, peersPath)
	name, err := parseName(text)
	if err != nil {
		plain(w, http.StatusBadRequest, fmt.Sprintf("unable to parse PeerID %q: %v", text, err))
		return
	}
	ctx, cancel := h.context(r)
	defer cancel()
	writePeers(w, r, "Peers", h.Peer(ctx, name.PeerID()))
}

func (h *Handler) closest(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimPrefix(r.URL.Path, closestPath)
	c, err := cid.Decode(text)
	if err != nil {
		name, nerr := parseName(text) // a peer id in base58
		if nerr != nil {
			plain(w, http.StatusBadRequest, fmt.Sprintf("unable to parse CID or peer ID: %v", err))
			return
		}
		c = name.CID()
	}
	ctx, cancel := h.context(r)
	defer cancel()
	writePeers(w, r, "Peers", h.Closest(ctx, c))
}

// writePeers answers with the peers that the request's filters let through: as one
// JSON document under key, or as a stream of them.
func writePeers(w http.ResponseWriter, r *http.Request, key string, found iter.Seq2[peer.AddrInfo, error]) {
	streams := accepts(r.Header, ndjsonType) && strings.Contains(strings.Join(r.Header.Values("Accept"), ","), ndjsonType)
	if !streams && !accepts(r.Header, jsonType) {
		plain(w, http.StatusNotAcceptable, "content type in 'Accept' header is not supported, retry with '"+jsonType+"' or '"+ndjsonType+"'")
		return
	}
	f, err := parseFilters(r)
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Vary", "Accept")
	if streams {
		streamPeers(w, r, f.apply(found))
		return
	}
	list := []peerRecord{}
	for p, err := range f.apply(found) {
		if err != nil && len(list) == 0 && !errors.Is(err, ErrNotFound) {
			fail(w, err)
			return
		}
		if err != nil {
			break
		}
		if list = append(list, p); len(list) == maxPeers {
			break
		}
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", cachingOf(len(list)))
	if r.Method == http.MethodHead {
		return
	}
	_ = json.NewEncoder(w).Encode(map[string][]peerRecord{key: list}) // the asker may be gone
}

// streamPeers writes a line for each peer as it is found. The first one decides
// about the status.
func streamPeers(w http.ResponseWriter, r *http.Request, found iter.Seq2[peerRecord, error]) {
	n := 0
	start := func() {
		w.Header().Set("Content-Type", ndjsonType)
		w.Header().Set("Cache-Control", cachingOf(n))
		w.WriteHeader(http.StatusOK)
	}
	for p, err := range found {
		if err != nil && n == 0 && !errors.Is(err, ErrNotFound) {
			fail(w, err)
			return
		}
		if err != nil {
			break
		}
		if n++; n == 1 {
			start()
		}
		if r.Method == http.MethodHead || n == maxStreamed || json.NewEncoder(w).Encode(p) != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
	}
	if n == 0 {
		start()
	}
}

func cachingOf(found int) string {
	if found == 0 {
		return notFoundCaching
	}
	return "public, max-age=300, stale-while-revalidate=600, stale-if-error=172800"
}

// filters are those of IPIP-484: an element with ! before it keeps something out,
// the others are what may pass.
type filters struct{ addrs, protocols []string }

func parseFilters(r *http.Request) (filters, error) {
	q := r.URL.Query()
	var f filters
	for _, p := range []struct {
		key string
		to  *[]string
	}{{"filter-addrs", &f.addrs}, {"filter-protocols", &f.protocols}} {
		text := strings.ToLower(q.Get(p.key))
		if text == "" {
			continue
		}
		if *p.to = strings.Split(text, ","); len(*p.to) > maxFilters {
			return f, fmt.Errorf("%s has more than %d elements", p.key, maxFilters)
		}
	}
	return f, nil
}

// apply yields the peers that pass, with the addresses that do.
func (f filters) apply(found iter.Seq2[peer.AddrInfo, error]) iter.Seq2[peerRecord, error] {
	return func(yield func(peerRecord, error) bool) {
		for p, err := range found {
			if err != nil {
				yield(peerRecord{}, err)
				return
			}
			// The DHT tells no protocols of a peer.
			if len(f.protocols) > 0 && !slices.Contains(f.protocols, unknown) {
				continue
			}
			addrs, ok := f.pass(p.Addrs)
			if ok && !yield(peerRecord{Schema: "peer", ID: p.ID, Addrs: addrs, Protocols: []string{}}, nil) {
				return
			}
		}
	}
}

// unknown in a filter stands for peers of which nothing is known.
const unknown = "unknown"

// pass returns the addresses that the filter lets through. ok is false if the
// peer does not pass.
func (f filters) pass(addrs []ma.Multiaddr) (kept []ma.Multiaddr, ok bool) {
	if addrs == nil {
		addrs = []ma.Multiaddr{}
	}
	if len(f.addrs) == 0 {
		return addrs, true
	}
	if len(addrs) == 0 {
		return addrs, slices.Contains(f.addrs, unknown)
	}
	wanted := slices.ContainsFunc(f.addrs, func(s string) bool { return !strings.HasPrefix(s, "!") && s != unknown })
	for _, a := range addrs {
		out, in := false, !wanted
		for _, p := range a.Protocols() {
			out = out || slices.Contains(f.addrs, "!"+p.Name)
			in = in || slices.Contains(f.addrs, p.Name)
		}
		if in && !out {
			kept = append(kept, a)
		}
	}
	return kept, len(kept) > 0
}

// FromChannel yields what a channel brings until it is closed or ctx ends.
func FromChannel(ctx context.Context, ch <-chan peer.AddrInfo) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for {
			select {
			case p, ok := <-ch:
				if ok && yield(p, nil) {
					continue
				}
				if !ok && ctx.Err() != nil { // which may be why it was closed
					yield(peer.AddrInfo{}, ctx.Err())
				}
			case <-ctx.Done():
				yield(peer.AddrInfo{}, ctx.Err())
			}
			return
		}
	}
}
