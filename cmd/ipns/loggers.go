package main

import (
	"io"
	"log"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/goipns/ipns/internal/display"
)

// escapeLibraryLogs makes the loggers of libraries write to w, escaped: what they log
// may come from other peers. Call it before they log. What the user has them write to
// a file or a URL ($GOLOG_FILE, $GOLOG_OUTPUT) goes there as it is.
func escapeLibraryLogs(w io.Writer) {
	out := display.Lines{W: w}
	log.SetOutput(out)
	if c := golog.GetConfig(); c.Stderr && !c.Stdout && c.File == "" && c.URL == "" {
		golog.SetPrimaryCore(libraryCore(c, out))
	}
	gologshim.SetDefaultHandler(golog.SlogHandler()) // else libp2p writes to os.Stderr
}

// libraryCore writes as go-log does, but without colors.
func libraryCore(c golog.Config, out io.Writer) zapcore.Core {
	entry := zap.NewProductionEncoderConfig()
	entry.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder := zapcore.NewJSONEncoder(entry)
	if c.Format != golog.JSONOutput {
		entry.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(entry)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), zap.DebugLevel)
	for k, v := range c.Labels {
		core = core.With([]zapcore.Field{zap.String(k, v)})
	}
	return core
}
