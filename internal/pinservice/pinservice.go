// Package pinservice asks services that pin content: it is a client of the IPFS Pinning Service API, version 1.0.0.
package pinservice

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// Limits of what is read from a service.
const (
	maxReply = 4 << 20 // bytes
	pageSize = 100     // pins asked for at once
	maxPages = 10_000
)

// timeout bounds one request.
const timeout = time.Minute

// The states of a pin.
const (
	Queued  = "queued"
	Pinning = "pinning"
	Pinned  = "pinned"
	Failed  = "failed"
)

// Statuses are all states of a pin.
var Statuses = []string{Queued, Pinning, Pinned, Failed}

// Service is a service.
type Service struct {
	Endpoint string // as Endpoint returns it
	Key      string // the access token
}

// Pin is a pin as a service has it.
type Pin struct {
	RequestID string    `json:"requestid"`
	Status    string    `json:"status"`
	Created   time.Time `json:"created"`
	Pin       struct {
		CID  string `json:"cid"`
		Name string `json:"name"`
	} `json:"pin"`
	Delegates []string `json:"delegates"` // multiaddrs of nodes that will fetch it
}

// Query selects pins; what is empty selects all.
type Query struct {
	CIDs, Statuses []string
	Name           string
}

// Endpoint returns the URL of a service in the form in which it is used.
func Endpoint(text string) (string, error) {
	u, err := url.ParseRequestURI(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("service endpoint must be a valid HTTP URL")
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(path.Clean(u.Path), "."), "/")
	if u.RawQuery != "" {
		return "", errors.New("service endpoint should be provided without any query parameters")
	}
	if strings.HasSuffix(u.Path, "/pins") {
		return "", errors.New("service endpoint should be provided without the /pins suffix")
	}
	return u.String(), nil
}

// Add asks for a pin. origins are multiaddrs of nodes that have the content.
func (s Service) Add(ctx context.Context, cid, name string, origins []string) (p Pin, err error) {
	body := struct {
		CID     string   `json:"cid"`
		Name    string   `json:"name,omitempty"`
		Origins []string `json:"origins,omitempty"`
	}{cid, name, origins}
	return p, s.do(ctx, http.MethodPost, "/pins", body, &p)
}

// Get returns the state of a pin.
func (s Service) Get(ctx context.Context, id string) (p Pin, err error) {
	return p, s.do(ctx, http.MethodGet, "/pins/"+url.PathEscape(id), nil, &p)
}

// Remove removes a pin.
func (s Service) Remove(ctx context.Context, id string) error {
	return s.do(ctx, http.MethodDelete, "/pins/"+url.PathEscape(id), nil, nil)
}

// page is a part of a list.
type page struct {
	Count   int   `json:"count"` // of all that match, those before this page left out
	Results []Pin `json:"results"`
}

// List yields pins, the newest first. It ends with the first error.
func (s Service) List(ctx context.Context, q Query) iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		var before time.Time
		for range maxPages {
			p, err := s.page(ctx, q, pageSize, before)
			if err != nil {
				yield(Pin{}, err)
				return
			}
			for _, pin := range p.Results {
				if !yield(pin, nil) {
					return
				}
			}
			if len(p.Results) == 0 || p.Count <= len(p.Results) {
				return
			}
			last := p.Results[len(p.Results)-1].Created
			if !before.IsZero() && !last.Before(before) {
				yield(Pin{}, fmt.Errorf("pinning service %s: the next page of pins is not older than the one before", s.Endpoint))
				return
			}
			before = last
		}
		yield(Pin{}, fmt.Errorf("%s has more than %d pages of pins", s.Endpoint, maxPages))
	}
}

// Count returns how many pins have a status.
func (s Service) Count(ctx context.Context, status string) (int, error) {
	p, err := s.page(ctx, Query{Statuses: []string{status}}, 1, time.Time{})
	return p.Count, err
}

func (s Service) page(ctx context.Context, q Query, limit int, before time.Time) (p page, err error) {
	v := url.Values{"limit": {strconv.Itoa(limit)}}
	for key, list := range map[string][]string{"cid": q.CIDs, "status": q.Statuses} {
		if len(list) > 0 {
			v.Set(key, strings.Join(list, ","))
		}
	}
	if q.Name != "" {
		v.Set("name", q.Name)
	}
	if !before.IsZero() {
		v.Set("before", before.Format(time.RFC3339Nano))
	}
	return p, s.do(ctx, http.MethodGet, "/pins?"+v.Encode(), nil, &p)
}

// do sends a request, and reads the reply into out if it is not nil.
func (s Service) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path, body)
	if err != nil {
		return fmt.Errorf("pinning service %s: %w", s.Endpoint, err)
	}
	r.Header.Set("Authorization", "Bearer "+s.Key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return fmt.Errorf("pinning service %s: %w", s.Endpoint, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err == nil && resp.StatusCode/100 != 2 {
		err = refusal(resp.Status, b)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		return fmt.Errorf("pinning service %s: %w", s.Endpoint, err)
	}
	return nil
}

// refusal is the error of a reply that is one.
func refusal(status string, body []byte) error {
	var e struct {
		Error struct{ Reason, Details string }
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Reason == "" {
		return errors.New(status)
	}
	return fmt.Errorf("%s: %s", status, strings.TrimPrefix(cmp.Or(e.Error.Details, e.Error.Reason), " "))
}
