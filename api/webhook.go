package api

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// webhookCommands are the commands of this file.
var webhookCommands = []rpc.Spec{WebhookAdd, WebhookList, WebhookDead, WebhookReplay, WebhookRm}

var (
	// WebhookAdd: add a webhook.
	WebhookAdd = rpc.Command[WebhookAddRequest, WebhookAdded]{
		Info: rpc.Info{
			Path: "name/webhook/add", Args: "<url> [<name>...]",
			Short: "Send what changes of names to an address",
			Long: "Send what changes of names to an address by HTTP, from now on: of all names that\n" +
				"this node holds, or of those that are given, which may be others' too. Each\n" +
				"change comes at least once, those of one name in their order; of a name that\n" +
				"changed more than once meanwhile, the newest. What is not taken is sent again\n" +
				"for 24 hours, and is then a dead letter. Requests are signed as Standard\n" +
				"Webhooks are, with the secret that is printed now and never again. Redirects are\n" +
				"not followed, nor are addresses reached that are not public, unless --private is\n" +
				"given.",
			Examples: []string{`ipns name webhook add https://hooks.example.com/names $NAME`, `ipns name webhook add --private http://127.0.0.1:9/all`},
		},
		Text: func(_ WebhookAddRequest, w WebhookAdded) string {
			return display.Sprintf("%s\nsecret %s\n", w.ID, w.Secret)
		},
	}
	// WebhookList: list webhooks.
	WebhookList = rpc.Command[WebhookListRequest, Webhooks]{
		Info: rpc.Info{
			Path:     "name/webhook/list",
			Short:    "List webhooks, and how it stands with them",
			Examples: []string{`ipns name webhook list`},
		},
		Text: WebhookListRequest.Text,
	}
	// WebhookDead: list what was given up.
	WebhookDead = rpc.Command[WebhookDeadRequest, DeadLetters]{
		Info: rpc.Info{
			Path: "name/webhook/dead", Args: "[<webhook>]",
			Short:    "List what webhooks did not take for too long",
			Examples: []string{`ipns name webhook dead`},
		},
		Text: WebhookDeadRequest.Text,
	}
	// WebhookReplay: send what was given up again.
	WebhookReplay = rpc.Command[WebhookReplayRequest, WebhookReplayed]{
		Info: rpc.Info{
			Path: "name/webhook/replay", Args: "<webhook> [<name>...]",
			Short: "Send what a webhook did not take again",
			Long: "Send the dead letters of a webhook again, or those of some names: each with what\n" +
				"is newest of its name by then.",
			Examples: []string{`ipns name webhook replay $HOOK`},
		},
		Text: func(_ WebhookReplayRequest, r WebhookReplayed) string {
			return fmt.Sprintf("%d sent again\n", r.Replayed)
		},
	}
	// WebhookRm: remove a webhook.
	WebhookRm = rpc.Command[WebhookRmRequest, WebhookRemoved]{
		Info: rpc.Info{
			Path: "name/webhook/rm", Args: "<webhook>",
			Short:    "Remove a webhook with all that waits for it",
			Examples: []string{`ipns name webhook rm $HOOK`},
		},
		Text: func(_ WebhookRmRequest, w WebhookRemoved) string {
			return display.Sprintf("removed %s %s\n", w.ID, w.URL)
		},
	}
)

// WebhookAddRequest adds a webhook.
type WebhookAddRequest struct {
	URL     string   `arg:"url"`
	Names   []string `arg:"name,optional"`
	Private bool     `opt:"private" help:"it may be at an address of this machine or a private network"`
}

// WebhookAdded is a new webhook.
type WebhookAdded struct{ ID, URL, Secret string }

// WebhookListRequest lists webhooks.
type WebhookListRequest struct{}

// Webhook is how it stands with a webhook.
type Webhook struct {
	ID       string
	URL      string
	Names    []string `json:",omitempty"` // none: all that the node holds
	Tenant   string   `json:",omitempty"`
	Private  bool     `json:",omitempty"`
	Created  time.Time
	Waiting  int        // names with something to be sent again
	Dead     int        // dead letters
	Failures int        // since it took something
	Error    string     `json:",omitempty"` // of the last failure
	Paused   *time.Time `json:",omitempty"` // until then nothing is sent
}

// Webhooks are all webhooks.
type Webhooks struct{ Webhooks []Webhook }

// Text is a line for each webhook.
func (WebhookListRequest) Text(list Webhooks) string {
	return table(func(w io.Writer) {
		for _, h := range list.Webhooks {
			names := "all names"
			if len(h.Names) > 0 {
				names = strings.Join(h.Names, " ")
			}
			state := "ok"
			if h.Failures > 0 {
				state = display.Sprintf("%d failures: %s", h.Failures, h.Error)
			}
			_, _ = io.WriteString(w, display.Sprintf("%s\t%s\t%d waiting\t%d dead\t%s\t%s\n", h.ID, h.URL, h.Waiting, h.Dead, state, names))
		}
	})
}

// WebhookDeadRequest lists dead letters.
type WebhookDeadRequest struct {
	Webhook string `arg:"webhook,optional"`
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	Webhook  string
	Name     string
	Type     string
	Sequence uint64
	Since    time.Time // of the first failure
	Tries    int
	Error    string // of the last one
}

// DeadLetters are events that were given up.
type DeadLetters struct{ DeadLetters []DeadLetter }

// Text is a line for each.
func (WebhookDeadRequest) Text(list DeadLetters) string {
	return table(func(w io.Writer) {
		for _, d := range list.DeadLetters {
			_, _ = io.WriteString(w, display.Sprintf("%s\t%s\t%s\t%d\t%d tries since %s\t%s\n", d.Webhook, d.Name, d.Type, d.Sequence, d.Tries, d.Since.Format(time.RFC3339), d.Error))
		}
	})
}

// WebhookReplayRequest sends dead letters again.
type WebhookReplayRequest struct {
	Webhook string   `arg:"webhook"`
	Names   []string `arg:"name,optional"`
}

// WebhookReplayed says how many are sent again.
type WebhookReplayed struct{ Replayed int }

// WebhookRmRequest removes a webhook.
type WebhookRmRequest struct {
	Webhook string `arg:"webhook"`
}

// WebhookRemoved is a webhook that is no more.
type WebhookRemoved struct{ ID, URL string }
