package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// askTimeout bounds a question to one server.
const askTimeout = 5 * time.Second

// ClockOff returns by how much this clock is ahead of that of an HTTP server; nil: it does
// not say.
func ClockOff(ctx context.Context, url string) *time.Duration {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return nil
	}
	off := time.Since(at)
	return &off
}

// LookUp returns what the DNSLink of a domain says; lookup returns its TXT records.
func LookUp(ctx context.Context, domain string, lookup func(context.Context, string) ([]string, time.Duration, error)) Domain {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	d := Domain{Domain: domain}
	txt, _, err := lookup(ctx, "_dnslink."+domain)
	if err != nil {
		d.Err = fmt.Errorf("its DNSLink cannot be looked up: %w", err)
		return d
	}
	for _, entry := range txt {
		value, ok := strings.CutPrefix(strings.TrimSpace(entry), "dnslink=")
		if !ok || value == d.Value {
			continue
		}
		if d.Value != "" {
			d.Err = errors.New("it has several DNSLinks, of which programs take different ones")
		}
		d.Value = value
	}
	if d.Value == "" {
		d.Err = errors.New("it has no DNSLink")
	}
	return d
}
