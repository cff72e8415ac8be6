package main

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
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

// core is the name under which the log of the node itself has a level, beside libraries.
const core = "core"

// logger is the log of the node in this process, in JSON if $GOLOG_LOG_FMT says so, which is
// that of libraries, too.
func (c *cli) logger() *slog.Logger {
	golog.Logger(core) // so that it has a level
	o := &slog.HandlerOptions{Level: coreLevel{}}
	if golog.GetConfig().Format == golog.JSONOutput {
		return slog.New(slog.NewJSONHandler(c.errOut, o))
	}
	return slog.New(slog.NewTextHandler(c.errOut, o))
}

// coreLevel is the level of the node's own log. At error, the default of libraries, it also
// says warnings.
type coreLevel struct{}

// Level implements [slog.Leveler].
func (coreLevel) Level() slog.Level {
	switch level, _ := golog.SubsystemLevelName(core); level {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	case "dpanic", "panic", "fatal":
		return slog.LevelError + 1
	}
	return slog.LevelWarn
}

// tail follows a log. What it says may come from other peers, and is escaped.
func (c *cli) tail(ctx context.Context, n rpc.Caller, _ rpc.Spec, req any) error {
	s, err := rpc.Do(ctx, n, api.LogTail, *req.(*api.LogTailRequest))
	if err != nil {
		return err
	}
	_, err = io.Copy(c.out, s)
	return errors.Join(err, s.Close())
}
