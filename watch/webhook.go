package watch

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// The tables of webhooks. Keys are the ID of a webhook, or that, a slash and a name.
const (
	hooksTable    = "webhooks"
	positionTable = "webhook-positions" // up to where a webhook was served, or has rows
	waitingTable  = "webhook-waiting"   // what is to be sent again
	deadTable     = "webhook-dead"      // what was given up
	toldTable     = "webhook-told"      // what was sent out of its turn: see told
)

const (
	// MaxWebhooks bounds the webhooks of a node.
	MaxWebhooks = 4096
	// MaxWaiting bounds the names that wait for one receiver. Beyond it, changes wait in the
	// Book.
	MaxWaiting = 1024
	// GiveUp is how long an event is sent again before it is a dead letter.
	GiveUp = 24 * time.Hour

	maxURL = 2048 // bytes
)

// Webhook is a receiver to which changes of names are sent.
type Webhook struct {
	ID  string
	URL string
	// Names are those that it is told of; none: all that this node holds.
	Names []string `json:",omitempty"`
	// Tenant is for whom it was added; "": the operator.
	Tenant string `json:",omitempty"`
	// Private says that it may be at an address of this machine or of a private network.
	Private bool `json:",omitempty"`
	Created time.Time
	// Secret is the key of the signatures.
	Secret []byte `json:",omitempty"`
}

// Secret prefixes a secret as text, as in the Standard Webhooks specification.
const secretPrefix = "whsec_"

// SecretText returns the secret as receivers configure it.
func (w Webhook) SecretText() string {
	return secretPrefix + base64.StdEncoding.EncodeToString(w.Secret)
}

// State says how it stands with a webhook.
type State struct {
	Webhook // without its secret
	Waiting int
	Dead    int
	// Failures counts those since the last success; Error is the last of them.
	Failures int       `json:",omitempty"`
	Error    string    `json:",omitempty"`
	Paused   time.Time `json:",omitzero"` // until then nothing is sent, after too many failures
}

// ErrNoWebhook means that there is no webhook with an ID.
var ErrNoWebhook = errors.New("no such webhook")

// Webhooks sends changes of names to receivers: each at least once, those of one name in
// their order. What could not be sent is tried again for [GiveUp] and then kept as a dead
// letter. Of a name that changed more than once meanwhile, the newest is sent.
//
// What must last rests in Rows: a webhook's position moves beyond a change only when that
// was sent, or waits in a row. So an end of the process loses nothing, and a row of a name
// is replaced before something newer of it is sent, so that nothing older follows.
type Webhooks struct {
	Names *Names           // required
	Rows  recordstore.Rows // required
	Log   *slog.Logger     // nil: nothing is logged
	Agent string           // the User-Agent of requests
	// Transport sends requests. nil: one that reaches no private addresses, unless a webhook
	// may.
	Transport http.RoundTripper
	// Leases say which webhooks this process serves, where several share the store; nil: all.
	Leases Leases

	once     sync.Once
	slots    chan struct{}
	clients  [2]*http.Client // the second one for private addresses
	mu       sync.Mutex      // guards all below
	life     context.Context // nil: Run is not running
	receiver map[string]*receiver
	group    sync.WaitGroup
}

func (w *Webhooks) log() *slog.Logger {
	if w.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Log
}

// Run serves all webhooks until ctx ends.
func (w *Webhooks) Run(ctx context.Context) error {
	list, err := w.list(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.life, w.receiver = ctx, make(map[string]*receiver)
	for _, hook := range list {
		if w.serves(hook) {
			w.start(hook)
		}
	}
	w.mu.Unlock()
	w.share(ctx)
	<-ctx.Done()
	w.mu.Lock()
	w.life = nil // no more are started
	w.mu.Unlock()
	w.group.Wait()
	return ctx.Err()
}

// start serves a webhook. Call with mu held.
func (w *Webhooks) start(hook Webhook) {
	ctx, cancel := context.WithCancel(w.life)
	r := &receiver{all: w, hook: hook, cancel: cancel, over: make(chan struct{}), orders: make(chan func())}
	w.receiver[hook.ID] = r
	w.group.Go(func() {
		defer close(r.over)
		defer cancel()
		r.run(ctx)
	})
}

// Add adds a webhook for changes from now on, and returns it with its ID and its secret,
// which is made here if none is given.
func (w *Webhooks) Add(ctx context.Context, hook Webhook) (Webhook, error) {
	u, err := url.Parse(hook.URL)
	switch {
	case err != nil:
		return hook, fmt.Errorf("the address of the webhook: %w", err)
	case len(hook.URL) > maxURL || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return hook, fmt.Errorf("%.100q is not an http or https address without a user and a fragment, of at most %d bytes", hook.URL, maxURL)
	}
	names, err := hook.names()
	if err != nil {
		return hook, err
	}
	if len(names) > MaxNames {
		return hook, ErrNames
	}
	if list, err := w.list(ctx); err != nil || len(list) >= MaxWebhooks {
		return hook, errors.Join(err, fmt.Errorf("add a webhook: there are %d, the limit is %d", len(list), MaxWebhooks))
	}
	if len(hook.Secret) == 0 {
		hook.Secret = make([]byte, 32)
		rand.Read(hook.Secret) // it never fails
	}
	id := make([]byte, 6)
	rand.Read(id)
	hook.ID, hook.Created = "wh"+hex.EncodeToString(id), time.Now().UTC().Truncate(time.Second)
	var at recordstore.Position
	for e, err := range w.Names.Read(ctx, Request{}) {
		if err != nil {
			return hook, fmt.Errorf("add a webhook: %w", err)
		}
		at = e.Position
		break
	}
	if err := set(ctx, w.Rows, positionTable, hook.ID, at); err != nil {
		return hook, err
	}
	for _, name := range names {
		// What this node has seen already of names that it does not hold is no change.
		mark, err := w.Names.Book.Seen(ctx, name)
		if err == nil && !mark.IsZero() {
			err = set(ctx, w.Rows, toldTable, hook.ID+"/"+name.String(), told{Mark: mark, Kind: Changed})
		}
		if err != nil {
			return hook, fmt.Errorf("add a webhook: %w", err)
		}
	}
	if err := set(ctx, w.Rows, hooksTable, hook.ID, hook); err != nil {
		return hook, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life != nil && w.serves(hook) {
		w.start(hook)
	}
	return hook, nil
}

// names returns the names of a webhook.
func (w Webhook) names() ([]ipns.Name, error) {
	var list []ipns.Name
	for _, text := range w.Names {
		name, err := ipns.ParseName(text)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return unique(list), nil
}

func (w *Webhooks) list(ctx context.Context) (list []Webhook, err error) {
	for row, err := range w.Rows.Range(ctx, hooksTable, "", "") {
		if err != nil {
			return nil, fmt.Errorf("list webhooks: %w", err)
		}
		var hook Webhook
		if err := json.Unmarshal(row.Value, &hook); err != nil {
			return nil, fmt.Errorf("webhook %s: %w", row.Key, err)
		}
		list = append(list, hook)
	}
	return list, nil
}

// get returns a webhook.
func (w *Webhooks) get(ctx context.Context, id string) (hook Webhook, err error) {
	if ok, err := load(ctx, w.Rows, hooksTable, id, &hook); err != nil || !ok {
		return hook, errors.Join(err, fmt.Errorf("%q: %w", id, ErrNoWebhook))
	}
	return hook, nil
}

// List returns how it stands with all webhooks.
func (w *Webhooks) List(ctx context.Context) ([]State, error) {
	list, err := w.list(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]State, 0, len(list))
	for _, hook := range list {
		hook.Secret = nil
		s := State{Webhook: hook}
		if s.Waiting, err = count(ctx, w.Rows, waitingTable, hook.ID); err != nil {
			return nil, err
		}
		if s.Dead, err = count(ctx, w.Rows, deadTable, hook.ID); err != nil {
			return nil, err
		}
		w.mu.Lock()
		r := w.receiver[hook.ID]
		w.mu.Unlock()
		if r != nil {
			s.Failures, s.Error, s.Paused = r.state()
		}
		states = append(states, s)
	}
	return states, nil
}

// Remove removes a webhook with all that waits for it.
func (w *Webhooks) Remove(ctx context.Context, id string) (Webhook, error) {
	hook, err := w.get(ctx, id)
	if err != nil {
		return hook, err
	}
	w.mu.Lock()
	r := w.receiver[id]
	delete(w.receiver, id)
	w.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.over
	}
	return hook, w.clear(ctx, id)
}

// clear deletes the rows of a webhook that is not served any more.
func (w *Webhooks) clear(ctx context.Context, id string) error {
	// The webhook goes last: a crash before leaves it with fewer rows.
	for _, table := range []string{waitingTable, deadTable, toldTable} {
		for row, err := range w.Rows.Range(ctx, table, id+"/", id+"0") {
			if err == nil {
				err = set(ctx, w.Rows, table, row.Key, nil)
			}
			if err != nil {
				return fmt.Errorf("remove the webhook %s: %w", id, err)
			}
		}
	}
	return errors.Join(set(ctx, w.Rows, hooksTable, id, nil), set(ctx, w.Rows, positionTable, id, nil))
}

// Warn says that a held name comes near its EOL to the webhooks that are told of all names.
// Those that have it by name hear of it themselves. When it returns, the warning is durable.
func (w *Webhooks) Warn(ctx context.Context, name ipns.Name) error {
	list, err := w.list(ctx)
	if err != nil {
		return err
	}
	for _, hook := range list {
		if len(hook.Names) > 0 {
			continue
		}
		e, err := w.Names.Book.Get(ctx, name)
		if errors.Is(err, recordstore.ErrNotFound) {
			return nil
		}
		if err == nil && e.Record != nil {
			err = w.order(ctx, hook, func(r *receiver) error {
				return r.warn(ctx, name.String(), letter{Kind: Ending, Record: e.Record.Raw(), Next: time.Now()})
			})
		}
		if err != nil {
			return fmt.Errorf("warn of %s: %w", name, err)
		}
	}
	return nil
}

// order has the goroutine of a webhook do something, or does it here if there is none.
func (w *Webhooks) order(ctx context.Context, hook Webhook, do func(*receiver) error) error {
	w.mu.Lock()
	r := w.receiver[hook.ID]
	if r == nil || w.life == nil {
		defer w.mu.Unlock()
		return do(&receiver{all: w, hook: hook})
	}
	w.mu.Unlock()
	answer := make(chan error, 1)
	select {
	case r.orders <- func() { answer <- do(r) }:
		return <-answer
	case <-r.over:
		return fmt.Errorf("%q: %w", hook.ID, ErrNoWebhook)
	case <-ctx.Done():
		return ctx.Err()
	}
}
