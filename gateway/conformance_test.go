package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestPathGatewayConforms(t *testing.T) {
	b := openBlack(t)
	roots := strings.Join([]string{nested, root2, root3, root4}, ",")
	b.run([]exchange{
		{path: "/ipfs/" + hello, status: 200, body: "hello\n", want: []string{
			"Content-Type", "text/plain; charset=utf-8", "Cache-Control", immutableFor,
			"Etag", `"` + hello + `"`, "X-Ipfs-Path", "/ipfs/" + hello, "X-Ipfs-Roots", hello, "Ipfs-Uri", "ipfs://" + hello, "Content-Length", "6", "Accept-Ranges", "bytes",
		}},
		{path: "/ipfs/" + hello, method: "HEAD", status: 200, want: []string{"Content-Length", "6", "Etag", `"` + hello + `"`}},
		{path: "/ipfs/" + hello, header: []string{"If-None-Match", `W/"` + hello + `"`}, status: 304, want: []string{"Etag", `"` + hello + `"`}},
		{path: "/ipfs/" + hello, header: []string{"If-None-Match", `"other", *`}, status: 304},
		{path: "/ipfs/" + hello, header: []string{"If-None-Match", `"other"`}, status: 200, body: "hello\n"},
		{path: "/ipfs/" + hello + "?filename=te%C3%A9st.txt&download=true", status: 200, want: []string{"Content-Disposition", `attachment; filename="te_st.txt"; filename*=UTF-8''te%C3%A9st.txt`}},
		{path: "/ipfs/" + hello + "?filename=x.html", status: 200, want: []string{"Content-Disposition", `inline; filename="x.html"*`, "Content-Type", "text/html"}},
		{path: "/ipfs/" + helloPB, status: 200, body: "hello\n"},
		{path: "/ipfs/" + someDir, status: 301, want: []string{"Location", "/ipfs/" + someDir + "/"}},
		{path: "/ipfs/" + someDir + "/", status: 200, want: []string{"Content-Type", "text/html", "Etag", `"DirIndex-*`, "Cache-Control", "public, max-age=604800, stale-while-revalidate=2678400"}},
		{path: "/ipfs/" + someDir + "/", method: "HEAD", status: 200, want: []string{"Content-Type", "text/html"}},
		{path: "/ipfs/" + someDir + "/file.txt", status: 200, body: "I am a txt file\n"},
		{path: "/ipfs/" + someDir + "/nope", status: 404, body: "failed to resolve*"},
		{path: "/ipfs/QmInvalid", status: 400},
		{path: "/ipfs/ipfs/" + hello, status: 301, want: []string{"Location", "/ipfs/" + hello}},
		{path: "/ipfs/?uri=ipfs%3A%2F%2F" + hello, status: 301, want: []string{"Location", "/ipfs/" + hello}},
		{path: "/ipfs/" + hello, header: []string{"Service-Worker", "script"}, status: 400},
		{path: "/ipfs/" + hello, header: []string{"Cache-Control", "only-if-cached"}, status: 200},
		{path: "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk4", header: []string{"Cache-Control", "only-if-cached"}, status: 412},
		{path: "/ipfs/" + hello, method: "POST", status: 405},
		{path: "/ipfs/" + hello, method: "OPTIONS", status: 200, want: []string{"Access-Control-Allow-Origin", "*"}},

		// Names, their TTL, and the path of their value.
		{path: "/ipns/" + subpathName + "/root3/root4/", status: 200, body: "hello\n", want: []string{
			"Cache-Control", "public, max-age=1800*", "Etag", `"` + root4 + `"`,
			"X-Ipfs-Path", "/ipns/" + subpathName + "/root3/root4/", "X-Ipfs-Roots", roots,
		}},
		{path: "/ipns/" + subpathName + "/root3/root4/index.html", status: 200, body: "hello\n", want: []string{"X-Ipfs-Roots", roots + "," + hello, "Ipfs-Uri", "ipns://" + subpathName + "/root3/root4/index.html"}},
		{path: "/ipns/" + subpathName + "/root3/root4/index.html", header: []string{"If-None-Match", `"` + hello + `"`}, status: 304},
		{path: "/ipns/" + subpathName + "/root3/nope", status: 404},
		{path: "/ipns/" + ed25519Peer, status: 302, want: []string{"Location", "/ipns/" + ed25519Name}},
		{path: "/ipns/" + ed25519Name, status: 200, body: "hello\n"},
		{path: "/ipns/dnslink-subpath.example.org/root3/root4/index.html", status: 200, body: "hello\n", want: []string{"X-Ipfs-Roots", roots + "," + hello}},
		{path: "/ipns/dnslink-over-ipns.example.org/", status: 200, body: "hello\n"},

		// Data, and paths through it.
		{path: "/ipfs/" + cborRoot + "/foo/link/bar?format=raw", status: 200, want: []string{"Content-Type", "application/vnd.ipld.raw"}},
		{path: "/ipns/" + cborName + "/foo/link/bar", header: []string{"Accept", "application/vnd.ipld.dag-cbor"}, status: 200, body: "\xa1ehellorthis is not a link"},
		{path: "/ipfs/" + jsonRoot + "/foo/link/bar", header: []string{"Accept", "application/vnd.ipld.dag-json"}, status: 200, body: `{"hello":"this is not a link"}`},
		{path: "/ipfs/" + jsonRoot + "/foo/nope?format=dag-json", status: 404},
		{path: "/ipfs/" + jsonRoot + "/", header: []string{"Accept", "text/html"}, status: 200, want: []string{"Content-Type", "text/html*", "Etag", `"DagIndex-*`}},
	})
}

func TestRangesConform(t *testing.T) {
	b := openBlack(t)
	long := "/ipfs/" + b.long
	b.run([]exchange{
		{path: long, header: []string{"Range", "bytes=0-9"}, status: 206, body: "000000000\n", want: []string{"Content-Range", "bytes 0-9/1000", "Content-Length", "10"}},
		{path: long, header: []string{"Range", "bytes=95-104"}, status: 206, body: "0009\n00000"},
		{path: long, header: []string{"Range", "bytes=990-"}, status: 206, body: "000000099\n"},
		{path: long, header: []string{"Range", "bytes=-10"}, status: 206, body: "000000099\n"},
		{path: long, header: []string{"Range", "bytes=990-5000"}, status: 206, body: "000000099\n", want: []string{"Content-Range", "bytes 990-999/1000"}},
		{path: long, header: []string{"Range", "bytes=1000-"}, status: 416, want: []string{"Content-Range", "bytes */1000"}},
		{path: long, header: []string{"Range", "bytes=0-9,20-29"}, status: 206, body: "000000000\n"},
		{path: long, header: []string{"Range", "bytes=x"}, status: 400},
		{path: long, status: 200, want: []string{"Content-Length", "1000"}},
		{path: "/ipfs/" + hello, header: []string{"Range", "bytes=1-2"}, status: 206, body: "el"},
		{path: "/ipfs/" + hello + "?format=raw", header: []string{"Range", "bytes=1-2"}, status: 206, body: "el"},
		{path: "/ipns/" + subpathName + "/root3/root4/index.html", header: []string{"Range", "bytes=1-2"}, status: 206, body: "el"},
	})
}

func TestSubdomainGatewayConforms(t *testing.T) {
	b := openBlack(t)
	v0 := "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN" // of helloPB
	b.run([]exchange{
		{path: "/ipfs/" + hello, status: 200}, // 127.0.0.1 serves paths
		{host: "localhost", path: "/ipfs/" + hello, status: 301, want: []string{"Location", "http://" + hello + ".ipfs.localhost/"}},
		{host: "localhost", path: "/ipfs/" + v0 + "?x=y", status: 301, want: []string{"Location", "http://" + helloPB + ".ipfs.localhost/?x=y"}},
		{host: "localhost", path: "/ipfs/" + someDir + "/file.txt", status: 301, want: []string{"Location", "http://" + someDir + ".ipfs.localhost/file.txt"}},
		{host: hello + ".ipfs.localhost", path: "/", status: 200, body: "hello\n", want: []string{"Content-Security-Policy", ""}},
		{host: someDir + ".ipfs.localhost:8080", path: "/file.txt", status: 200, body: "I am a txt file\n", want: []string{"X-Ipfs-Path", "/ipfs/" + someDir + "/file.txt"}},
		{host: someDir + ".ipfs.localhost", path: "/ipfs/" + hello, status: 404}, // no path of another
		{host: "localhost", path: "/ipfs/" + tooLong, status: 400},
		{host: "localhost", path: "/ipns/" + ed25519Peer, status: 301, want: []string{"Location", "http://" + ed25519Name + ".ipns.localhost/"}},
		{host: "localhost", path: "/ipns/" + rsaPeer, status: 301, want: []string{"Location", "http://k2k4r8*"}},
		{host: ed25519Name + ".ipns.localhost", path: "/", status: 200, body: "hello\n"},
		{host: "localhost", path: "/ipns/dnslink-test.example.org/x", status: 301, want: []string{"Location", "http://dnslink-test.example.org.ipns.localhost/x"}},
		{host: "dnslink-test.example.org.ipns.localhost", path: "/", status: 200, body: "hello\n"},
		{host: "example.com", path: "/ipns/dnslink-test.example.org", header: []string{"X-Forwarded-Proto", "https"}, status: 301, want: []string{"Location", "https://dnslink--test-example-org.ipns.example.com/"}},
		{host: "inline.test", path: "/ipns/dnslink-test.example.org", status: 301, want: []string{"Location", "http://dnslink--test-example-org.ipns.inline.test/"}},
		{host: "dnslink--test-example-org.ipns.inline.test", path: "/", status: 200, body: "hello\n"},
		{host: "dnslink-test.example.org", path: "/", status: 200, body: "hello\n", want: []string{"X-Ipfs-Path", "/ipns/dnslink-test.example.org/"}},
		{host: "unknown.example.org", path: "/", status: 404},
		{host: "elsewhere", path: "/ipfs/" + hello, header: []string{"X-Forwarded-Host", "example.com"}, status: 301, want: []string{"Location", "http://" + hello + ".ipfs.example.com/"}},
	})
}

func TestRedirectsFileConforms(t *testing.T) {
	b := openBlack(t)
	host := b.site + ".ipfs.localhost"
	b.run([]exchange{
		{host: host, path: "/", status: 200, body: "start"},
		{host: host, path: "/one", status: 302, want: []string{"Location", "/two.html"}},
		{host: host, path: "/posts/2026/hello?x=y", status: 301, want: []string{"Location", "/articles/2026/hello?x=y"}},
		{host: host, path: "/splat/a/b", status: 307, want: []string{"Location", "/to/a/b"}},
		{host: host, path: "/rewrite", status: 200, body: "two"},
		{host: host, path: "/gone.html", status: 410, body: "my 410", want: []string{"Content-Type", "text/html"}},
		{host: host, path: "/nope", status: 404, body: "my 404"},
		{host: host, path: "/nope", header: []string{"Accept", "text/html"}, status: 404, body: "my 404"},
		{host: "redirects.example.org", path: "/one", status: 302, want: []string{"Location", "/two.html"}},
		{path: "/ipfs/" + b.site + "/one", status: 404}, // not on a shared origin
	})
}

func TestTrustlessGatewayConforms(t *testing.T) {
	b := openBlack(t)
	record := "application/vnd.ipfs.ipns-record"
	b.run([]exchange{
		{host: "verify.test", path: "/ipfs/" + hello + "?format=raw", status: 200, body: "hello\n", want: []string{
			"Content-Type", "application/vnd.ipld.raw",
			"Content-Disposition", `attachment; filename="` + hello + `.bin"*`, "Etag", `"` + hello + `.raw"`, "X-Content-Type-Options", "nosniff",
		}},
		{host: "verify.test", path: "/ipfs/" + hello, header: []string{"Accept", "application/vnd.ipld.raw"}, status: 200, body: "hello\n", want: []string{"Content-Location", "/ipfs/" + hello + "?format=raw"}},
		{host: "verify.test", path: "/ipfs/" + hello, status: 406},
		{host: "verify.test", path: "/ipfs/" + someDir + "/file.txt?format=raw", status: 406},
		{host: "verify.test", path: "/ipns/" + ed25519Name, header: []string{"Accept", record}, status: 200, want: []string{"Content-Type", record}},
		{host: "verify.test", path: "/ipns/" + ed25519Name + "?format=raw", status: 406},
		{host: "verify.test", path: "/ipfs/" + hello + "?format=car", method: "HEAD", status: 200, want: []string{"Content-Type", "application/vnd.ipld.car; version=1*"}},
		{host: "verify.test", path: "/ipfs/" + hello, header: []string{"Accept", "application/vnd.ipld.car; version=2"}, status: 400},
	})
	dir := "/ipfs/" + nested + "/root2/root3"
	above := []string{nested, root2, root3}
	for query, want := range map[string][]string{
		"":                  append(above, root4, hello),
		"&dag-scope=all":    append(above, root4, hello),
		"&dag-scope=entity": above,
		"&dag-scope=block":  above,
	} {
		t.Run("CAR"+query, func(t *testing.T) {
			resp, err := http.Get(b.server.URL + dir + "?format=car" + query)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != 200 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("status %s, header %v", resp.Status, resp.Header)
			}
			roots, got := blocksOf(t, resp.Body)
			if !slices.Equal(got, want) {
				t.Errorf("blocks %v, want %v", got, want)
			}
			if len(roots) != 1 || roots[0] != root3 {
				t.Errorf("roots %v", roots)
			}
		})
	}
	for bytes, want := range map[string]int{"0:*": 10, "0:99": 1, "100:299": 2, "-100:*": 1, "0:0": 1} {
		t.Run("CAR of bytes "+bytes, func(t *testing.T) {
			resp, err := http.Get(b.server.URL + "/ipfs/" + b.long + "?format=car&dag-scope=entity&entity-bytes=" + bytes)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, got := blocksOf(t, resp.Body); len(got) != 1+want {
				t.Errorf("%d blocks, want the root and %d", len(got), want)
			}
		})
	}
}
