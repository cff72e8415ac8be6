package pubsub

import (
	"sync"

	gossip "github.com/libp2p/go-libp2p-pubsub"

	"github.com/goipns/ipns"
)

// handles are the topics that are open in gossipsub: one of each hot name, and of each
// cold one that is being published. Gossipsub opens a topic once at a time.
type handles struct {
	mu    sync.Mutex // also held while gossipsub opens or closes one
	names map[ipns.Name]*handle
}

type handle struct {
	*gossip.Topic
	users int
}

// open returns the topic of a name, for one who shuts it when done.
func (hs *handles) open(g *gossip.PubSub, name ipns.Name) (*handle, error) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.names[name]
	if h == nil {
		t, err := g.Join(name.Topic())
		if err != nil {
			return nil, err
		}
		h = &handle{Topic: t}
		if hs.names == nil {
			hs.names = map[ipns.Name]*handle{}
		}
		hs.names[name] = h
	}
	h.users++
	return h, nil
}

// shut closes the topic if nobody else uses it.
func (hs *handles) shut(name ipns.Name) error {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.names[name]
	if h.users--; h.users > 0 {
		return nil
	}
	delete(hs.names, name)
	return h.Close()
}
