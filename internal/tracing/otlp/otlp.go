// Package otlp sends spans to a collector by OTLP over HTTP. It is off unless the environment asks
// for it, by the variables that OpenTelemetry has for that. The spans are those of package
// tracing, and those that libraries make.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/goipns/ipns/internal/tracing"
)

// stopTime bounds how long stop waits for the collector.
const stopTime = 2 * time.Second

// wanted reports whether the environment asks for traces.
func wanted() (bool, error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false, nil
	}
	switch kind := os.Getenv("OTEL_TRACES_EXPORTER"); kind {
	case "otlp":
	case "none":
		return false, nil
	case "":
		if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: use otlp or none", kind)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := os.Getenv(name); protocol {
		case "":
			continue
		case "http/protobuf":
		default:
			return false, fmt.Errorf("%s is %q: use http/protobuf", name, protocol)
		}
		break
	}
	return true, checkHeaders()
}

// checkHeaders refuses headers that the library would log and leave out: they are secret.
func checkHeaders() error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"} {
		for i, header := range strings.Split(os.Getenv(name), ",") {
			_, value, ok := strings.Cut(header, "=")
			_, err := url.PathUnescape(value)
			if header != "" && (!ok || err != nil) {
				return fmt.Errorf("%s: entry %d is not KEY=VALUE with the value as in a URL", name, i+1)
			}
		}
	}
	return nil
}

// Start sends spans to the collector that the environment names, until stop, which sends the
// last of them. It does nothing if the environment asks for none.
func Start(ctx context.Context, release string, log *slog.Logger) (stop func(), err error) {
	stop = func() {}
	on, err := wanted()
	if err != nil || !on {
		return stop, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return stop, fmt.Errorf("send traces: %w", err)
	}
	// What the environment says comes last, and wins.
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "ipns"), attribute.String("service.version", release)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return stop, errors.Join(fmt.Errorf("send traces: %w", err), exporter.Shutdown(ctx))
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were not sent", "err", err) }))
	// With a limit, attributes are also made UTF-8; one that is not would take along all that are
	// sent with it. Libraries have some that come from strangers.
	limits := trace.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = tracing.MaxText
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(res), trace.WithRawSpanLimits(limits))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not sent", "err", err)
		}
	}, nil
}
