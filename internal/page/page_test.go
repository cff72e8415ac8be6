package page

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:5001"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler("/webui").ServeHTTP(w, r)
	return w
}

func TestOnlyItsFilesAreServed(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/webui", 302, ""},
		{"HEAD", "/webui", 302, ""},
		{"GET", "/webui/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/webui/", 200, "text/html; charset=utf-8"},
		{"GET", "/webui/main.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/webui/style.css", 200, "text/css; charset=utf-8"},
		{"GET", "/webui/icon.svg", 200, "image/svg+xml"},
		{"GET", "/webui/index.html", 404, ""},
		{"GET", "/webui/files", 404, ""},
		{"GET", "/webui/../page.go", 404, ""},
		{"GET", "/webui/files/main.js", 404, ""},
		{"GET", "/webui//main.js", 404, ""},
		{"POST", "/webui/", 405, ""},
		{"PUT", "/webui/main.js", 405, ""},
	} {
		w := get(c.method, c.path)
		if w.Code != c.status || c.kind != "" && w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, w.Header().Get("Content-Type"), c.status, c.kind)
		}
		if c.method == "HEAD" && w.Body.Len() > 0 {
			t.Errorf("HEAD %s has a body", c.path)
		}
	}
	if at := get("GET", "/webui").Header().Get("Location"); at != "/webui/" {
		t.Errorf("/webui leads to %q", at)
	}
}

// Whatever is asked, the answer says what the page may load, and that nobody may frame it.
func TestEveryAnswerIsStrict(t *testing.T) {
	for _, path := range []string{"/webui", "/webui/", "/webui/main.js", "/webui/none"} {
		head := get("GET", path).Header()
		for _, part := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
			"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'",
		} {
			if !strings.Contains(head.Get("Content-Security-Policy"), part+";") && !strings.HasSuffix(head.Get("Content-Security-Policy"), part) {
				t.Errorf("%s: the policy lacks %s", path, part)
			}
		}
		if strings.Contains(head.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the policy is not strict: %s", path, head.Get("Content-Security-Policy"))
		}
		for key, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if head.Get(key) != want {
				t.Errorf("%s: %s is %q, want %q", path, key, head.Get(key), want)
			}
		}
	}
}

func TestABrowserThatHasAFileIsToldSo(t *testing.T) {
	first := get("GET", "/webui/main.js")
	if again := get("GET", "/webui/main.js", "If-None-Match", first.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("%d with %d bytes", again.Code, again.Body.Len())
	}
	if other := get("GET", "/webui/main.js", "If-None-Match", `"x"`); other.Code != http.StatusOK {
		t.Errorf("with another tag: %d", other.Code)
	}
}

// What the page refers to is there, and is its own; values never become HTML.
func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	refers := regexp.MustCompile(`(?:src|href)="([^"#]*)"|import[^"']*["']\./([^"']+)["']|from ["']\./([^"']+)["']|url\(([^)]*)\)`)
	all := read()
	for name, f := range all {
		text := string(f.body)
		for _, m := range refers.FindAllStringSubmatch(text, -1) {
			at := m[1] + m[2] + m[3] + m[4]
			if _, ok := all[at]; at != "" && !ok {
				t.Errorf("%s refers to %q", name, at)
			}
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", " style=\"", "onclick=\"", "localStorage", "EventSource"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
		if f.kind == "" {
			t.Errorf("%s has no type", name)
		}
		if lines := strings.Count(text, "\n"); lines > 400 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}
