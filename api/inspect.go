package api

import (
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goipns/ipns/internal/display"
)

// InspectRequest shows the content of a record.
type InspectRequest struct {
	Record io.Reader `file:"record,stdin"`
	Verify string    `opt:"verify" help:"the name whose record this should be"`
	Dump   bool      `opt:"dump" default:"true" help:"add a hex dump"`
}

// Inspected is what a record contains. Fields that it does not contain are nil.
type Inspected struct {
	Entry         InspectedEntry
	PbSize        int
	SignatureType string
	HexDump       string
	Validation    *InspectedValidation
}

// InspectedEntry holds the fields of a record. TTL is in nanoseconds.
type InspectedEntry struct {
	Value        string
	ValidityType *int64
	Validity     *time.Time
	Sequence     *uint64
	TTL          *time.Duration
}

// InspectedValidation says whether the record is valid now.
type InspectedValidation struct {
	Valid  bool
	Reason string
	Name   string
}

// isDump matches the lines of a hex dump.
var isDump = regexp.MustCompile(`^[0-9a-f]{8}  [0-9a-f ]+\|[ -~]{1,16}\|\n$`)

// Text is one field per line, aligned.
func (InspectRequest) Text(in Inspected) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(label, format string, v any) { display.Fprintf(tw, "%s:\t"+format+"\n", label, v) }
	e := in.Entry
	line("Value", "%q", e.Value)
	if e.ValidityType != nil {
		line("Validity Type", "%d", *e.ValidityType)
	}
	if e.Validity != nil {
		line("Validity", "%q", e.Validity.Format(time.RFC3339Nano))
	}
	if e.Sequence != nil {
		line("Sequence", "%d", *e.Sequence)
	}
	if e.TTL != nil {
		line("TTL", "%s", *e.TTL)
	}
	line("Protobuf Size", "%d", in.PbSize)
	line("Signature Type", "%s", in.SignatureType)
	if v := in.Validation; v == nil {
		tw.Flush()
		b.WriteString("\nThis record was not verified. Pass '--verify k51...' to verify.\n")
	} else {
		display.Fprintf(tw, "\nValidation results:\n")
		line(" Valid", "%v", v.Valid)
		if v.Reason != "" {
			line(" Reason", "%s", v.Reason)
		}
		line(" Name", "%s", v.Name)
		tw.Flush()
	}
	if in.HexDump != "" {
		b.WriteString("\nHex Dump:\n")
		for line := range strings.Lines(in.HexDump) {
			if !isDump.MatchString(line) {
				display.Fprintln(&b, in.HexDump) // not a dump made by this program
				break
			}
			b.WriteString(line)
		}
	}
	return b.String()
}
