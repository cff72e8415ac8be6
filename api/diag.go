package api

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// diagCommands are the commands of this file.
var diagCommands = []rpc.Spec{LogLevel, LogLs, LogTail, DiagCmds, DiagCmdsClear, DiagCmdsSetTime, DiagProfile, DiagSys}

var (
	// LogLevel: show or set how much is logged.
	LogLevel = rpc.Command[LogLevelRequest, LogLevels]{
		Info: rpc.Info{
			Path: "log/level", Args: "[<subsystem> [<level>]]",
			Short: "Show or set how much the daemon logs",
			Long: `Show or set how much the daemon logs.

The subsystem core is the node itself, the others are libraries; all stands for
every one, and for the default. Levels are debug, info, warn, error, dpanic,
panic, fatal, and default. At error, the default, core says warnings too.`,
			Examples: []string{`ipns log level`, `ipns log level core debug`, `ipns log level all`},
			Daemon:   true,
		},
		Text: LogLevelRequest.Text,
	}
	// LogLs: list what logs.
	LogLs = rpc.Command[LogLsRequest, StringList]{
		Info: rpc.Info{
			Path:     "log/ls",
			Short:    "List the subsystems that log",
			Examples: []string{`ipns log ls`},
			Local:    true,
		},
		Text: LogLsRequest.Text,
	}
	// LogTail: follow the log of libraries.
	LogTail = rpc.Command[LogTailRequest, rpc.Stream]{
		Info: rpc.Info{
			Path:     "log/tail",
			Short:    "Follow the log of libraries, as JSON",
			Examples: []string{`timeout 1 ipns log tail || true`},
			Daemon:   true,
		},
	}
	// DiagCmds: list requests.
	DiagCmds = rpc.Command[DiagCmdsRequest, []rpc.Served]{
		Info: rpc.Info{
			Path:     "diag/cmds",
			Short:    "List the requests that the daemon serves, and the last that it served",
			Examples: []string{`ipns diag cmds`},
			Instant:  true,
			Daemon:   true,
		},
		Text: DiagCmdsRequest.Text,
	}
	// DiagCmdsClear: forget requests that ended.
	DiagCmdsClear = rpc.Command[DiagCmdsClearRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path:     "diag/cmds/clear",
			Short:    "Forget the requests that ended",
			Examples: []string{`ipns diag cmds clear`},
			Daemon:   true,
		},
	}
	// DiagCmdsSetTime: set how long requests are remembered.
	DiagCmdsSetTime = rpc.Command[DiagCmdsSetTimeRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path: "diag/cmds/set-time", Args: "<time>",
			Short:    "Set how long requests that ended are remembered",
			Examples: []string{`ipns diag cmds set-time 10m`},
			Daemon:   true,
		},
	}
	// DiagProfile: measure the daemon.
	DiagProfile = rpc.Command[DiagProfileRequest, rpc.Stream]{
		Info: rpc.Info{
			Path:  "diag/profile",
			Short: "Measure the daemon, and write a zip archive of profiles",
			Long: `Measure the daemon, and write a zip archive of profiles, for 'go tool pprof'.

The archive has stacks and counts of functions, the version, and a copy of the
program. It has nothing of the config, of keys, records or content. What takes
samples does so for --profile-time, at most five minutes; with 0 it is left out.`,
			Examples: []string{`ipns diag profile --profile-time=1s`, `ipns diag profile --profile-time=0 --collectors=heap,version -o profile.zip`},
			Daemon:   true,
		},
	}
	// DiagSys: describe the machine.
	DiagSys = rpc.Command[DiagSysRequest, map[string]any]{
		Info: rpc.Info{
			Path:     "diag/sys",
			Short:    "Describe the machine that the node runs on",
			Examples: []string{`ipns diag sys`},
		},
		Text: DiagSysRequest.Text,
	}
)

// LogLevelRequest shows or sets levels.
type LogLevelRequest struct {
	Subsystem string `arg:"subsystem,optional"`
	Level     string `arg:"level,optional"`
}

// LogLevels are the levels of subsystems, or says which were changed.
type LogLevels struct {
	Levels  map[string]string `json:",omitempty"`
	Message string            `json:",omitempty"`
}

// Text is the level alone, if there is one.
func (LogLevelRequest) Text(l LogLevels) string {
	if l.Message != "" {
		return display.Sprintf("%s\n", strings.TrimSuffix(l.Message, "\n"))
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.Levels)) {
		if len(l.Levels) > 1 {
			display.Fprintf(&b, "%s: ", name)
		}
		display.Fprintf(&b, "%s\n", l.Levels[name])
	}
	return b.String()
}

// LogLsRequest lists subsystems.
type LogLsRequest struct{}

// StringList is a list of texts.
type StringList struct{ Strings []string }

// Text is one per line.
func (LogLsRequest) Text(l StringList) string {
	var b strings.Builder
	for _, s := range l.Strings {
		display.Fprintf(&b, "%s\n", s)
	}
	return b.String()
}

// LogTailRequest follows a log.
type LogTailRequest struct {
	Level string `opt:"log-level" help:"leave out what is below this level"`
}

// DiagCmdsRequest lists requests.
type DiagCmdsRequest struct {
	Verbose bool `opt:"verbose,v" help:"print ids, first arguments and options too"`
}

// Text is a table.
func (req DiagCmdsRequest) Text(list []rpc.Served) string {
	return table(func(tw io.Writer) {
		more := ""
		if req.Verbose {
			display.Fprint(tw, "ID\t")
			more = "Arguments\tOptions\t"
		}
		display.Fprintf(tw, "Command\t")
		_, _ = io.WriteString(tw, more+"Active\tStartTime\tRunTime\n")
		for _, s := range list {
			if req.Verbose {
				display.Fprintf(tw, "%d\t", s.ID)
			}
			display.Fprintf(tw, "%s\t", s.Command)
			if req.Verbose {
				display.Fprintf(tw, "%v\t", s.Args)
				var options []string
				for _, k := range slices.Sorted(maps.Keys(s.Options)) {
					options = append(options, k+"="+fmt.Sprint(s.Options[k]))
				}
				display.Fprintf(tw, "%s\t", "["+strings.Join(options, ",")+"]")
			}
			took := s.EndTime.Sub(s.StartTime)
			if s.Active {
				took = time.Since(s.StartTime)
			}
			display.Fprintf(tw, "%t\t%s\t%s\n", s.Active, s.StartTime.Format(time.Stamp), took)
		}
	})
}

// DiagCmdsClearRequest forgets requests.
type DiagCmdsClearRequest struct{}

// DiagCmdsSetTimeRequest sets a time.
type DiagCmdsSetTimeRequest struct {
	Time string `arg:"time"`
}

// DiagSysRequest describes the machine.
type DiagSysRequest struct{}

// Text is JSON, as Kubo prints it.
func (DiagSysRequest) Text(info map[string]any) string { return jsonLine(info) }

// DiagProfileRequest measures the daemon.
type DiagProfileRequest struct {
	Output     string `opt:"output,o" help:"the file (default ipfs-profile-TIME.zip)"`
	Collectors string `opt:"collectors" help:"what to collect, with commas between: goroutines-stack, goroutines-pprof, version, heap, allocs, bin, cpu, mutex, block, trace (default all)"`
	Time       string `opt:"profile-time" default:"30s" help:"how long samples are taken"`
	Mutexes    int    `opt:"mutex-profile-fraction" default:"4" help:"note one of this many contended locks"`
	Blocks     string `opt:"block-profile-rate" default:"1ms" help:"note a goroutine that blocks this long, on the average"`
}
