package api

import (
	"io"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

var (
	// HostTokenCreate: make a token.
	HostTokenCreate = rpc.Command[HostTokenCreateRequest, HostToken]{
		Info: rpc.Info{
			Path:  "host/token/create",
			Short: "Make a token, with which a tenant puts names here",
			Long: "Make a token for a tenant, which is made if there is none. It is shown once.\n\n" +
				"A scope is put (records of any name that were signed elsewhere), publish:NAME\n" +
				"(this name alone, or the label of one whose key is kept here; publish:* for\n" +
				"all), or read.",
			Examples: []string{`ipns host token create --tenant=friends`, `ipns host token create --tenant=friends --names=100 --scope=publish:blog --expires=720h`},
		},
		Text: func(_ HostTokenCreateRequest, t HostToken) string { return display.Sprintf("%s\n", t.Token) },
	}
	// HostTokenList: list tokens.
	HostTokenList = rpc.Command[HostTokenListRequest, HostTokens]{
		Info: rpc.Info{
			Path:     "host/token/list",
			Short:    "List tokens, by their IDs",
			Examples: []string{`ipns host token list --tenant=friends`},
		},
		Text: HostTokenListRequest.Text,
	}
	// HostTokenRevoke: end tokens.
	HostTokenRevoke = rpc.Command[HostTokenRevokeRequest, HostToken]{
		Info: rpc.Info{
			Path: "host/token/revoke", Args: "<id>...",
			Short:    "End tokens at once",
			Examples: []string{`ipns host token revoke $ID`},
			Chunked:  true,
		},
		Text: func(_ HostTokenRevokeRequest, t HostToken) string { return display.Sprintf("revoked %s\n", t.ID) },
	}
	// HostTokenRotate: replace a token.
	HostTokenRotate = rpc.Command[HostTokenRotateRequest, HostToken]{
		Info: rpc.Info{
			Path: "host/token/rotate", Args: "<id>",
			Short:    "Make a token like another, which ends some time later",
			Examples: []string{`ipns host token rotate --overlap=24h $ID`},
		},
		Text: func(_ HostTokenRotateRequest, t HostToken) string { return display.Sprintf("%s\n", t.Token) },
	}
	// HostDenyAdd: refuse names and tenants.
	HostDenyAdd = rpc.Command[HostDenyAddRequest, HostDenial]{
		Info: rpc.Info{
			Path: "host/deny/add", Args: "<name or tenant>",
			Short: "Refuse a name or a tenant",
			Long: "Refuse a name or a tenant. A name is then no longer kept nor shown. The names of\n" +
				"a tenant stay until 'ipns host tenant remove'.",
			Examples: []string{`ipns host deny add --reason=spam $HOSTED`, `ipns host deny add mallory`},
		},
		Text: func(_ HostDenyAddRequest, d HostDenial) string {
			return display.Sprintf("denied %s %s\n", d.What, d.Which)
		},
	}
	// HostDenyList: show what is refused.
	HostDenyList = rpc.Command[HostDenyListRequest, HostDenials]{
		Info: rpc.Info{
			Path:     "host/deny/list",
			Short:    "Show which names and tenants are refused",
			Examples: []string{`ipns host deny list`},
		},
		Text: HostDenyListRequest.Text,
	}
	// HostDenyRm: refuse no longer.
	HostDenyRm = rpc.Command[HostDenyRmRequest, HostDenial]{
		Info: rpc.Info{
			Path: "host/deny/rm", Args: "<name or tenant>",
			Short:    "Refuse a name or a tenant no longer",
			Examples: []string{`ipns host deny rm mallory`},
		},
		Text: func(_ HostDenyRmRequest, d HostDenial) string {
			return display.Sprintf("no longer denied: %s\n", d.Which)
		},
	}
	// HostAudit: show who did what.
	HostAudit = rpc.Command[HostAuditRequest, HostAuditLine]{
		Info: rpc.Info{
			Path:  "host/audit",
			Short: "Show who put, removed or changed what, and when",
			Long: "Show who put, removed or changed what, and when. Each line has a hash over\n" +
				"itself and the line before: --verify fails at the first that was changed or is\n" +
				"missing.",
			Examples: []string{`ipns host audit --verify`, `ipns host audit --tenant=friends --json`},
			Chunked:  true,
		},
		Text: HostAuditRequest.Text,
	}
)

// HostTokenCreateRequest makes a token.
type HostTokenCreateRequest struct {
	HostQuota
	Tenant  string        `opt:"tenant" help:"whose token it is: a-z, 0-9, '.', '_', '-'"`
	Scopes  []string      `opt:"scope" help:"what it allows: put, read or publish:NAME; may be repeated (default put)"`
	Expires time.Duration `opt:"expires" help:"after this time (default: never)"`
}

// HostToken is a token.
type HostToken struct {
	ID      string
	Tenant  string
	Scopes  []string
	Created time.Time
	Expires time.Time `json:",omitzero"`
	Revoked time.Time `json:",omitzero"`
	State   string    // "valid", "expired" or "revoked"
	Token   string    `json:",omitempty"` // only when it is made
}

// HostTokenListRequest lists tokens.
type HostTokenListRequest struct {
	Tenant string `opt:"tenant" help:"only of this tenant"`
}

// HostTokens are tokens.
type HostTokens struct{ Tokens []HostToken }

// Text is a table.
func (HostTokenListRequest) Text(l HostTokens) string {
	return table(func(w io.Writer) {
		display.Fprintf(w, "ID\tTENANT\tSTATE\tEXPIRES\tSCOPES\n")
		for _, t := range l.Tokens {
			expires := "never"
			if !t.Expires.IsZero() {
				expires = t.Expires.UTC().Format(time.RFC3339)
			}
			display.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, t.Tenant, t.State, expires, strings.Join(t.Scopes, " "))
		}
	})
}

// HostTokenRevokeRequest ends tokens.
type HostTokenRevokeRequest struct {
	IDs []string `arg:"id"`
}

// HostTokenRotateRequest replaces a token.
type HostTokenRotateRequest struct {
	ID      string        `arg:"id"`
	Overlap time.Duration `opt:"overlap" default:"24h" help:"how long the old one stays valid"`
}

// HostDenyAddRequest refuses a name or a tenant.
type HostDenyAddRequest struct {
	Which  string `arg:"which"`
	Reason string `opt:"reason" help:"which is told to whoever asks for it"`
}

// HostDenial is a name or a tenant that is refused.
type HostDenial struct {
	What   string // "name" or "tenant"
	Which  string
	Reason string    `json:",omitempty"`
	Since  time.Time `json:",omitzero"`
}

// HostDenyListRequest shows what is refused.
type HostDenyListRequest struct{}

// HostDenials are what is refused.
type HostDenials struct{ Denials []HostDenial }

// Text is a table.
func (HostDenyListRequest) Text(l HostDenials) string {
	return table(func(w io.Writer) {
		for _, d := range l.Denials {
			display.Fprintf(w, "%s\t%s\t%s\t%s\n", d.What, d.Which, d.Since.UTC().Format(time.RFC3339), d.Reason)
		}
	})
}

// HostDenyRmRequest refuses no longer.
type HostDenyRmRequest struct {
	Which string `arg:"which"`
}

// HostAuditRequest reads the audit log.
type HostAuditRequest struct {
	Verify bool   `opt:"verify" help:"check that no line was changed or removed"`
	Tenant string `opt:"tenant" help:"print only what is of this tenant"`
	Last   int    `opt:"last" help:"print only so many lines, the newest (default: all)"`
}

// HostAuditLine is a line of the audit log; at the end of a --verify, how many were checked.
type HostAuditLine struct {
	Number   uint64
	Time     time.Time `json:",omitzero"`
	What     string    `json:",omitempty"`
	Tenant   string    `json:",omitempty"`
	Token    string    `json:",omitempty"`
	Address  string    `json:",omitempty"`
	Name     string    `json:",omitempty"`
	Sequence uint64    `json:",omitempty"`
	Value    string    `json:",omitempty"`
	Hash     string    `json:",omitempty"`
	Verified *int      `json:",omitempty"` // lines
}

// Text is one line.
func (HostAuditRequest) Text(l HostAuditLine) string {
	if l.Verified != nil {
		return display.Sprintf("verified: %d lines\n", *l.Verified)
	}
	text := display.Sprintf("%d  %s  %s", l.Number, l.Time.UTC().Format(time.RFC3339), l.What)
	for _, part := range []string{l.Tenant, l.Token, l.Address, l.Name} {
		if part != "" {
			text += display.Sprintf("  %s", part)
		}
	}
	if l.What == "put" {
		text += display.Sprintf("  sequence %d", l.Sequence)
	}
	return text + "\n"
}

// Failed implements [rpc.Failer].
func (*HostAuditRequest) Failed(err error) any { return failed(err) }
