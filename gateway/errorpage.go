package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/resolver"
)

// maxErrorText bounds the text of an error that a page repeats, in bytes.
const maxErrorText = 4 << 10

// errorPages answers errors with a page where the client rather has one than text. The status stays.
type errorPages struct {
	names    Resolver
	diagnose string // URL of a page on what content is missing; "": none
	next     http.Handler
}

func (e *errorPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !prefersPage(r.Header["Accept"]) {
		e.next.ServeHTTP(w, r)
		return
	}
	asked := r.URL.Path // before it is rewritten for the host
	page := &pageWriter{ResponseWriter: w}
	e.next.ServeHTTP(page, r)
	if page.status != 0 {
		e.show(w, r, asked, page)
	}
}

// prefersPage reports whether an Accept has text/html, and plain text not before it.
func prefersPage(accept []string) bool {
	html, text := -1.0, -1.0
	for t := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, _ := strings.Cut(t, ";")
		weight := 1.0
		for p := range strings.SplitSeq(parameters, ";") {
			if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q="); ok {
				if n, err := strconv.ParseFloat(q, 64); err == nil {
					weight = n
				}
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/html":
			html = max(html, weight)
		case "text/plain":
			text = max(text, weight)
		}
	}
	return html > 0 && html >= text
}

// pageWriter holds back an error that is only text.
type pageWriter struct {
	http.ResponseWriter
	status int // of the error; 0: there is none
	begun  bool
	text   []byte
}

// Such an error is written by http.Error. A page of the site's own has a length, and mostly another type.
func isErrorText(status int, h http.Header) bool {
	return status >= 400 && h.Get("Content-Type") == "text/plain; charset=utf-8" && h.Get("X-Content-Type-Options") == "nosniff" &&
		h.Get("Content-Length") == "" && h.Get("Etag") == ""
}

func (w *pageWriter) WriteHeader(status int) {
	if w.begun || w.status != 0 {
		return
	}
	if isErrorText(status, w.Header()) {
		w.status = status
		return
	}
	w.begun = status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *pageWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.begun = true
		return w.ResponseWriter.Write(p)
	}
	w.text = append(w.text, p[:min(len(p), maxErrorText-len(w.text))]...)
	return len(p), nil
}

func (w *pageWriter) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok && w.status == 0 {
		f.Flush()
	}
}

// Unwrap is for [http.ResponseController].
func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// lookupLimit bounds how long a page waits for what the Book has of a name.
const lookupLimit = time.Second

// problem is what a page says.
type problem struct {
	Status   int
	Title    string
	Asked    string // what was
	Host     string
	Answered string // who did
	Since    string
	Last     string // the last value known
	LastTill string // and its EOL
	Sequence string
	Try      []string
	Site     string // address of the start of the site
	Diagnose string // address
	Text     string // of the error
}

func (e *errorPages) show(w http.ResponseWriter, r *http.Request, asked string, page *pageWriter) {
	v := visitOf(r.Context())
	lacks := v.loss()
	p := problem{Status: page.status, Asked: asked, Host: r.Host, Text: strings.ToValidUTF8(strings.TrimSpace(string(page.text)), "\uFFFD")}
	p.explain(lacks.err)
	if lacks.err != nil && !errors.Is(lacks.err, content.ErrDenied) { // what is denied is not told either
		p.name(v.ctx, lacks, e.names)
	}
	if parts := strings.SplitN(asked, "/", 4); len(parts) == 4 && (parts[1] == "ipns" || parts[1] == "ipfs") && parts[2] != "" && parts[3] != "" {
		p.Site = (&url.URL{Path: "/" + parts[1] + "/" + parts[2] + "/"}).EscapedPath()
	}
	if e.diagnose != "" && page.status == http.StatusGatewayTimeout && lacks.missing.Defined() {
		p.Diagnose = e.diagnose + "?cid=" + url.QueryEscape(lacks.missing.String())
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	for _, key := range []string{"Last-Modified", "X-Ipfs-Roots"} {
		h.Del(key)
	}
	w.WriteHeader(page.status)
	_ = pageTemplate.Execute(w, p) // what fails is the connection
}

// explain says what the status means and what helps.
func (p *problem) explain(err error) {
	again := "Try again later: who has it may be out of reach for the moment."
	switch p.Status {
	case http.StatusBadRequest:
		p.Title, p.Try = "This address is not valid", []string{"Look for a mistake in the address: one letter too many or too few is enough."}
	case http.StatusNotFound:
		p.Title, p.Try = "There is nothing at this address", []string{"Look for a mistake in the address.", "Begin at the start of the site: it may have been moved."}
	case http.StatusGone:
		p.Title, p.Try = "This gateway does not serve this content", []string{"Ask who runs this gateway."}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		p.Title, p.Try = "This gateway is busy", []string{"Try again in a minute."}
	case http.StatusGatewayTimeout:
		p.Title, p.Try = "The content could not be found in time", []string{again, "Ask the publisher whether a node with the content is running."}
	case http.StatusNotAcceptable:
		p.Title, p.Try = "This gateway serves only what can be verified", []string{"Use a gateway that shows pages, or a node of your own."}
	default:
		p.Title, p.Try = "This gateway could not answer", []string{again}
	}
	var unknown *resolver.UnknownError
	switch {
	case err == nil:
	case errors.As(err, &unknown):
		p.Title = "What this name points to is not known at the moment"
		p.Answered = "No server could be asked."
		if unknown.Asked > 0 {
			p.Answered = strconv.Itoa(unknown.Answered) + " of " + strconv.Itoa(unknown.Asked) + " servers answered, and none of them has its newest record."
		}
		p.Try = []string{again, "Ask the publisher whether the node that keeps the name alive is running."}
	case errors.Is(err, resolver.ErrExpired):
		p.Title = "The last record of this name has expired"
		p.Answered = "The newest record is known, and its publisher has not renewed it."
		p.Try = []string{"Ask the publisher to publish the name again."}
	case errors.Is(err, resolver.ErrNotFound):
		p.Title = "Nobody has a record of this name"
		p.Answered = "Enough servers answered to know that none has one."
		p.Try = []string{"Look for a mistake in the name.", "If it is yours, publish it, and keep the node running that does."}
	}
}

// name says what was known of a name before.
func (p *problem) name(ctx context.Context, lacks loss, names Resolver) {
	p.Since = lacks.since.UTC().Format(time.RFC1123)
	root, _, _ := strings.Cut(strings.TrimPrefix(lacks.asked, "/ipns/"), "/")
	name, err := ipns.ParseName(root)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	rec, mark, err := names.Last(ctx, name)
	switch {
	case err != nil || rec == nil && mark.IsZero():
	case rec == nil:
		p.Sequence, p.LastTill = strconv.FormatUint(mark.Sequence, 10), mark.EOL.UTC().Format(time.RFC1123)
	default:
		p.Last, p.Sequence, p.LastTill = rec.Value(), strconv.FormatUint(rec.Sequence(), 10), rec.EOL().UTC().Format(time.RFC1123)
	}
}

const pageStyle = `
body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:10vh auto;padding:0 1rem;color:#1c2024;background:#fff}
h1{font-size:1.5rem;line-height:1.25}
dt{font-weight:600;margin-top:.75rem}
dd{margin:0;overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,monospace;font-size:.875rem;overflow-wrap:anywhere;white-space:pre-wrap}
a{color:#0b57d0}
summary{cursor:pointer;margin-top:1rem}
@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#16181b}a{color:#8ab4f8}}
`

// pagePolicy lets a page have its style, and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-top-navigation-by-user-activation"
}()

var pageTemplate = template.Must(template.New("error").Funcs(template.FuncMap{"style": func() template.CSS { return pageStyle }}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{{.Status}}: {{.Title}}</title>
<style>{{style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<dl>
<dt>Asked for</dt><dd><code>{{.Asked}}</code> at <code>{{.Host}}</code></dd>
{{with .Answered}}<dt>Who answered</dt><dd>{{.}}</dd>
{{end}}{{with .Since}}<dt>Without an answer since</dt><dd>{{.}}, as far as this gateway knows</dd>
{{end}}{{with .Last}}<dt>Last known value</dt><dd><code>{{.}}</code></dd>
{{end}}{{if .Sequence}}<dt>Newest record seen</dt><dd>sequence {{.Sequence}}, valid until {{.LastTill}}</dd>
{{end}}<dt>What to try</dt>
{{range .Try}}<dd>{{.}}</dd>
{{end}}{{with .Site}}<dd><a href="{{.}}">Start of this site</a></dd>
{{end}}{{with .Diagnose}}<dd><a href="{{.}}" rel="noreferrer">Find out who has the content</a></dd>
{{end}}</dl>
<details open><summary>The error, for who looks after this</summary>
<pre>{{.Status}}: {{.Text}}</pre></details>
</main>
</body>
</html>
`))
