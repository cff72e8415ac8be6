package simnet

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestRecords(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p := n.servers[0].info()
		a := newAuthor(t)
		old, recent := a.record(t, 1, time.Hour), a.record(t, 2, 100*time.Hour)
		stranger := newAuthor(t).record(t, 9, time.Hour)
		held := func(want *ipns.Record) {
			t.Helper()
			answer, err := open(t, h, p).ask(t, get(old))
			if err != nil {
				t.Fatal(err)
			}
			if want == nil && answer.GetRecord() != nil || want != nil && string(answer.GetRecord().GetValue()) != string(want.Raw()) {
				t.Errorf("wrong record under the name")
			}
			if len(answer.GetCloserPeers()) != BucketSize {
				t.Errorf("%d closer peers beside the record", len(answer.GetCloserPeers()))
			}
		}
		held(nil)
		for i, step := range []struct {
			put   *pb.Message
			taken bool
			then  *ipns.Record
		}{
			{put(old), true, old},
			{put(old), true, old}, // again
			{put(recent), true, recent},
			{put(old), false, recent},
			{putRaw(old.Name().RoutingKey(), stranger.Raw()), false, recent},
			{putRaw(old.Name().RoutingKey(), []byte("garbage")), false, recent},
			{putRaw([]byte("/unknown/namespace"), []byte("x")), false, recent},
		} {
			answer, err := open(t, h, p).ask(t, step.put)
			if taken := err == nil; taken != step.taken {
				t.Errorf("step %d: %v", i, err)
			}
			if err != nil && !errors.Is(err, network.ErrReset) {
				t.Errorf("step %d refused by %v, want a reset", i, err)
			}
			if err == nil && string(answer.GetRecord().GetValue()) != string(step.put.GetRecord().GetValue()) {
				t.Errorf("step %d: the answer does not repeat the record", i)
			}
			held(step.then)
		}
		time.Sleep(47 * time.Hour)
		if _, err := open(t, h, p).ask(t, put(recent)); err != nil { // its 48 hours start again
			t.Fatal(err)
		}
		time.Sleep(47 * time.Hour)
		held(recent)
		time.Sleep(2 * time.Hour)
		held(nil)
	})
}

func TestExpiredRecordGivesWay(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p := n.servers[0].info()
		a := newAuthor(t)
		brief, lasting := a.record(t, 2, time.Minute), a.record(t, 1, time.Hour)
		if _, err := open(t, h, p).ask(t, put(brief)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := open(t, h, p).ask(t, put(brief)); err == nil {
			t.Error("an expired record was taken")
		}
		if _, err := open(t, h, p).ask(t, put(lasting)); err != nil {
			t.Errorf("a valid record lost against an expired one: %v", err)
		}
	})
}

// TestRefusalLosesAnswers: the record before the refused one is stored, though its answer
// may be lost with the stream; the record after it is not stored.
func TestRefusalLosesAnswers(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p := n.servers[0].info()
		first, last := newAuthor(t).record(t, 1, time.Hour), newAuthor(t).record(t, 1, time.Hour)
		c := open(t, h, p)
		c.send(t, put(first))
		c.send(t, putRaw(first.Name().RoutingKey(), []byte("garbage")))
		c.send(t, put(last))
		time.Sleep(time.Second)
		if _, err := c.receive(); !errors.Is(err, network.ErrReset) {
			t.Errorf("after a refusal: %v", err)
		}
		if n.Held(p.ID, first.Name().RoutingKey()) == nil {
			t.Error("the record before the refused one is not stored")
		}
		if n.Held(p.ID, last.Name().RoutingKey()) != nil {
			t.Error("the record after the refused one is stored")
		}
		if h.Network().Connectedness(p.ID) != network.Connected {
			t.Error("a refusal closed the connection")
		}
	})
}

func TestProviders(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		c := open(t, h, n.servers[0].info())
		add := pb.NewMessage(pb.Message_ADD_PROVIDER, []byte("hash"), 0)
		add.ProviderPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}})
		c.send(t, add)
		answer, err := c.ask(t, pb.NewMessage(pb.Message_GET_PROVIDERS, []byte("hash"), 0))
		if err != nil {
			t.Fatal(err)
		}
		got := pb.PBPeersToPeerInfos(answer.GetProviderPeers())
		if len(got) != 1 || got[0].ID != h.ID() || len(answer.GetCloserPeers()) != BucketSize {
			t.Errorf("providers %v and %d closer peers", got, len(answer.GetCloserPeers()))
		}
		add.ProviderPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{n.servers[1].info()})
		if _, err := c.ask(t, add); !errors.Is(err, network.ErrReset) {
			t.Errorf("announcing another provider: %v", err)
		}
	})
}

func TestFindSelf(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		s := n.servers[40]
		answer, err := open(t, h, s.info()).ask(t, find(string(s.id)))
		if err != nil {
			t.Fatal(err)
		}
		got := pb.PBPeersToPeerInfos(answer.GetCloserPeers())
		if len(got) != 1+BucketSize || got[0].ID != s.id {
			t.Errorf("%d peers, the first is %v, not the server itself", len(got), got[0].ID)
		}
		if st := n.Stats(h); st.FindSelf != 1 || st.Find != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestBehaviours(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p := n.servers[0].info()
		a := newAuthor(t)
		old, recent, fresh := a.record(t, 1, time.Hour), a.record(t, 2, time.Hour), newAuthor(t).record(t, 1, time.Hour)
		accepts := func(r *ipns.Record) bool {
			t.Helper()
			_, err := open(t, h, p).ask(t, put(r))
			return err == nil
		}
		if !accepts(old) {
			t.Fatal("an honest server refused")
		}
		n.Behave(p.ID, Full)
		if accepts(fresh) || !accepts(recent) {
			t.Error("a full server takes updates and nothing else")
		}
		n.Behave(p.ID, Refusing)
		if accepts(recent) {
			t.Error("a refusing server took a record")
		}
		n.Behave(p.ID, Lying)
		if !accepts(fresh) || n.Held(p.ID, fresh.Name().RoutingKey()) != nil {
			t.Error("a lying server acknowledges and does not store")
		}
		answer, err := open(t, h, p).ask(t, get(recent))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ipns.Open(recent.Name(), answer.GetRecord().GetValue(), time.Now()); err == nil {
			t.Error("a lying server gave a valid record")
		}
		invented := *pb.PBPeersToPeerInfos(answer.GetCloserPeers())[0]
		start := time.Now()
		if err := h.Connect(t.Context(), invented); err == nil || time.Since(start) < 4*time.Second {
			t.Errorf("an invented peer: %v after %v", err, time.Since(start))
		}

		n.Behave(p.ID, Lossy)
		answered := 0
		for range 40 {
			c := open(t, h, p)
			c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.ask(t, get(recent)); err == nil {
				answered++
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			c.Reset()
		}
		if answered < 20 || answered > 36 {
			t.Errorf("a lossy server answered %d of 40", answered)
		}
		n.Behave(p.ID, Dead)
		if h.Network().Connectedness(p.ID) == network.Connected {
			t.Error("connected to a server that has died")
		}
	})
}

func TestEclipse(t *testing.T) {
	inBubble(t, Config{Servers: 500}, func(t *testing.T, n *Network, h host.Host) {
		r := newAuthor(t).record(t, 1, time.Hour)
		honest := n.Closest(r.Name().RoutingKey(), 1)[0]
		n.Place(r, BucketSize)
		n.Eclipse(r.Name().RoutingKey(), 25)
		closest := n.Closest(r.Name().RoutingKey(), 26)
		if closest[25].ID != honest.ID || n.Holders(r) != 0 {
			t.Fatal("the attackers are not the closest")
		}
		answer, err := open(t, h, honest).ask(t, get(r))
		if err != nil || answer.GetRecord() == nil {
			t.Fatalf("the honest server lost the record: %v", err)
		}
		// It knows most of the network, not all.
		knows := 0
		for _, p := range answer.GetCloserPeers() {
			if slices.ContainsFunc(closest[:25], func(a peer.AddrInfo) bool { return string(a.ID) == string(p.GetId()) }) {
				knows++
			}
		}
		if knows < BucketSize/2 {
			t.Errorf("an honest server next to the attackers knows %d of them", knows)
		}
		attacker := open(t, h, closest[0])
		if _, err := attacker.ask(t, put(r)); err != nil {
			t.Errorf("an attacker refused: %v", err)
		}
		answer, err = attacker.ask(t, get(r))
		if err != nil || answer.GetRecord() != nil || len(answer.GetCloserPeers()) != BucketSize {
			t.Errorf("an attacker answered %v, %v", answer, err)
		}
		for _, p := range pb.PBPeersToPeerInfos(answer.GetCloserPeers()) {
			if !n.lookup(p.ID).is(Eclipsing) {
				t.Error("an attacker named an honest server")
			}
		}
	})
}

func TestStreamEnds(t *testing.T) {
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p := n.servers[0].info()
		c := open(t, h, p)
		c.send(t, find("x"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.receive(); err != nil {
			t.Errorf("the answer before the end: %v", err)
		}
		if _, err := c.receive(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		if _, err := c.Write([]byte{1, 2}); err == nil {
			t.Error("wrote on a closed stream")
		}

		idle := open(t, h, p)
		start := time.Now()
		if _, err := idle.receive(); !errors.Is(err, network.ErrReset) || time.Since(start).Round(time.Second) != time.Minute {
			t.Errorf("idle stream: %v after %v", err, time.Since(start))
		}

		bad := open(t, h, p)
		if _, err := bad.Write([]byte{3, 0xff, 0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
		if _, err := bad.receive(); !errors.Is(err, network.ErrReset) {
			t.Errorf("garbage: %v", err)
		}

		// A request written at the instant of a reset is not sent.
		before := n.Stats(h)
		hasty := open(t, h, p)
		hasty.send(t, find("x"))
		hasty.Reset()
		if got := n.Stats(h).Sub(before); got.RPCs() != 0 || got.BytesUp != 0 {
			t.Errorf("a recalled request counts: %+v", got)
		}
		if _, err := h.NewStream(t.Context(), p.ID, "/other/1.0.0"); err == nil {
			t.Error("opened a stream of a protocol that no server speaks")
		}
	})
}

func TestTrim(t *testing.T) {
	inBubble(t, Config{Servers: 300}, func(t *testing.T, n *Network, h host.Host) {
		connected := make(chan error)
		for _, s := range n.servers[:120] {
			go func() { connected <- h.Connect(t.Context(), s.info()) }()
		}
		for range 120 {
			if err := <-connected; err != nil {
				t.Fatal(err)
			}
		}
		kept, valued := n.servers[0].id, n.servers[1].id
		h.ConnManager().Protect(kept, "test")
		h.ConnManager().TagPeer(valued, "test", 10)
		time.Sleep(grace + 2*trimPeriod)
		if got := len(h.Network().Peers()); got != lowWater {
			t.Errorf("%d connections after trimming, want %d", got, lowWater)
		}
		for _, p := range []peer.ID{kept, valued} {
			if h.Network().Connectedness(p) != network.Connected {
				t.Errorf("%v was trimmed", p)
			}
		}
		n.Disconnect(h)
		if got := len(h.Network().Peers()); got != 0 {
			t.Errorf("%d connections after Disconnect", got)
		}
	})
}

func TestReplace(t *testing.T) {
	for _, profile := range []Profile{Ideal, Real15} {
		inBubble(t, Config{Servers: 1000, Profile: profile}, func(t *testing.T, n *Network, h host.Host) {
			servers, alive := len(n.servers), n.Alive()
			before := map[peer.ID]bool{}
			for _, s := range n.servers {
				before[s.id] = !s.unreachable()
				if !s.unreachable() && len(h.Network().Peers()) < 50 {
					if err := h.Connect(t.Context(), s.info()); err != nil {
						t.Fatal(err)
					}
				}
			}
			n.Replace(0.10)
			if len(n.servers) != servers || n.Alive() != alive {
				t.Errorf("%s: %d servers, %d alive; before %d, %d", profile.Name, len(n.servers), n.Alive(), servers, alive)
			}
			stayed := 0
			for _, s := range n.servers {
				if !s.unreachable() && before[s.id] {
					stayed++
				}
			}
			if want := alive - alive/10; stayed != want {
				t.Errorf("%s: %d servers stayed, want %d", profile.Name, stayed, want)
			}
			for _, p := range h.Network().Peers() {
				if s := n.lookup(p); s == nil || s.unreachable() {
					t.Errorf("%s: still connected to a server that has left", profile.Name)
				}
			}
		})
	}
}

func TestCount(t *testing.T) {
	inBubble(t, Config{Servers: 200}, func(t *testing.T, n *Network, h host.Host) {
		a, b := newAuthor(t).record(t, 1, time.Hour), newAuthor(t).record(t, 1, time.Hour)
		unknown := newAuthor(t).record(t, 1, time.Hour)
		n.Count([]*ipns.Record{a, b}, true)
		start, reached := time.Now(), time.Duration(0)
		done := n.MeanReached(1)
		go func() { <-done; reached = time.Since(start) }()
		near := n.Closest(b.Name().RoutingKey(), BucketSize+1)
		for _, i := range []int{0, 7, 7, 20} {
			if _, err := open(t, h, near[i]).ask(t, put(b)); err != nil {
				t.Fatal(err)
			}
		}
		if reached < 500*time.Millisecond || reached > 600*time.Millisecond {
			t.Errorf("the goal was reached after %v, want with the second request", reached)
		}
		if got := n.CountedHolders(1); got != 2 || n.CountedHolders(0) != 0 || n.MeanHolders() != 1 {
			t.Errorf("%d holders, mean %v; want 2, 1", got, n.MeanHolders())
		}
		if _, err := open(t, h, near[1]).ask(t, put(unknown)); err == nil {
			t.Error("a record that is not counted was taken")
		}
		for i, want := range map[int]bool{0: true, 1: false} {
			answer, err := open(t, h, near[i]).ask(t, get(b))
			if err != nil || (answer.GetRecord() != nil) != want {
				t.Errorf("server %d has the record: %v, want %v (%v)", i, answer.GetRecord() != nil, want, err)
			}
		}
	})
}

func TestChurn(t *testing.T) {
	inBubble(t, Config{Servers: 200}, func(t *testing.T, n *Network, _ host.Host) {
		first := map[peer.ID]bool{}
		for _, s := range n.servers {
			first[s.id] = true
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); n.Churn(0.10, time.Hour, stop) }()
		time.Sleep(3*time.Hour + time.Minute)
		close(stop)
		<-done
		stayed := 0
		for _, s := range n.servers {
			if first[s.id] {
				stayed++
			}
		}
		if stayed < 140 || stayed > 152 { // 0.9³ = 73 %
			t.Errorf("%d of 200 servers stayed through three hours", stayed)
		}
	})
}
