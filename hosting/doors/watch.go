package doors

import (
	"context"
	"net/http"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/watch"
)

// addWatch adds the changes of names: GET /v1/watch?name=… by Server-Sent Events, lines of
// JSON or WebSocket. Every token may watch, as long as it is valid; without one the policy
// decides.
func (d *doors) addWatch(mux *mux) {
	if d.Names == nil {
		return
	}
	mux.Handle("GET /v1/watch", &watch.Handler{Names: d.Names, Admit: d.admitReader, Stranger: hosting.IsAnonymous, Still: func(r *http.Request) bool {
		// The context of a request ends when its connection is taken over.
		_, err := d.reader(r.WithContext(context.WithoutCancel(r.Context())))
		return err == nil
	}})
}

func (d *doors) admitReader(w http.ResponseWriter, r *http.Request) (caller string, all, ok bool) {
	c, err := d.reader(r)
	if err != nil {
		no := hosting.Of(err)
		plain(w, refused(w.Header(), no), no.Error())
		return "", false, false
	}
	return c.Tenant, c.Operator, true
}

// reader returns who asks, if he may watch the names of a request.
func (d *doors) reader(r *http.Request) (hosting.Caller, error) {
	c, err := d.Host.Admit(r)
	for _, text := range r.URL.Query()["name"] {
		if name, wrong := ipns.ParseName(text); err == nil && wrong == nil {
			err = d.Host.DeniedName(r.Context(), name)
		}
	}
	return c, err
}
