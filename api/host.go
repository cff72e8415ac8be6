package api

import (
	"io"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// hostCommands are the commands of this file and of hosttoken.go.
var hostCommands = []rpc.Spec{
	HostTokenCreate, HostTokenList, HostTokenRotate, HostTokenRevoke,
	HostList, HostShow, HostExport, HostImport, HostRemove,
	HostTenantSet, HostTenantList, HostTenantExport, HostTenantRemove,
	HostDenyAdd, HostDenyList, HostDenyRm, HostAudit,
}

var (
	// HostList: list hosted names.
	HostList = rpc.Command[HostListRequest, HostedName]{
		Info: rpc.Info{
			Path:     "host/list",
			Short:    "List the names that are kept for others",
			Long:     "List the names that are kept for others: tenant, sequence, when the record ends\nand whether that is soon. A record that ends cannot be renewed here.",
			Examples: []string{`ipns host list`, `ipns host list --tenant=friends --at-risk`},
			Chunked:  true,
		},
		Text: HostListRequest.Text,
	}
	// HostShow: show a hosted name.
	HostShow = rpc.Command[HostShowRequest, HostedName]{
		Info: rpc.Info{
			Path: "host/show", Args: "<name>",
			Short:    "Show a name that is kept for others",
			Examples: []string{`ipns host show $HOSTED`},
		},
		Text: HostShowRequest.Text,
	}
	// HostExport: print hosted records.
	HostExport = rpc.Command[HostExportRequest, rpc.Stream]{
		Info: rpc.Info{
			Path:     "host/export",
			Short:    "Print the records that are kept for others, to be imported elsewhere",
			Examples: []string{`ipns host export > hosted.ndjson`, `ipns host export --tenant=friends --format=tar > friends.tar`},
		},
	}
	// HostImport: take records.
	HostImport = rpc.Command[HostImportRequest, HostImported]{
		Info: rpc.Info{
			Path: "host/import", Args: "<path>...",
			Short: "Keep the records of an export for others",
			Long: "Keep records for others: those of 'ipns host export' as NDJSON or tar. A line of\n" +
				"NDJSON has Name, Record (base64) and Tenant; a tar has files\n" +
				"TENANT/NAME.ipns-record.\n\n" +
				"A record that is refused does not end it, but for a quota: what was taken until\n" +
				"then stays, and the same import goes on from there, as it does after it was\n" +
				"interrupted.",
			Examples: []string{`ipns host import --tenant=friends hosted.ndjson`},
			Chunked:  true,
		},
		Text: HostImportRequest.Text,
	}
	// HostRemove: let hosted names go.
	HostRemove = rpc.Command[HostRemoveRequest, HostRemoved]{
		Info: rpc.Info{
			Path: "host/remove", Args: "<name>...",
			Short:    "Keep names for others no longer",
			Examples: []string{`ipns host remove $HOSTED`},
			Chunked:  true,
		},
		Text: HostRemoveRequest.Text,
	}
	// HostTenantSet: say what a tenant may have.
	HostTenantSet = rpc.Command[HostTenantSetRequest, HostTenant]{
		Info: rpc.Info{
			Path: "host/tenant/set", Args: "<tenant>",
			Short:    "Say what a tenant may have, and make it if there is none",
			Examples: []string{`ipns host tenant set --names=1000 friends`},
		},
		Text: HostTenantSetRequest.Text,
	}
	// HostTenantList: list tenants.
	HostTenantList = rpc.Command[HostTenantListRequest, HostTenants]{
		Info: rpc.Info{
			Path:     "host/tenant/list",
			Short:    "List tenants, what they have and what they may have",
			Examples: []string{`ipns host tenant list`},
		},
		Text: HostTenantListRequest.Text,
	}
	// HostTenantExport: print the records of a tenant.
	HostTenantExport = rpc.Command[HostTenantExportRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "host/tenant/export", Args: "<tenant>",
			Short:    "Print the records of a tenant",
			Examples: []string{`ipns host tenant export friends > friends.ndjson`},
		},
	}
	// HostTenantRemove: remove a tenant.
	HostTenantRemove = rpc.Command[HostTenantRemoveRequest, HostRemoved]{
		Info: rpc.Info{
			Path: "host/tenant/remove", Args: "<tenant>",
			Short:    "Remove a tenant with its tokens and names",
			Examples: []string{`ipns host tenant remove friends`},
		},
		Text: HostTenantRemoveRequest.Text,
	}
)

// HostListRequest lists hosted names.
type HostListRequest struct {
	Tenant string `opt:"tenant" help:"only of this tenant"`
	AtRisk bool   `opt:"at-risk" help:"only those whose record ends soon"`
}

// HostedName is a name that is kept for somebody.
type HostedName struct {
	Name     string
	Tenant   string `json:",omitempty"` // "": the operator's; @ADDRESS: somebody without a token
	Value    string
	Sequence uint64
	EOL      time.Time
	Status   string // "ok" or "at risk"
	Since    time.Time
	Bytes    int
}

// Statuses of a hosted name.
const (
	HostedOK     = "ok"
	HostedAtRisk = "at risk"
)

// Text is one line.
func (HostListRequest) Text(n HostedName) string {
	return display.Sprintf("%s  %-12s  %6d  %s  %s\n", n.Name, orDash(n.Tenant), n.Sequence, n.EOL.UTC().Format(time.RFC3339), n.Status)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// HostShowRequest shows a hosted name.
type HostShowRequest struct {
	Name string `arg:"name"`
}

// Text is a table.
func (HostShowRequest) Text(n HostedName) string {
	return table(func(w io.Writer) {
		display.Fprintf(w, "Name:\t%s\n", n.Name)
		display.Fprintf(w, "Tenant:\t%s\n", orDash(n.Tenant))
		display.Fprintf(w, "Value:\t%s\n", n.Value)
		display.Fprintf(w, "Sequence:\t%d\n", n.Sequence)
		display.Fprintf(w, "EOL:\t%s (%s)\n", n.EOL.UTC().Format(time.RFC3339), n.Status)
		display.Fprintf(w, "Since:\t%s\n", n.Since.UTC().Format(time.RFC3339))
		display.Fprintf(w, "Bytes:\t%d\n", n.Bytes)
	})
}

// HostExportRequest reads hosted records.
type HostExportRequest struct {
	Tenant string `opt:"tenant" help:"only of this tenant (default: all)"`
	Format string `opt:"format" default:"ndjson" help:"ndjson or tar"`
}

// HostImportRequest takes records.
type HostImportRequest struct {
	Files
	Tenant string `opt:"tenant" help:"keep all of them for this tenant (default: as the export says)"`
	Quiet  bool   `opt:"quiet,q" help:"print the end only"`
}

// HostImported is how far an import is. All numbers are sums.
type HostImported struct {
	Read     int
	Taken    int            // that are new here
	Same     int            // that were here already
	Warned   int            // of those taken, that do not last long
	Refused  map[string]int `json:",omitempty"` // by reason
	Refusals []string       `json:",omitempty"` // that were not told before
	Done     bool
}

// Text is a line for each refusal and one for the sums.
func (req HostImportRequest) Text(i HostImported) string {
	var b strings.Builder
	for _, r := range i.Refusals {
		display.Fprintf(&b, "refused: %s\n", r)
	}
	if req.Quiet && !i.Done {
		return b.String()
	}
	refused := 0
	for _, n := range i.Refused {
		refused += n
	}
	what := "read"
	if i.Done {
		what = "imported: read"
	}
	display.Fprintf(&b, "%s %d, new %d, here already %d, refused %d", what, i.Read, i.Taken, i.Same, refused)
	if i.Warned > 0 {
		display.Fprintf(&b, "; %d of the new do not last long", i.Warned)
	}
	b.WriteString("\n")
	return b.String()
}

// Failed implements [rpc.Failer].
func (*HostImportRequest) Failed(err error) any { return failed(err) }

// HostRemoveRequest lets names go.
type HostRemoveRequest struct {
	Names []string `arg:"name,stdin"`
}

// HostRemoved is what was removed.
type HostRemoved struct {
	Name   string `json:",omitempty"`
	Tenant string `json:",omitempty"`
	Names  int    // of a tenant
}

// Text is one line.
func (HostRemoveRequest) Text(r HostRemoved) string { return display.Sprintf("removed %s\n", r.Name) }

// HostQuota is what a tenant may have. What is 0 stays as it is, or is the default.
type HostQuota struct {
	Names         int    `opt:"names" help:"how many names the tenant may have"`
	PutsPerMinute int    `opt:"puts-per-minute" help:"how many records it may put in a minute"`
	Bytes         string `opt:"bytes" help:"how much its records may have, such as 10MB"`
	PinnedBytes   string `opt:"pinned-bytes" help:"how much content it may keep here, such as 1GB"`
}

// HostTenantSetRequest changes what a tenant may have.
type HostTenantSetRequest struct {
	HostQuota
	Tenant string `arg:"tenant"`
}

// HostTenant is a tenant.
type HostTenant struct {
	Tenant    string
	Names     int   // that it has
	Custodial int   // whose keys are kept here
	Bytes     int64 // of its records
	AtRisk    int   // names whose record ends soon
	// Soonest is when the first of its records ends; zero: it has none. As Puts and Refused
	// it is shown of the tenants with most names.
	Soonest time.Time `json:",omitzero"`
	// Puts counts records that were taken or were here already, Refused requests that were
	// refused, by why, both since the start.
	Puts    uint64
	Refused map[string]uint64 `json:",omitempty"`

	Pins        int    // trees that it asked to keep
	PinnedBytes uint64 // of them

	MaxNames, PutsPerMinute  int
	MaxBytes, MaxPinnedBytes int64
	Created                  time.Time `json:",omitzero"`
}

// Text is one line.
func (HostTenantSetRequest) Text(t HostTenant) string {
	return display.Sprintf("%s may have %d names and %d bytes of records, and put %d a minute\n", t.Tenant, t.MaxNames, t.MaxBytes, t.PutsPerMinute)
}

// HostTenantListRequest lists tenants.
type HostTenantListRequest struct{}

// HostTenants are the tenants, and addresses that have names without a token.
type HostTenants struct{ Tenants []HostTenant }

// Text is a table.
func (HostTenantListRequest) Text(l HostTenants) string {
	return table(func(w io.Writer) {
		display.Fprintf(w, "TENANT\tNAMES\tOF\tAT RISK\tBYTES\tOF\n")
		for _, t := range l.Tenants {
			display.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", orDash(t.Tenant), t.Names+t.Custodial, t.MaxNames, t.AtRisk, t.Bytes, t.MaxBytes)
		}
	})
}

// HostTenantExportRequest reads the records of a tenant.
type HostTenantExportRequest struct {
	Tenant string `arg:"tenant"`
	Format string `opt:"format" default:"ndjson" help:"ndjson or tar"`
}

// HostTenantRemoveRequest removes a tenant.
type HostTenantRemoveRequest struct {
	Tenant string `arg:"tenant"`
}

// Text is one line.
func (HostTenantRemoveRequest) Text(r HostRemoved) string {
	return display.Sprintf("removed %s with %d names\n", r.Tenant, r.Names)
}
