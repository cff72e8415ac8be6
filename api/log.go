package api

import (
	"io"
	"time"

	"github.com/goipns/ipns/internal/display"
)

// LogRequest lists the past values of a name.
type LogRequest struct {
	Name string `arg:"name,optional"`
}

// Log is the history of a name, newest first.
type Log struct {
	Name    string
	Entries []LogEntry
}

// LogEntry is a past value of a name.
type LogEntry struct {
	Sequence uint64
	Value    string
	EOL      time.Time
	At       time.Time // when it was entered on this node
	Current  bool
}

// Text is one line per entry.
func (LogRequest) Text(l Log) string {
	return table(func(tw io.Writer) {
		for _, e := range l.Entries {
			note := ""
			if e.Current {
				note = " (current)"
			}
			display.Fprintf(tw, "%d\t%s\t%s%s\n", e.Sequence, e.At.UTC().Format(time.RFC3339), e.Value, note)
		}
	})
}

// RollbackRequest publishes an old value of a name again.
type RollbackRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Name         string  `arg:"name"`
	To           string  `arg:"sequence or cid,optional"`
	Force        bool    `opt:"force" help:"publish it even if not all of its content is here, or if the name led to another name"`
	IfSequence   *uint64 `opt:"if-sequence" help:"publish only if this is the last sequence number of the name"`
	AllowOffline bool    `opt:"allow-offline" help:"succeed once the record is stored"`
	Quieter      bool    `opt:"quieter,Q" help:"print only the name"`
	Wait         string  `opt:"wait" help:"what to wait for, as in name publish"`
	Progress     bool    `opt:"progress,p" chunked:"true" help:"report each server that answers"`
}

// Failed implements [rpc.Failer].
func (*RollbackRequest) Failed(err error) any { return failed(err) }

// Text is the line of a publish.
func (req RollbackRequest) Text(p Published) string {
	return PublishRequest{Quieter: req.Quieter}.Text(p)
}
