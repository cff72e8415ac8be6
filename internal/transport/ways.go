package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"

	"github.com/goipns/ipns/internal/repo"
)

// transports are the ways to connect, and how connections are encrypted. Those that
// cannot be private are left out of a private network. secure is for secure WebSockets; nil:
// the node has no certificate for them.
func transports(c *repo.Transports, private bool, secure *tls.Config) ([]libp2p.Option, error) {
	var options []libp2p.Option
	for _, t := range []struct {
		name   string
		on     *bool
		public bool
		make   any
	}{
		{"TCP", c.Network.TCP, false, tcp.NewTCPTransport},
		{"Websocket", c.Network.Websocket, false, websocket.New},
		{"QUIC", c.Network.QUIC, true, quic.NewTransport},
		{"WebTransport", c.Network.WebTransport, true, webtransport.New},
		{"WebRTCDirect", c.Network.WebRTCDirect, true, webrtc.New},
	} {
		switch {
		case private && t.public && t.on != nil && *t.on:
			return nil, fmt.Errorf("%s does not work on a private network: disable Network.%s", t.name, t.name)
		case private && t.public, !repo.On(t.on):
			continue
		}
		if t.name == "Websocket" && secure != nil {
			options = append(options, libp2p.Transport(t.make, websocket.WithTLSConfig(secure)))
			continue
		}
		options = append(options, libp2p.Transport(t.make))
	}
	if !private && repo.On(c.Network.TCP) && repo.On(c.Network.Websocket) {
		options = append(options, libp2p.ShareTCPListener())
	}
	security, err := security(c)
	return append(options, security...), err
}

// security returns how connections are encrypted, the preferred way first. That is Noise:
// TLS, and with it QUIC, rejects servers whose certificates are not valid yet by a clock
// that is an hour behind. The node could then reach no one who knows the time.
func security(c *repo.Transports) ([]libp2p.Option, error) {
	noiseOn, noiseAt, err1 := priority(c.Security.Noise, 100)
	tlsOn, tlsAt, err2 := priority(c.Security.TLS, 200)
	yamux, _, err3 := priority(c.Multiplexers.Yamux, 100)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if !yamux {
		return nil, errors.New("running libp2p with Swarm.Transports.Multiplexers.Yamux disabled is not supported")
	}
	var options []libp2p.Option
	if noiseOn {
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	if tlsOn {
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	}
	if tlsOn && noiseOn && tlsAt < noiseAt {
		options[0], options[1] = options[1], options[0]
	}
	if len(options) == 0 {
		return nil, errors.New("both Security.Noise and Security.TLS are disabled")
	}
	return options, nil
}

// priority reads false, or a number: the lower one comes first.
func priority(v any, otherwise float64) (on bool, at float64, err error) {
	switch v := v.(type) {
	case nil:
		return true, otherwise, nil
	case bool:
		if !v {
			return false, 0, nil
		}
	case float64:
		if v > 0 {
			return true, v, nil
		}
	}
	return false, 0, fmt.Errorf("%v is no priority: use false or a number above 0", v)
}

// swarmKey returns the key of the private network, nil if the node is on the public one.
// LIBP2P_FORCE_PNET demands that there is one.
func swarmKey(file string) (pnet.PSK, error) {
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && pnet.ForcePrivateNetwork:
		return nil, errors.New("private network was not configured but is enforced by the environment")
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the key of the private network: %w", err)
	}
	key, err := pnet.DecodeV1PSK(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("failed to configure private network: %w", err)
	}
	return key, nil
}

// relayLimits bound what this node does for others as a relay.
func relayLimits(c *repo.RelayService) []relay.Option {
	r := relay.DefaultResources()
	setTo(&r.MaxReservations, c.MaxReservations)
	setTo(&r.MaxCircuits, c.MaxCircuits)
	setTo(&r.BufferSize, c.BufferSize)
	setTo(&r.MaxReservationsPerIP, c.MaxReservationsPerIP)
	setTo(&r.MaxReservationsPerASN, c.MaxReservationsPerASN)
	setTo(&r.ReservationTTL, c.ReservationTTL.Time())
	setTo(&r.Limit.Duration, c.ConnectionDurationLimit.Time())
	setTo(&r.Limit.Data, c.ConnectionDataLimit)
	return []relay.Option{relay.WithResources(r)}
}

func setTo[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}
