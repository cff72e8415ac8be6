package main

import (
	"bytes"
	"errors"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"

	"github.com/goipns/ipns/internal/display"
)

// What a peer sends may be logged by go-log, by libp2p, or by package log.
func TestLibrariesLogNothingThatATerminalObeys(t *testing.T) { // kind 7
	const remote = "evil\x1b]0;owned\x07\r\u202e\nforged line"
	for _, format := range []golog.LogFormat{golog.ColorizedOutput, golog.JSONOutput} {
		before := golog.GetConfig()
		config := golog.Config{Format: format, Level: golog.LevelError, Stderr: true}
		golog.SetupLogging(config)
		var out bytes.Buffer
		escapeLibraryLogs(&out)
		t.Cleanup(func() {
			golog.SetupLogging(before)
			log.SetOutput(os.Stderr)
		})

		golog.Logger("test-go-log").Errorw(remote, "value", remote, "error", errors.New(remote))
		gologshim.Logger("test-libp2p").Error(remote, "value", remote, "error", errors.New(remote))
		log.Print(remote)
		slog.Error(remote, "value", remote)

		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 4 {
			t.Errorf("format %d: four entries make %d lines: %q", format, len(lines), lines)
		}
		for _, line := range lines {
			if !strings.Contains(line, "evil") || display.Clean(line) != line {
				t.Errorf("format %d: %q", format, line)
			}
		}
	}
}
