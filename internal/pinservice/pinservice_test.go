package pinservice

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fake is a service of pins in memory, which gives out few at once.
type fake struct {
	pins  []Pin // newest first
	asked []string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	if r.Header.Get("Authorization") != "Bearer key" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":{"reason":"UNAUTHORIZED","details":"access denied"}}`)
		return
	}
	if r.URL.Path != "/psa/pins" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	before, _ := time.Parse(time.RFC3339Nano, r.URL.Query().Get("before"))
	var p page
	for _, pin := range f.pins {
		if before.IsZero() || pin.Created.Before(before) {
			p.Count++
			if len(p.Results) < 2 {
				p.Results = append(p.Results, pin)
			}
		}
	}
	_ = json.NewEncoder(w).Encode(p)
}

func TestListYieldsAllPages(t *testing.T) {
	f := &fake{}
	for i := range 5 {
		f.pins = append(f.pins, Pin{RequestID: fmt.Sprint(i), Created: time.Unix(int64(100-i), 0)})
	}
	s := httptest.NewServer(f)
	defer s.Close()
	got := ""
	for p, err := range (Service{s.URL + "/psa", "key"}).List(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got += p.RequestID
	}
	if got != "01234" || len(f.asked) != 3 {
		t.Errorf("%s after %q", got, f.asked)
	}
}

func TestRefusalsSayWhatTheServiceSays(t *testing.T) {
	s := httptest.NewServer(&fake{})
	defer s.Close()
	for service, want := range map[Service]string{
		{s.URL + "/psa", "other"}: "401 Unauthorized: access denied",
		{s.URL + "/else", "key"}:  "404 Not Found",
	} {
		if _, err := service.Count(t.Context(), Pinned); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example": "https://a.example", "https://a.example/": "https://a.example", "http://a.example//x//y/": "http://a.example/x/y",
		"a.example": "", "ftp://a.example": "", "https://a.example/pins": "", "https://a.example/?x=y": "",
	} {
		got, err := Endpoint(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// A service that gives the same page again and again is not asked for ever.
func TestListEndsWhereTheServiceDoesNotGoOn(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_ = json.NewEncoder(w).Encode(page{Count: 1000, Results: []Pin{{RequestID: "0", Created: time.Unix(1, 0)}}})
	}))
	defer s.Close()
	var last error
	for _, err := range (Service{s.URL, "key"}).List(t.Context(), Query{}) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "is not older") || asked != 2 {
		t.Errorf("asked %d times: %v", asked, last)
	}
}
