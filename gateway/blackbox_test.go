package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipld/go-car/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/gateway"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

// Roots in the fixtures.
const (
	nested   = "bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui" // root2/root3/root4/index.html
	root2    = "bafybeih2w7hjocxjg6g2ku25hvmd53zj7og4txpby3vsusfefw5rrg5sii"
	root3    = "bafybeiawdvhmjcz65x5egzx4iukxc72hg4woks6v6fvgyupiyt3oczk5ja"
	root4    = "bafybeifq2rzpqnqrsdupncmkmhs3ckxxjhuvdcbvydkgvch3ms24k5lo7q"
	hello    = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am" // a raw block
	helloPB  = "bafybeiffndsajwhk3lwjewwdxqntmjm4b5wxaaanokonsggenkbw6slwk4"
	tooLong  = "bafkrgqhhyivzstcz3hhswshfjgy6ertgmnqeleynhwt4dlfsthi4hn7zgh4uvlsb5xncykzapi3ocd4lzogukir6ksdy6wzrnz6ohnv4aglcs"
	someDir  = "bafybeicysujk2vbngdki5ecqie6lgwdts2auhjxqsxs35snofsre3xsgom" // file.txt
	cborRoot = "bafyreibs4utpgbn7uqegmd2goqz4bkyflre2ek2iwv743fhvylwi4zeeim"
	jsonRoot = "baguqeeram5ujjqrwheyaty3w5gdsmoz6vittchvhk723jjqxk7hakxkd47xq"

	ed25519Name  = "k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam"
	ed25519Peer  = "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d"
	rsaPeer      = "QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3"
	subpathName  = "k51qzi5uqu5djokp3m1keo36hoxtd6u3a1d2rg1camf6al7p3huy63dojlm57c" // of nested/root2, TTL 30 min
	cborName     = "k51qzi5uqu5dghjous0agrwavl8vzl64xckoqzwqeqwudfr74kfd11zcyk3b7l"
	immutableFor = "public, max-age=29030400, immutable"
)

// black is a gateway with the fixtures of the field's own suite, asked over HTTP.
type black struct {
	t      *testing.T
	server *httptest.Server
	site   string // CID of a site with redirects
	long   string // CID of a file of several blocks
}

func openBlack(t *testing.T) *black {
	dir := os.Getenv("IPNS_VECTORS")
	if dir == "" {
		t.Skip("IPNS_VECTORS does not name the folder with the fixtures of other projects")
	}
	dir = filepath.Join(dir, "gateway-conformance")
	ctx := t.Context()
	fs := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(ctx, content.Options{DB: db, Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	cars, err := filepath.Glob(filepath.Join(dir, "*/*.car"))
	if err != nil || len(cars) != 4 {
		t.Fatalf("%d CARs in %s: %v", len(cars), dir, err)
	}
	for _, name := range cars {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Import(ctx, bytes.NewReader(b), content.MaxBlock, &content.Imported{}); err != nil {
			t.Fatal(err)
		}
	}
	book := &names.Book{Store: recordstore.NewMemory()}
	records, err := filepath.Glob(filepath.Join(dir, "*/*.ipns-record"))
	if err != nil || len(records) == 0 {
		t.Fatalf("%d records in %s: %v", len(records), dir, err)
	}
	for _, file := range records {
		key, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".ipns-record"), "_")
		name, err := ipns.ParseName(key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := ipns.Open(name, raw, time.Now())
		if err != nil {
			continue // an invalid one is a fixture too
		}
		if _, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
	}
	b := &black{t: t}
	b.addSite(store)
	links := map[string]string{
		"dnslink-test.example.org":      "/ipfs/" + hello,
		"dnslink-subpath.example.org":   "/ipfs/" + nested + "/root2",
		"dnslink-over-ipns.example.org": "/ipns/" + ed25519Peer,
		"redirects.example.org":         "/ipfs/" + b.site,
	}
	r := &resolver.Resolver{Book: book, LookupTXT: func(_ context.Context, domain string) ([]string, time.Duration, error) {
		if to := links[strings.TrimSuffix(strings.TrimPrefix(domain, "_dnslink."), ".")]; to != "" {
			return []string{"dnslink=" + to}, time.Hour, nil
		}
		return nil, 0, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
	}}
	h, err := gateway.New(gateway.Options{Content: store, Names: r, NoFetch: true, Hosts: map[string]*gateway.Host{
		"example.com": {Paths: []string{"/ipfs/", "/ipns/"}, UseSubdomains: true},
		"inline.test": {Paths: []string{"/ipfs/", "/ipns/"}, UseSubdomains: true, InlineDNSLink: true},
		"verify.test": {Paths: []string{"/ipfs/", "/ipns/"}, TrustlessOnly: new(true)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewServer(h)
	t.Cleanup(func() {
		b.server.Close()
		for _, close := range []func() error{r.Close, store.Close, db.Close} {
			if err := close(); err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

// addSite adds a site whose files and rules are those of the specification of _redirects, and a file of several blocks.
func (b *black) addSite(store *content.Store) {
	files := map[string]string{
		"_redirects": "/one /two.html 302\n/posts/:year/:title /articles/:year/:title 301\n/splat/* /to/:splat 307\n" +
			"/rewrite /two.html 200\n/gone.html /410.html 410\n/* /404.html 404\n",
		"index.html": "start", "two.html": "two", "404.html": "my 404", "410.html": "my 410",
	}
	tree := func(yield func(content.Entry, error) bool) {
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range files {
				if !yield(name) {
					return
				}
			}
		}) {
			if !yield(content.Entry{Path: "site/" + name, Content: strings.NewReader(files[name])}, nil) {
				return
			}
		}
	}
	for a, err := range store.Add(b.t.Context(), tree, content.AddOptions{CIDVersion: 1}) {
		if err != nil {
			b.t.Fatal(err)
		}
		b.site = a.CID.String()
	}
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintf(&long, "%09d\n", i)
	}
	for a, err := range store.Add(b.t.Context(), content.FromReader("long.txt", strings.NewReader(long.String())), content.AddOptions{CIDVersion: 1, Chunker: "size-100"}) {
		if err != nil {
			b.t.Fatal(err)
		}
		b.long = a.CID.String()
	}
}

// exchange is a request and what is expected of the answer.
type exchange struct {
	host, path string
	header     []string // pairs
	method     string

	status int
	want   []string // pairs; "": absent; * at the end: any rest
	body   string   // * at the end: any rest; "": not looked at
}

func (b *black) run(all []exchange) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, e := range all {
		b.t.Run(e.method+" "+e.host+e.path+" "+strings.Join(e.header, " "), func(t *testing.T) {
			for try := range 2 { // the second answer may be one that was kept
				req, err := http.NewRequestWithContext(t.Context(), e.method, b.server.URL+e.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if req.Host = e.host; e.host == "" {
					req.Host = strings.TrimPrefix(b.server.URL, "http://")
				}
				for i := 0; i+1 < len(e.header); i += 2 {
					req.Header.Add(e.header[i], e.header[i+1])
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != e.status {
					t.Errorf("try %d: status %d, want %d: %.200q", try, resp.StatusCode, e.status, body)
				}
				for i := 0; i+1 < len(e.want); i += 2 {
					if got := resp.Header.Get(e.want[i]); !like(got, e.want[i+1]) {
						t.Errorf("try %d: %s: %q, want %q", try, e.want[i], got, e.want[i+1])
					}
				}
				if e.body != "" && !like(string(body), e.body) {
					t.Errorf("try %d: body %.200q, want %q", try, body, e.body)
				}
			}
		})
	}
}

func like(got, want string) bool {
	if start, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(got, start)
	}
	return got == want
}

// blocksOf returns the CIDs in a CAR, in their order.
func blocksOf(t *testing.T, r io.Reader) (roots, blocks []string) {
	t.Helper()
	in, err := car.NewBlockReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range in.Roots {
		roots = append(roots, c.String())
	}
	for {
		blk, err := in.Next()
		if err == io.EOF {
			return roots, blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, blk.Cid().String())
	}
}
