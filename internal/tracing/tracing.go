// Package tracing makes spans of what takes time, for OpenTelemetry. Package otlp below it sends
// them.
//
// Contract: a span that nobody collects costs next to nothing, and what is traced never waits
// for a collector.
package tracing

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

// The spans of a node.
const (
	Publish = "ipns.publish" // a record is made, stored and announced
	Resolve = "ipns.resolve" // a path is resolved
	Put     = "ipns.put"     // a record is put on a DHT
	Get     = "ipns.get"     // a DHT is searched for records
)

// MaxText bounds the bytes of a text in a span, which may come from strangers.
const MaxText = 512

// text is a text as a span may have it. One that is not UTF-8 would take along all that are sent
// with it.
func text(s string) string { return strings.ToValidUTF8(s[:min(len(s), MaxText)], "\ufffd") }

var tracer = otel.Tracer("github.com/goipns/ipns")

func ended(error) {}

// Begin begins a span of what is done for a name or path. The caller calls end with how it
// ended.
func Begin(ctx context.Context, what string, name fmt.Stringer, network string) (_ context.Context, end func(error)) {
	ctx, span := tracer.Start(ctx, what)
	if !span.IsRecording() {
		return ctx, ended
	}
	span.SetAttributes(attribute.String("ipns.name", text(name.String())))
	if network != "" {
		span.SetAttributes(attribute.String("ipns.network", network))
	}
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, text(err.Error()))
		}
		span.End()
	}
}

// Path is the path of a span.
type Path string

// String returns it.
func (p Path) String() string { return string(p) }
