package rpc

import (
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goipns/ipns/internal/display"
)

// printer is implemented by every request: what the command prints of a
// response. It writes values by way of package display, or they are bytes that
// were asked for.
type printer[Resp any] interface{ Text(Resp) string }

// TextOf is what the command prints of a response, or why it cannot print it.
func TextOf[Req printer[Resp], Resp any](req Req, v Resp) (string, error) {
	if c, ok := any(req).(interface{ Check(Resp) error }); ok {
		if err := c.Check(v); err != nil {
			return "", err
		}
	}
	text := req.Text(v)
	if _, ok := any(req).(interface{ Exact() }); ok {
		return text, nil
	}
	return display.Clean(text), nil
}

// table aligns the columns that fill writes, separated by tabs.
func table(fill func(io.Writer)) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fill(tw)
	tw.Flush()
	return b.String()
}
