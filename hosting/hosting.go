// Package hosting keeps the names of others alive. Tenants put records that were signed
// elsewhere, by tokens or as a policy allows; each put enters by names.Book and ends in a
// record that is taken or in a [Refusal], which every door answers in the status of its own
// protocol.
//
// Invariants:
//   - A put is acknowledged when the record and its line in the audit log are durable.
//   - What a tenant has follows from the Book alone: it is counted from the entries when
//     the Host begins, so that no crash makes quotas wrong.
//   - Tokens are stored as hashes, and shown once.
//   - A tenant waits only for its own puts: see [Host.Begin].
//   - Own names are never changed on behalf of a tenant.
package hosting

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
)

// Policy says who may put records.
type Policy string

// Policies. A token lets its tenant put with each of them but Off.
const (
	Off   Policy = "off"   // nobody
	Token Policy = "token" // tenants, with a token
	Allow Policy = "allow" // and for the names in Settings.Allow, everybody
	Open  Policy = "open"  // everybody, each address within Settings.Address
)

// Settings are what the operator has decided. They can be changed while a Host is in use.
type Settings struct {
	Policy Policy // "": Off
	Allow  map[ipns.Name]bool
	// Tenant is what a tenant may have for which nothing else was said, Address what all
	// who come from one address without a token may have together. Fields that are 0 are
	// those of DefaultTenant and DefaultAddress.
	Tenant, Address Quota
	// MaxNames bounds the names of all tenants; 0: DefaultMaxNames.
	MaxNames int
	// MinRemaining is how long a record must still be valid; a shorter one is taken with a
	// warning, or refused if RefuseShort is set. 0: DefaultMinRemaining.
	MinRemaining time.Duration
	RefuseShort  bool
	// Warn is how long before its EOL a name is at risk; 0: DefaultWarn.
	Warn time.Duration
	// Contact is whom to write to about abuse: an e-mail address or a URL; "": nobody.
	Contact string
	// PrivateOrigins lets tenants name addresses that are not public as origins of what they pin, to
	// which this node then connects.
	PrivateOrigins bool
}

// Defaults of Settings.
const (
	DefaultMaxNames     = 1_000_000
	DefaultMinRemaining = time.Hour
	DefaultWarn         = 24 * time.Hour
)

// Host hosts names. Set its fields before use.
type Host struct {
	Book *names.Book      // required
	Rows recordstore.Rows // required: tenants, tokens, the deny list, the audit log
	// Opener verifies what is put; required.
	Opener *routing.Opener
	// Router is where records are announced; nil: nowhere.
	Router routing.Router
	// Resolver finds the newer record of a name that is not kept here; nil: it is not
	// shown to whoever puts an older one.
	Resolver *resolver.Resolver
	// Keys and Publisher make the records of names whose keys are kept here for tenants;
	// nil: there are none.
	Keys      *keystore.Keyring
	Publisher *publisher.Publisher
	// Encrypted reports whether keys are encrypted on disk; nil: they are not. No key of a
	// tenant is taken then.
	Encrypted func() bool
	// Warned is called, at least once for each record, when a hosted name comes near its
	// EOL; nil: nobody is told. An error has it called again.
	Warned func(context.Context, Risk) error
	// Holds reports whether this process looks after a name, where several share the store:
	// one of them warns. nil: it is alone.
	Holds func(ipns.Name) bool
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: nothing is logged

	settings atomic.Pointer[Settings]
	usage    usage
	rates    rates
	queue    queue
	audit    audit
	announce announcer
	counts   counts
	risks    risks
	custody  sync.Mutex   // held while keys of tenants are made
	imports  atomic.Int64 // of keys, going on
}

// Set replaces the settings.
func (h *Host) Set(s Settings) { h.settings.Store(&s) }

// Settings returns the settings, with their defaults.
func (h *Host) Settings() Settings {
	var s Settings
	if p := h.settings.Load(); p != nil {
		s = *p
	}
	if s.Policy == "" {
		s.Policy = Off
	}
	s.Tenant, s.Address = s.Tenant.or(DefaultTenant), s.Address.or(DefaultAddress)
	s.MaxNames = or(s.MaxNames, DefaultMaxNames)
	s.MinRemaining = or(s.MinRemaining, DefaultMinRemaining)
	s.Warn = or(s.Warn, DefaultWarn)
	return s
}

// or returns v, or zero if v is 0.
func or[T int | int64 | time.Duration](v, zero T) T {
	if v == 0 {
		return zero
	}
	return v
}

func (h *Host) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Host) log() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}

// Run announces what was put, and warns of names near their EOL, until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	if h.Book == nil || h.Rows == nil || h.Opener == nil {
		return errors.New("hosting: Book, Rows and Opener must be set")
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { h.announce.run(ctx, h) })
	parts.Go(func() { h.watchRisks(ctx) })
	err := h.Count(ctx)
	if h.Book.Shared() {
		return h.recount(ctx)
	}
	return err
}
