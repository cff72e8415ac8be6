package main

import (
	"io"
	"log"
	"log/slog"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/goipns/ipns/internal/display"
)

// escapeLibraryLogs makes the loggers of libraries write to w, escaped, since what they
// log may come from other peers. Call it before they log. Output to a file or URL
// ($GOLOG_FILE, $GOLOG_OUTPUT) is not escaped.
func escapeLibraryLogs(w io.Writer) {
	out := display.Lines{W: w}
	log.SetOutput(out)
	if c := golog.GetConfig(); c.Stderr && !c.Stdout && c.File == "" && c.URL == "" {
		golog.SetPrimaryCore(libraryCore(c, out))
	}
	gologshim.SetDefaultHandler(golog.SlogHandler()) // otherwise libp2p writes to os.Stderr
}

// libraryCore writes in go-log's format, but without colors.
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

// debugLibraries makes the loggers of libraries say everything.
func debugLibraries() { golog.SetDebugLogging() }

// logger is the log of the node in this process.
func (c *cli) logger() *slog.Logger {
	level := slog.LevelWarn
	if c.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.errOut, &slog.HandlerOptions{Level: level}))
}
