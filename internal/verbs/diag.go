package verbs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	golog "github.com/ipfs/go-log/v2"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleDiag(m *rpc.Mux) {
	rpc.Handle(m, api.LogLevel, rpc.One(n.logLevel))
	rpc.Handle(m, api.LogLs, rpc.One(n.logLs))
	rpc.Handle(m, api.LogTail, rpc.One(n.logTail))
	rpc.Handle(m, api.DiagProfile, rpc.One(n.diagProfile))
	rpc.Handle(m, api.DiagSys, rpc.One(n.diagSys))
	rpc.Handle(m, api.DiagCmds, rpc.One(func(context.Context, api.DiagCmdsRequest) ([]rpc.Served, error) { return m.Served(), nil }))
	rpc.Handle(m, api.DiagCmdsClear, rpc.One(func(context.Context, api.DiagCmdsClearRequest) (rpc.Nothing, error) {
		m.ForgetServed()
		return rpc.Nothing{}, nil
	}))
	rpc.Handle(m, api.DiagCmdsSetTime, rpc.One(func(_ context.Context, req api.DiagCmdsSetTimeRequest) (rpc.Nothing, error) {
		d, err := time.ParseDuration(req.Time)
		if err == nil && d <= 0 {
			err = errors.New("the time is not above zero")
		}
		if err == nil {
			m.KeepServed(d)
		}
		return rpc.Nothing{}, err
	}))
}

// logLevel implements the command.
func (n *verbs) logLevel(_ context.Context, req api.LogLevelRequest) (api.LogLevels, error) {
	subsystem, level := req.Subsystem, req.Level
	if subsystem == "all" {
		subsystem = "*"
	}
	switch {
	case level != "":
		if level == "default" {
			level = golog.DefaultLevel().String()
		}
		if err := golog.SetLogLevel(subsystem, level); err != nil {
			return api.LogLevels{}, err
		}
		return api.LogLevels{Message: fmt.Sprintf("Changed log level of '%s' to '%s'\n", subsystem, level)}, nil
	case subsystem == "":
		return api.LogLevels{Levels: map[string]string{golog.DefaultName: golog.DefaultLevel().String()}}, nil
	case subsystem == "*":
		levels := golog.SubsystemLevelNames()
		levels["(default)"] = levels[golog.DefaultName]
		delete(levels, golog.DefaultName)
		return api.LogLevels{Levels: levels}, nil
	}
	level, err := golog.SubsystemLevelName(subsystem)
	return api.LogLevels{Levels: map[string]string{subsystem: level}}, err
}

// logLs implements the command.
func (n *verbs) logLs(context.Context, api.LogLsRequest) (api.StringList, error) {
	list := golog.GetSubsystems()
	slices.Sort(list)
	return api.StringList{Strings: list}, nil
}

// logTail implements the command.
func (n *verbs) logTail(ctx context.Context, req api.LogTailRequest) (rpc.Stream, error) {
	var options []golog.PipeReaderOption
	if req.Level != "" {
		level, err := golog.Parse(req.Level)
		if err != nil {
			return rpc.Stream{}, fmt.Errorf("setting log level %s: %w", req.Level, err)
		}
		options = append(options, golog.PipeLevel(level))
	}
	pipe := golog.NewPipeReader(options...)
	context.AfterFunc(ctx, func() { _ = pipe.Close() }) // ends with the request
	return rpc.Stream{ReadCloser: pipe, Type: "text/plain", Size: -1, Live: true}, nil
}

// diagSys implements the command.
func (n *verbs) diagSys(context.Context, api.DiagSysRequest) (map[string]any, error) {
	disk, err := machine.DiskAt(string(n.Repo))
	if err != nil {
		return nil, fmt.Errorf("look at the disk of the repo: %w", err)
	}
	addrs, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return nil, err
	}
	interfaces := []string{}
	for _, a := range addrs {
		interfaces = append(interfaces, a.String())
	}
	network := map[string]any{"interface_addresses": interfaces, "online": n.Host != nil}
	if at, err := n.Repo.Gateway(); err == nil {
		network["gateway"] = at
	}
	virt, swap, err := memory()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"diskinfo": map[string]any{
			"fstype":      disk.Type,
			"free_space":  disk.Free,
			"total_space": disk.Total,
		},
		"environment":  map[string]any{"GOPATH": os.Getenv("GOPATH"), "IPFS_PATH": os.Getenv("IPFS_PATH"), "IPNS_PATH": os.Getenv("IPNS_PATH")},
		"ipfs_commit":  "",
		"ipfs_version": node.Release,
		"memory":       map[string]any{"swap": swap, "virt": virt},
		"net":          network,
		"runtime": map[string]any{
			"arch": runtime.GOARCH, "compiler": runtime.Compiler, "gomaxprocs": runtime.GOMAXPROCS(0), "numcpu": runtime.NumCPU(),
			"numgoroutines": runtime.NumGoroutine(), "os": runtime.GOOS, "version": runtime.Version(),
		},
	}, nil
}

// memory returns how much address space and swap this process uses, in bytes; zero where the
// system does not say.
func memory() (virt, swap int64, err error) {
	b, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kB, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "VmSize:":
			virt = kB << 10
		case "VmSwap:":
			swap = kB << 10
		}
	}
	return virt, swap, nil
}
