package watch

import (
	"context"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// IsSocket reports whether a request wants a WebSocket.
func IsSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Socket answers a request by WebSocket, with one text message for each event that encode
// has bytes for. While nothing changes it pings, and gives up a client that does not answer
// within Stall. A reader that is refused is told so by HTTP. A gap for which encode has no
// bytes ends the connection, so that the client reads what it watches again.
//
// Pages of every origin may connect: what they may see is decided by their token, which a
// browser does not add by itself.
func (n *Names) Socket(w http.ResponseWriter, r *http.Request, req Request, encode func(Event) []byte) {
	var conn *websocket.Conn
	defer func() {
		if conn != nil {
			_ = conn.CloseNow()
		}
	}()
	// The context of a request ends when its connection is taken over.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	for e, err := range n.Read(ctx, req) {
		switch {
		case err != nil && conn == nil:
			Refuse(w, err)
			return
		case err != nil:
			_ = conn.Close(websocket.StatusInternalError, "")
			return
		case conn == nil:
			if conn, err = websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}); err != nil {
				return // it has answered
			}
			conn.SetReadLimit(1024) // clients have nothing to say
			closed := conn.CloseRead(ctx)
			context.AfterFunc(closed, cancel)
		}
		b := encode(e)
		if e.Gap && len(b) == 0 {
			_ = conn.Close(websocket.StatusServiceRestart, "changes were lost: read again")
			return
		}
		if err := write(ctx, conn, e, b); err != nil {
			return
		}
	}
	if conn != nil {
		_ = conn.Close(websocket.StatusGoingAway, "the node stops")
	}
}

// write sends an event, or what shows whether the client is there.
func write(ctx context.Context, conn *websocket.Conn, e Event, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, Stall)
	defer cancel()
	if len(b) > 0 {
		if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
			return err
		}
	}
	if e.Kind == 0 && !e.Gap {
		return conn.Ping(ctx)
	}
	return nil
}
