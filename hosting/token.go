package hosting

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// Scope is one thing that a token allows: ScopeRead, ScopePut, or ScopePublish with a name
// or a label, or "*" for all.
type Scope string

// Scopes. Each of them lets read what the tenant has.
const (
	ScopeRead    Scope = "read"
	ScopePut     Scope = "put"      // records of any name, signed elsewhere
	ScopePublish Scope = "publish:" // the name that follows, by its key here or by a record
)

// CheckScope checks that a text is a scope.
func CheckScope(s Scope) error {
	rest, publish := strings.CutPrefix(string(s), string(ScopePublish))
	if s == ScopeRead || s == ScopePut || publish && rest != "" && len(rest) <= 128 {
		return nil
	}
	return fmt.Errorf("scope %.80q: use read, put, or publish:NAME", string(s))
}

// TokenInfo is what is stored of a token.
type TokenInfo struct {
	ID      string // what it is called in lists; it tells nothing of the token
	Tenant  string
	Scopes  []Scope
	Created time.Time
	Expires time.Time `json:",omitzero"` // zero: never
	Revoked time.Time `json:",omitzero"` // zero: it was not
	// Hash is that of the token.
	Hash []byte
}

// Valid reports whether the token is neither revoked nor expired.
func (t *TokenInfo) Valid(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

const (
	tokenPrefix = "ipnsh_" // has scanners for secrets find it
	tokenBytes  = 32
	maxTokens   = 10_000 // tokens of all tenants, with those that expired
	maxScopes   = 64     // of a token
)

// ErrNoToken means that there is no token with an ID.
var ErrNoToken = errors.New("no such token")

// NewToken makes a token of a tenant, which is made if there is none, and returns it: it is
// shown once. life is how long it is valid; 0: until it is revoked.
func (h *Host) NewToken(ctx context.Context, tenant string, scopes []Scope, life time.Duration) (token string, info TokenInfo, err error) {
	fail := func(err error) (string, TokenInfo, error) {
		return "", TokenInfo{}, fmt.Errorf("make a token of %s: %w", tenant, err)
	}
	if len(scopes) == 0 {
		scopes = []Scope{ScopePut}
	}
	if len(scopes) > maxScopes {
		return fail(fmt.Errorf("it has %d scopes, the limit is %d", len(scopes), maxScopes))
	}
	for _, s := range scopes {
		if err := CheckScope(s); err != nil {
			return fail(err)
		}
	}
	if life < 0 {
		return fail(errors.New("it would have expired already"))
	}
	if err := h.SetTenant(ctx, tenant, Quota{}); err != nil {
		return fail(err)
	}
	list, err := h.Tokens(ctx, "")
	if err != nil {
		return fail(err)
	}
	if len(list) >= maxTokens {
		return fail(fmt.Errorf("there are %d tokens, which is the limit: remove tenants that need none", len(list)))
	}
	secret := make([]byte, tokenBytes)
	id := make([]byte, 6)
	_, _ = rand.Read(secret) // never fails
	_, _ = rand.Read(id)
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	now := h.now().UTC()
	info = TokenInfo{ID: hex.EncodeToString(id), Tenant: tenant, Scopes: scopes, Created: now, Hash: hash[:]}
	if life > 0 {
		info.Expires = now.Add(life)
	}
	err = change(ctx, h.Rows, tokenTable, hex.EncodeToString(hash[:]), func(_ TokenInfo, had bool) (*TokenInfo, error) {
		return &info, nil
	})
	if err == nil {
		err = h.Audit(ctx, Line{Tenant: tenant, Token: info.ID, What: "token-create"})
	}
	if err != nil {
		return fail(err)
	}
	return token, info, nil
}

// Tokens returns the tokens of a tenant, or of all if tenant is empty, oldest first.
func (h *Host) Tokens(ctx context.Context, tenant string) ([]TokenInfo, error) {
	var list []TokenInfo
	for t, err := range all[TokenInfo](ctx, h.Rows, tokenTable, "", "") {
		if err != nil {
			return nil, fmt.Errorf("tokens: %w", err)
		}
		if tenant == "" || t.Tenant == tenant {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b TokenInfo) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// RevokeToken ends a token at once.
func (h *Host) RevokeToken(ctx context.Context, id string) error {
	t, err := h.endToken(ctx, id, func(t *TokenInfo) { t.Revoked = h.now().UTC() })
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	return h.Audit(ctx, Line{Tenant: t.Tenant, Token: id, What: "token-revoke"})
}

// RotateToken makes a token like another, which stays valid for the overlap at most.
func (h *Host) RotateToken(ctx context.Context, id string, overlap time.Duration) (token string, info TokenInfo, err error) {
	old, err := h.token(ctx, id)
	if err == nil && !old.Valid(h.now()) {
		err = errors.New("it is not valid any more")
	}
	if err != nil {
		return "", info, fmt.Errorf("rotate token %s: %w", id, err)
	}
	var life time.Duration
	if !old.Expires.IsZero() {
		life = old.Expires.Sub(old.Created)
	}
	// The new one first: a crash in between leaves two that are valid.
	if token, info, err = h.NewToken(ctx, old.Tenant, old.Scopes, life); err != nil {
		return "", info, err
	}
	until := h.now().UTC().Add(overlap)
	_, err = h.endToken(ctx, id, func(t *TokenInfo) {
		if t.Expires.IsZero() || until.Before(t.Expires) {
			t.Expires = until
		}
	})
	if err != nil {
		return "", info, fmt.Errorf("rotate token %s: %w", id, err)
	}
	return token, info, h.Audit(ctx, Line{Tenant: old.Tenant, Token: id, What: "token-rotate"})
}

// token returns the token with an ID.
func (h *Host) token(ctx context.Context, id string) (TokenInfo, error) {
	for t, err := range all[TokenInfo](ctx, h.Rows, tokenTable, "", "") {
		if err != nil || t.ID == id {
			return t, err
		}
	}
	return TokenInfo{}, ErrNoToken
}

func (h *Host) endToken(ctx context.Context, id string, f func(*TokenInfo)) (TokenInfo, error) {
	t, err := h.token(ctx, id)
	if err != nil {
		return t, err
	}
	return t, change(ctx, h.Rows, tokenTable, hex.EncodeToString(t.Hash), func(t TokenInfo, had bool) (*TokenInfo, error) {
		if !had {
			return nil, ErrNoToken
		}
		f(&t)
		return &t, nil
	})
}

// dropToken removes a token.
func (h *Host) dropToken(ctx context.Context, t TokenInfo) error {
	return change(ctx, h.Rows, tokenTable, hex.EncodeToString(t.Hash), func(TokenInfo, bool) (*TokenInfo, error) { return nil, nil })
}

// find returns what is stored of a token that somebody shows, or a Refusal.
func (h *Host) find(ctx context.Context, token string) (TokenInfo, error) {
	hash := sha256.Sum256([]byte(token))
	t, _, err := read[TokenInfo](ctx, h.Rows, tokenTable, hex.EncodeToString(hash[:]))
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		return t, refuse(Unauthorized, "the token is not known here")
	case err != nil:
		return t, err
	case subtle.ConstantTimeCompare(t.Hash, hash[:]) != 1:
		return t, refuse(Unauthorized, "the token is not known here")
	case !t.Revoked.IsZero():
		return t, refuse(Unauthorized, "the token was revoked")
	case !t.Valid(h.now()):
		return t, refuse(Unauthorized, "the token has expired")
	}
	return t, nil
}
