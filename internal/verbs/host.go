package verbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleHost(m *rpc.Mux) {
	rpc.Handle(m, api.HostList, n.hostList)
	rpc.Handle(m, api.HostShow, rpc.One(n.hostShow))
	rpc.Handle(m, api.HostExport, rpc.One(n.hostExport))
	rpc.Handle(m, api.HostImport, n.hostImport)
	rpc.Handle(m, api.HostRemove, n.hostRemove)
	rpc.Handle(m, api.HostTenantSet, rpc.One(n.hostTenantSet))
	rpc.Handle(m, api.HostTenantList, rpc.One(n.hostTenantList))
	rpc.Handle(m, api.HostTenantExport, rpc.One(n.hostTenantExport))
	rpc.Handle(m, api.HostTenantRemove, rpc.One(n.hostTenantRemove))
	rpc.Handle(m, api.HostTokenCreate, rpc.One(n.hostTokenCreate))
	rpc.Handle(m, api.HostTokenList, rpc.One(n.hostTokenList))
	rpc.Handle(m, api.HostTokenRevoke, n.hostTokenRevoke)
	rpc.Handle(m, api.HostTokenRotate, rpc.One(n.hostTokenRotate))
	rpc.Handle(m, api.HostDenyAdd, rpc.One(n.hostDenyAdd))
	rpc.Handle(m, api.HostDenyList, rpc.One(n.hostDenyList))
	rpc.Handle(m, api.HostDenyRm, rpc.One(n.hostDenyRm))
	rpc.Handle(m, api.HostAudit, n.hostAudit)
}

func (n *verbs) hosted(e recordstore.Entry) api.HostedName {
	h := api.HostedName{
		Name: e.Name.String(), Tenant: e.Tenant, Value: e.Record.Value(), Sequence: e.Record.Sequence(),
		EOL: e.Record.EOL(), Status: api.HostedOK, Since: e.Changed, Bytes: len(e.Record.Raw()),
	}
	if n.Hosting.IsAtRisk(e.Record) {
		h.Status = api.HostedAtRisk
	}
	return h
}

// hostList implements the command.
func (n *verbs) hostList(ctx context.Context, req api.HostListRequest) iter.Seq2[api.HostedName, error] {
	return func(yield func(api.HostedName, error) bool) {
		for e, err := range n.Hosting.Hosted(ctx, req.Tenant, req.Tenant == "") {
			var h api.HostedName
			if err == nil {
				if h = n.hosted(e); req.AtRisk && h.Status != api.HostedAtRisk {
					continue
				}
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// hostShow implements the command.
func (n *verbs) hostShow(ctx context.Context, req api.HostShowRequest) (api.HostedName, error) {
	name, err := parseName(req.Name)
	if err != nil {
		return api.HostedName{}, err
	}
	e, err := n.Book.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && (e.Origin != recordstore.Hosted || e.Record == nil) {
		return api.HostedName{}, notHosted(name)
	}
	if err != nil {
		return api.HostedName{}, err
	}
	return n.hosted(e), nil
}

func notHosted(name ipns.Name) error {
	return fmt.Errorf("%s is not kept for others here", name)
}

// hostExport implements the command.
func (n *verbs) hostExport(ctx context.Context, req api.HostExportRequest) (rpc.Stream, error) {
	return n.exported(ctx, req.Format, n.Hosting.Hosted(ctx, req.Tenant, req.Tenant == ""))
}

// hostTenantExport implements the command.
func (n *verbs) hostTenantExport(ctx context.Context, req api.HostTenantExportRequest) (rpc.Stream, error) {
	if _, err := n.tenant(ctx, req.Tenant); err != nil {
		return rpc.Stream{}, err
	}
	return n.exported(ctx, req.Format, n.Hosting.Hosted(ctx, req.Tenant, false))
}

// export is an export that is read as it is written.
type export struct {
	*io.PipeReader
	over sync.WaitGroup
}

// Close ends the export, and waits for that.
func (e *export) Close() error {
	err := e.PipeReader.Close()
	e.over.Wait()
	return err
}

func (n *verbs) exported(_ context.Context, format string, entries iter.Seq2[recordstore.Entry, error]) (rpc.Stream, error) {
	kind := "application/x-ndjson"
	switch format {
	case hosting.NDJSON:
	case hosting.Tar:
		kind = "application/x-tar"
	default:
		return rpc.Stream{}, fmt.Errorf("format %q: use %s or %s", format, hosting.NDJSON, hosting.Tar)
	}
	r, w := io.Pipe()
	e := &export{PipeReader: r}
	e.over.Go(func() { w.CloseWithError(hosting.Export(w, format, entries)) })
	return rpc.Stream{ReadCloser: e, Type: kind, Size: -1}, nil
}

// hostImport implements the command.
func (n *verbs) hostImport(ctx context.Context, req api.HostImportRequest) iter.Seq2[api.HostImported, error] {
	return func(yield func(api.HostImported, error) bool) {
		for r, err := range req.Each() {
			if err != nil {
				yield(api.HostImported{}, err)
				return
			}
			for i, err := range n.Hosting.Import(ctx, r, req.Tenant) {
				out := api.HostImported{Read: i.Read, Taken: i.Taken, Same: i.Same, Warned: i.Warned, Refused: i.Refused, Refusals: i.Refusals, Done: i.Done}
				if !yield(out, err) || err != nil {
					return
				}
			}
		}
	}
}

// hostRemove implements the command.
func (n *verbs) hostRemove(ctx context.Context, req api.HostRemoveRequest) iter.Seq2[api.HostRemoved, error] {
	return func(yield func(api.HostRemoved, error) bool) {
		for _, text := range req.Names {
			name, err := parseName(text)
			var e recordstore.Entry
			if err == nil {
				if e, err = n.Hosting.Remove(ctx, hosting.Operator(""), name); errors.Is(err, recordstore.ErrNotFound) {
					err = notHosted(name)
				}
			}
			if !yield(api.HostRemoved{Name: name.String(), Tenant: e.Tenant, Names: 1}, err) || err != nil {
				return
			}
		}
	}
}

// quotaOf reads what a tenant may have.
func quotaOf(q api.HostQuota) (hosting.Quota, error) {
	if q.Names < 0 || q.PutsPerMinute < 0 {
		return hosting.Quota{}, errors.New("a quota cannot be negative")
	}
	bytes, pinned, err := (&repo.HostingQuota{Bytes: q.Bytes, PinnedBytes: q.PinnedBytes}).Sizes()
	return hosting.Quota{Names: q.Names, PutsPerMinute: q.PutsPerMinute, Bytes: bytes, PinnedBytes: pinned}, err
}

// tenant describes a tenant.
func (n *verbs) tenant(ctx context.Context, name string) (api.HostTenant, error) {
	t, err := n.Hosting.Tenant(ctx, name)
	if err != nil {
		return api.HostTenant{}, err
	}
	has, err := n.Hosting.Usage(ctx, name)
	if err != nil {
		return api.HostTenant{}, err
	}
	return n.tenantOf(ctx, t, has)
}

func (n *verbs) tenantOf(ctx context.Context, t hosting.Tenant, has hosting.Usage) (api.HostTenant, error) {
	pins, pinned, err := n.Pins.Used(ctx, has.Tenant)
	return api.HostTenant{
		Tenant: has.Tenant, Names: has.Names, Custodial: has.Custodial, Bytes: has.Bytes, Pins: pins, PinnedBytes: pinned,
		MaxNames: t.Quota.Names, PutsPerMinute: t.Quota.PutsPerMinute, MaxBytes: t.Quota.Bytes, MaxPinnedBytes: t.Quota.PinnedBytes,
		Created: t.Created,
	}, err
}

// hostTenantSet implements the command.
func (n *verbs) hostTenantSet(ctx context.Context, req api.HostTenantSetRequest) (api.HostTenant, error) {
	q, err := quotaOf(req.HostQuota)
	if err == nil {
		err = n.Hosting.SetTenant(ctx, req.Tenant, q)
	}
	if err != nil {
		return api.HostTenant{}, err
	}
	return n.tenant(ctx, req.Tenant)
}

// hostTenantList implements the command.
func (n *verbs) hostTenantList(ctx context.Context, _ api.HostTenantListRequest) (api.HostTenants, error) {
	tenants, err := n.Hosting.Tenants(ctx)
	if err != nil {
		return api.HostTenants{}, err
	}
	usages, err := n.Hosting.Usages(ctx)
	if err != nil {
		return api.HostTenants{}, err
	}
	if _, err := n.Hosting.Risks(ctx); err != nil {
		return api.HostTenants{}, err
	}
	risks, _ := n.Hosting.AtRisk()
	all := map[string]api.HostTenant{}
	for _, t := range tenants {
		if all[t.Name], err = n.tenantOf(ctx, t, hosting.Usage{Tenant: t.Name}); err != nil {
			return api.HostTenants{}, err
		}
	}
	for _, u := range usages {
		t := hosting.Tenant{Created: all[u.Tenant].Created}
		if t.Quota, err = n.Hosting.QuotaOf(ctx, u.Tenant); err != nil {
			return api.HostTenants{}, err
		}
		if all[u.Tenant], err = n.tenantOf(ctx, t, u); err != nil {
			return api.HostTenants{}, err
		}
	}
	out := api.HostTenants{Tenants: []api.HostTenant{}}
	for _, f := range n.Hosting.Figures() {
		if t, ok := all[f.Tenant]; ok {
			t.Soonest, t.Puts, t.Refused = f.Soonest, f.Taken, f.Refused
			all[f.Tenant] = t
		}
	}
	for name, t := range all {
		t.AtRisk = risks[name]
		out.Tenants = append(out.Tenants, t)
	}
	slices.SortFunc(out.Tenants, func(a, b api.HostTenant) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return out, nil
}

// hostTenantRemove implements the command.
func (n *verbs) hostTenantRemove(ctx context.Context, req api.HostTenantRemoveRequest) (api.HostRemoved, error) {
	removed, err := n.Hosting.RemoveTenant(ctx, req.Tenant)
	if err == nil {
		_, err = n.Pins.RemoveAll(ctx, req.Tenant)
	}
	return api.HostRemoved{Tenant: req.Tenant, Names: removed}, err
}

func (n *verbs) tokenOf(t hosting.TokenInfo, token string) api.HostToken {
	out := api.HostToken{ID: t.ID, Tenant: t.Tenant, Created: t.Created, Expires: t.Expires, Revoked: t.Revoked, State: "valid", Token: token}
	for _, s := range t.Scopes {
		out.Scopes = append(out.Scopes, string(s))
	}
	switch {
	case !t.Revoked.IsZero():
		out.State = "revoked"
	case !t.Valid(time.Now()):
		out.State = "expired"
	}
	return out
}

// hostTokenCreate implements the command.
func (n *verbs) hostTokenCreate(ctx context.Context, req api.HostTokenCreateRequest) (api.HostToken, error) {
	if req.Tenant == "" {
		return api.HostToken{}, errors.New("a token needs a tenant: --tenant=NAME")
	}
	q, err := quotaOf(req.HostQuota)
	if err != nil {
		return api.HostToken{}, err
	}
	var scopes []hosting.Scope
	for _, s := range req.Scopes {
		scopes = append(scopes, hosting.Scope(s))
	}
	token, info, err := n.Hosting.NewToken(ctx, req.Tenant, scopes, req.Expires)
	if err == nil {
		err = n.Hosting.SetTenant(ctx, req.Tenant, q)
	}
	if err != nil {
		return api.HostToken{}, err
	}
	return n.tokenOf(info, token), nil
}

// hostTokenList implements the command.
func (n *verbs) hostTokenList(ctx context.Context, req api.HostTokenListRequest) (api.HostTokens, error) {
	list, err := n.Hosting.Tokens(ctx, req.Tenant)
	out := api.HostTokens{Tokens: []api.HostToken{}}
	for _, t := range list {
		out.Tokens = append(out.Tokens, n.tokenOf(t, ""))
	}
	return out, err
}

// hostTokenRevoke implements the command.
func (n *verbs) hostTokenRevoke(ctx context.Context, req api.HostTokenRevokeRequest) iter.Seq2[api.HostToken, error] {
	return func(yield func(api.HostToken, error) bool) {
		for _, id := range req.IDs {
			err := n.Hosting.RevokeToken(ctx, id)
			if !yield(api.HostToken{ID: id, State: "revoked"}, err) || err != nil {
				return
			}
		}
	}
}

// hostTokenRotate implements the command.
func (n *verbs) hostTokenRotate(ctx context.Context, req api.HostTokenRotateRequest) (api.HostToken, error) {
	if req.Overlap < 0 {
		return api.HostToken{}, errors.New("the overlap cannot be negative")
	}
	token, info, err := n.Hosting.RotateToken(ctx, req.ID, req.Overlap)
	return n.tokenOf(info, token), err
}

// hostDenyAdd implements the command.
func (n *verbs) hostDenyAdd(ctx context.Context, req api.HostDenyAddRequest) (api.HostDenial, error) {
	d, err := n.Hosting.Deny(ctx, req.Which, req.Reason)
	return api.HostDenial(d), err
}

// hostDenyList implements the command.
func (n *verbs) hostDenyList(ctx context.Context, _ api.HostDenyListRequest) (api.HostDenials, error) {
	list, err := n.Hosting.Denials(ctx)
	out := api.HostDenials{Denials: []api.HostDenial{}}
	for _, d := range list {
		out.Denials = append(out.Denials, api.HostDenial(d))
	}
	return out, err
}

// hostDenyRm implements the command.
func (n *verbs) hostDenyRm(ctx context.Context, req api.HostDenyRmRequest) (api.HostDenial, error) {
	was, err := n.Hosting.Undeny(ctx, req.Which)
	if err == nil && !was {
		err = fmt.Errorf("%s is not on the deny list", req.Which)
	}
	return api.HostDenial{Which: req.Which}, err
}

// hostAudit implements the command.
func (n *verbs) hostAudit(ctx context.Context, req api.HostAuditRequest) iter.Seq2[api.HostAuditLine, error] {
	return func(yield func(api.HostAuditLine, error) bool) {
		if req.Last < 0 || req.Last > maxAuditLast {
			yield(api.HostAuditLine{}, fmt.Errorf("--last is not between 0 and %d", maxAuditLast))
			return
		}
		count := 0
		var last []api.HostAuditLine
		for l, err := range n.Hosting.AuditLog(ctx, req.Verify) {
			if err != nil {
				yield(api.HostAuditLine{}, err)
				return
			}
			count++
			if req.Tenant != "" && l.Tenant != req.Tenant {
				continue
			}
			line := api.HostAuditLine{
				Number: l.Number, Time: l.Time, What: l.What, Tenant: l.Tenant, Token: l.Token, Address: l.Address,
				Name: l.Name, Sequence: l.Sequence, Value: l.Value, Hash: l.Hash,
			}
			if req.Last > 0 {
				if last = append(last, line); len(last) > req.Last {
					last = last[1:]
				}
			} else if !yield(line, nil) {
				return
			}
		}
		for _, line := range last {
			if !yield(line, nil) {
				return
			}
		}
		if req.Verify {
			yield(api.HostAuditLine{Verified: &count}, nil)
		}
	}
}

// maxAuditLast bounds the lines of the end of the audit log that are asked for.
const maxAuditLast = 100_000
