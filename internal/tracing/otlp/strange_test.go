package otlp

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns/internal/tracing"
)

// TestStrangePathsAreTracedShort: a path that a stranger asked for is no reason to lose the
// spans sent with it, or to keep all of it in memory.
func TestStrangePathsAreTracedShort(t *testing.T) {
	var mu sync.Mutex // guards texts
	var texts []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(b, &req)); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range req.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, span := range scope.Spans {
					texts = append(texts, span.Attributes[0].Value.GetStringValue(), span.Status.GetMessage())
				}
			}
		}
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	var log bytes.Buffer
	stop, err := Start(t.Context(), "1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/ipns/a\xffb", "/ipns/" + strings.Repeat("é", 100_000)} {
		_, end := tracing.Begin(t.Context(), tracing.Resolve, tracing.Path(path), "")
		end(errors.New("no such name: " + path))
	}
	_, span := otel.Tracer("a library").Start(t.Context(), "find")
	span.SetAttributes(attribute.String("path", "/ipfs/a\xff"+strings.Repeat("b", 100_000)))
	span.End()
	if stop(); log.Len() > 0 {
		t.Error(log.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(texts) != 6 || texts[0] != "/ipns/a\ufffdb" {
		t.Errorf("sent: %d texts, the first %.40q", len(texts), texts)
	}
	for _, text := range texts {
		if len(text) > 1024 {
			t.Errorf("a text of %d bytes was sent", len(text))
		}
	}
}
