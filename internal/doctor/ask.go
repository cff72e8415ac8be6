package doctor

import (
	"context"
	"net/http"
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
