package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
)

// route runs one command of the API on a node: it reads the request, calls the
// node and writes the response.
type route func(n Node, w http.ResponseWriter, r *http.Request) error

// routes are all commands, by their path under /api/v0.
var routes = map[string]route{
	"version":               single(Node.Version),
	"id":                    single(Node.ID),
	"config":                single(Node.Config),
	"config/show":           single(Node.ConfigShow),
	"shutdown":              single(Node.Shutdown),
	"repo/verify":           stream(Node.RepoVerify),
	"name/publish":          stream(Node.NamePublish),
	"name/resolve":          stream(Node.NameResolve),
	"name/get":              raw(Node.NameGet),
	"name/put":              single(Node.NamePut),
	"name/inspect":          single(Node.NameInspect),
	"name/log":              single(Node.NameLog),
	"name/rollback":         stream(Node.NameRollback),
	"name/status":           single(Node.NameStatus),
	"republish/status":      stream(Node.RepublishStatus),
	"name/pubsub/state":     single(Node.PubsubState),
	"name/pubsub/subs":      single(Node.PubsubSubs),
	"name/pubsub/cancel":    single(Node.PubsubCancel),
	"routing/get":           single(Node.RoutingGet),
	"routing/put":           single(Node.RoutingPut),
	"routing/provide":       single(Node.Provide),
	"key/gen":               single(Node.KeyGen),
	"key/list":              single(Node.KeyList),
	"key/ls":                single(Node.KeyList),
	"key/import":            single(Node.KeyImport),
	"key/rename":            single(Node.KeyRename),
	"key/rm":                single(Node.KeyRemove),
	"add":                   stream(Node.Add),
	"cat":                   raw(Node.Cat),
	"pin/add":               single(Node.PinAdd),
	"pin/rm":                single(Node.PinRemove),
	"pin/ls":                stream(Node.PinList),
	"swarm/connect":         single(Node.SwarmConnect),
	"swarm/peers":           single(Node.SwarmPeers),
	"swarm/addrs":           single(Node.SwarmAddrs),
	"swarm/addrs/local":     single(Node.SwarmAddrsLocal),
	"swarm/addrs/listen":    single(Node.SwarmAddrsListen),
	"bootstrap":             single(Node.BootstrapList),
	"bootstrap/list":        single(Node.BootstrapList),
	"bootstrap/add":         single(Node.BootstrapAdd),
	"bootstrap/add/default": single(addDefault),
	"bootstrap/rm":          single(Node.BootstrapRemove),
	"bootstrap/rm/all":      single(removeAll),
}

// addDefault and removeAll are what Kubo has beside the options of the same meaning.
func addDefault(n Node, ctx context.Context, req BootstrapAddRequest) (BootstrapPeers, error) {
	req.Default = true
	return n.BootstrapAdd(ctx, req)
}

func removeAll(n Node, ctx context.Context, req BootstrapRemoveRequest) (BootstrapPeers, error) {
	req.All = true
	return n.BootstrapRemove(ctx, req)
}

// single is the route of a command with one response.
func single[Req printer[Resp], Resp any](call func(Node, context.Context, Req) (Resp, error)) route {
	return stream(func(n Node, ctx context.Context, req Req) iter.Seq2[Resp, error] {
		return one(call(n, ctx, req))
	})
}

// stream is the route of a command with a stream of responses. The first one
// decides about the status; an error after it goes into the trailer.
func stream[Req printer[Resp], Resp any](call func(Node, context.Context, Req) iter.Seq2[Resp, error]) route {
	return func(n Node, w http.ResponseWriter, r *http.Request) error {
		var req Req
		if _, ok := any(req).(AddRequest); ok {
			fullDuplex(w)
		}
		if err := read(r, &req); err != nil {
			return err
		}
		asText := isText(r)
		flush := http.NewResponseController(w).Flush
		started := false
		for v, err := range call(n, r.Context(), req) {
			text := ""
			if err == nil && asText {
				text, err = TextOf(req, v)
			}
			if err != nil {
				if !started {
					return err
				}
				failLate(w, req, asText, err)
				return nil
			}
			if !started {
				start(w, asText, req)
				started = true
			}
			if asText {
				_, err = io.WriteString(w, text)
			} else if reflect.TypeFor[Resp]() != reflect.TypeFor[Nothing]() {
				err = json.NewEncoder(w).Encode(v)
			}
			if err == nil {
				err = flush()
			}
			if err != nil {
				return nil // nobody listens any more
			}
		}
		if !started {
			start(w, asText, req)
		}
		return nil
	}
}

// failedAdd is the last line of an add that failed after its first. Clients in JavaScript can't read trailers, nor do
// those behind some proxies; kubo-rpc-client throws at a Hash that is there and empty.
type failedAdd struct {
	Name, Hash, Message string
	Code                int
	Type                string
}

// failLate ends a reply of status 200 with an error.
func failLate(w http.ResponseWriter, req any, asText bool, err error) {
	w.Header().Set(streamError, err.Error())
	if _, ok := req.(AddRequest); ok && !asText {
		_ = json.NewEncoder(w).Encode(failedAdd{Message: err.Error(), Type: "error"}) // the caller may be gone
	}
}

// fullDuplex lets a command read its upload while it writes results. The
// connection is not used again: net/http loses track of it if some of the
// upload is left unread.
func fullDuplex(w http.ResponseWriter) {
	// A server that cannot do it reads the upload first.
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Connection", "close")
}

// start writes the header of a reply that goes well so far.
func start(w http.ResponseWriter, asText bool, req any) {
	kind := "application/json"
	if asText {
		kind = "text/plain"
	}
	h := w.Header()
	expose(h)
	h.Set("Content-Type", kind)
	h.Set("Trailer", streamError)
	if s, ok := req.(streamer); ok && s.streams() {
		h.Set("X-Chunked-Output", "1")
	}
	w.WriteHeader(http.StatusOK)
}

// streamer is a request whose response may be more than one value.
type streamer interface{ streams() bool }

func (AddRequest) streams() bool                 { return true }
func (req ResolveRequest) streams() bool         { return req.Stream }
func (req PinListRequest) streams() bool         { return req.Stream }
func (req PublishRequest) streams() bool         { return req.Progress }
func (req RepublishStatusRequest) streams() bool { return req.Watch }
func (req RollbackRequest) streams() bool        { return req.Progress }

// raw is the route of a command that answers with bytes.
func raw[Req any](call func(Node, context.Context, Req) (Stream, error)) route {
	return func(n Node, w http.ResponseWriter, r *http.Request) error {
		var req Req
		if err := read(r, &req); err != nil {
			return err
		}
		s, err := call(n, r.Context(), req)
		if err != nil {
			return err
		}
		defer s.Close()
		setStreamHeader(w.Header(), s)
		if _, err := io.Copy(w, s); err != nil {
			w.Header().Set(streamError, err.Error())
		}
		return nil
	}
}

// isText reports whether the caller wants what the command line prints.
func isText(r *http.Request) bool {
	q := r.URL.Query()
	return q.Get("encoding") == "text" || q.Get("enc") == "text"
}

var errNoFiles = errors.New("file argument 'path' is required")

// read reads a request: the query, and what was uploaded.
func read(r *http.Request, req any) error {
	if err := decode(r.URL.Query(), req); err != nil {
		return err
	}
	if add, ok := req.(*AddRequest); ok {
		mr, err := r.MultipartReader()
		if err != nil {
			return &optionError{errNoFiles}
		}
		add.Files = readFiles(mr)
		return nil
	}
	u := UploadOf(req)
	if u == nil {
		return drain(r)
	}
	body, err := uploaded(r, u.Name)
	if err != nil {
		return err
	}
	u.Set(body)
	return drain(r)
}

// maxRest bounds what an upload may have beside what the command takes, in bytes.
const maxRest = 64 << 10

// drain reads what is left of the body. Only then the server sees whether the
// client is still there while the command runs.
func drain(r *http.Request) error {
	switch _, err := io.CopyN(io.Discard, r.Body, maxRest); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return Refuse(fmt.Errorf("read the upload: %w", err))
	}
	return Refuse(errors.New("the upload has more than the command takes"))
}
