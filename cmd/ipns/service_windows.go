package main

import (
	"bytes"
	"context"
	"strings"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// serviceName is under what a service writes its events. Its own name is the business of
// whoever installs it.
const serviceName = "ipns"

// runAsService runs the command line as a Windows service, if that is what this process is:
// 'ipns daemon', which ends when the service is stopped. What it prints is in the event log.
func runAsService(args []string) (code int, ok bool) {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return 0, false
	}
	s := &service{args: args}
	if err := svc.Run(serviceName, s); err != nil {
		return 1, true
	}
	return s.code, true
}

// service is a command line that runs as a service.
type service struct {
	args []string
	code int
}

// startHint is for how many milliseconds Windows believes that a service starts.
const startHint = 60_000

// Execute implements [svc.Handler].
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	status <- svc.Status{State: svc.StartPending, WaitHint: startHint}
	log, err := eventlog.Open(serviceName)
	if err != nil {
		return true, 1
	}
	defer log.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready := make(chan struct{}, 1)
	ended := make(chan int, 1)
	go func() {
		out := &events{report: log.Info, ready: ready}
		ended <- run(ctx, s.args, strings.NewReader(""), out, &events{report: log.Warning})
	}()
	for {
		select {
		case <-ready:
			status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: startHint}
				stop()
			}
		case s.code = <-ended:
			return s.code != 0, uint32(s.code)
		}
	}
}

// eventID is that of all events; what they say is their text.
const eventID = 1

// events writes each text as an event.
type events struct {
	report func(id uint32, text string) error
	ready  chan<- struct{} // gets a value when a text says that the daemon is ready; nil: none
}

func (e *events) Write(p []byte) (int, error) {
	if e.ready != nil && bytes.Contains(p, []byte(daemonReady)) {
		select {
		case e.ready <- struct{}{}:
		default: // it was said before
		}
	}
	text := strings.ReplaceAll(strings.TrimSpace(string(p)), "\x00", "")
	if text == "" {
		return len(p), nil
	}
	return len(p), e.report(eventID, text)
}
