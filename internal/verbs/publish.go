package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// findLimit bounds how long a publish looks for its value.
const findLimit = time.Minute

var (
	errBothFlags   = errors.New("cannot use both --allow-offline and --allow-delegated flags")
	errPublishOff  = rpc.Because(api.ReasonOffline, errors.New("can't publish while offline: pass `--allow-offline` to override or `--allow-delegated` if Ipns.DelegatedPublishers are set up"))
	errNoDelegates = errors.New("no delegated publishers configured: add Ipns.DelegatedPublishers or use --allow-offline for local-only publishing")
)

// namePublish implements the command.
func (n *verbs) namePublish(ctx context.Context, req api.PublishRequest) iter.Seq2[api.Published, error] {
	return func(yield func(api.Published, error) bool) {
		// What a name leads to is no garbage, which is known once the record is stored.
		ctx, release, err := n.Content.Hold(ctx)
		if err != nil {
			yield(api.Published{}, err)
			return
		}
		defer release()
		signer, printed, asked, err := n.preparePublish(ctx, req)
		if err == nil {
			err = n.keepBefore(ctx, req, asked.Value, signer)
		}
		if err != nil {
			yield(api.Published{}, err)
			return
		}
		more := true
		var stored *ipns.Record
		asked.OnProgress = func(res publisher.Result) {
			stored = res.Record
			release()
			if req.Progress {
				more = more && yield(published(printed, res), nil)
			}
		}
		out, err := n.publish(ctx, signer, printed, asked, req.AllowOffline)
		if stored != nil && req.Keep != nil {
			if err := n.Garbage.Keep(context.WithoutCancel(ctx), stored, *req.Keep); err != nil {
				out.Warnings = append(out.Warnings, fmt.Sprintf("past values stay pinned as they are: %v", err))
			}
		}
		if more {
			yield(out, err)
		}
	}
}

// keepBefore pins the value of a publish that keeps it.
func (n *verbs) keepBefore(ctx context.Context, req api.PublishRequest, value string, signer ipns.Signer) error {
	if req.Keep == nil {
		return nil
	}
	if k := *req.Keep; k < 0 || k > repo.MaxKeepValues {
		return rpc.Refuse(fmt.Errorf("keep is not between 0 and %d: %d", repo.MaxKeepValues, k))
	}
	rest, ok := strings.CutPrefix(value, "/ipfs/")
	if !ok {
		return errors.New("keep: only content can be kept, not another name")
	}
	root, _, _ := strings.Cut(rest, "/")
	c, err := cid.Decode(root)
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	name, err := ipns.NameOf(signer.Public())
	if err != nil {
		return err
	}
	return n.Content.KeepTree(ctx, c, name.String())
}

// preparePublish checks a request in Kubo's order. It returns the signer, the name as it
// will be printed, and the request for the publisher.
func (n *verbs) preparePublish(ctx context.Context, req api.PublishRequest) (signer ipns.Signer, printed string, asked publisher.Request, err error) {
	if req.AllowOffline && req.AllowDelegated {
		return nil, "", asked, errBothFlags
	}
	if asked, err = n.publishFields(req); err != nil {
		return nil, "", asked, err
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return nil, "", asked, err
	}
	if asked.Value, err = parseContentPath(req.Path); err != nil {
		return nil, "", asked, err
	}
	switch {
	case req.AllowDelegated:
		if asked.Via = n.Roads.Publishers(); asked.Via == nil {
			return nil, "", asked, errNoDelegates
		}
	case n.offline(ctx) && !req.AllowOffline:
		return nil, "", asked, errPublishOff
	case rpc.IsOffline(ctx):
		asked.Via = nowhere{}
	}
	key, err := n.findKey(ctx, req.Key)
	if err != nil {
		return nil, "", asked, err
	}
	if signer, err = n.signer(ctx, key.Name); err != nil {
		return nil, "", asked, err
	}
	// A second signature may ask a person a second time.
	if v1 := req.V1Compat; v1 != nil && !*v1 || v1 == nil && isRemote(signer) {
		asked.Form = ipns.V2Only
	}
	if req.Resolve {
		err = n.mustExist(ctx, asked.Value, key.Name)
	}
	return signer, encode(key.Name), asked, err
}

// isRemote reports whether a signer's key is outside this process.
func isRemote(s ipns.Signer) bool {
	r, ok := s.(publisher.RemoteSigner)
	return ok && r.Remote()
}

// nowhere is the network of a request that is to be answered without one. The record is
// announced by the republisher.
type nowhere struct{}

func (nowhere) Put(context.Context, *ipns.Record, routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) { yield(routing.Ack{}, routing.ErrNoTargets) }
}

func (nowhere) Search(context.Context, ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) { yield(routing.Answer{}, routing.ErrNoTargets) }
}

// publishFields parses lifetime, TTL, sequence and what to wait for.
func (n *verbs) publishFields(req api.PublishRequest) (publisher.Request, error) {
	out := publisher.Request{
		Lifetime: req.Lifetime, TTL: req.TTL, Sequence: req.Sequence, IfSequence: req.IfSequence, Force: req.Force, HighSequence: true,
	}
	err := n.Publisher.CheckTimes(out)
	if err == nil {
		out.OnRival, err = publisher.ParseOnRival(req.OnRival)
	}
	if err == nil {
		out.Wait, err = publisher.ParseWait(req.Wait)
	}
	return out, err
}

// mustExist returns an error if a path leads nowhere, or leads through the name itself:
// that name would then lead to itself.
func (n *verbs) mustExist(ctx context.Context, path string, own ipns.Name) error {
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	immutable := path
	if strings.HasPrefix(path, "/ipns/") {
		res, err := n.Resolver.Resolve(ctx, path, resolver.Options{Offline: n.offline(ctx)})
		if ownHop(res.Hops, own) || startsAt(path, own) {
			return fmt.Errorf("%s would lead to itself: %s leads through it; publish the content, or pass --resolve=false", own, path)
		}
		if err != nil {
			return err
		}
		immutable = res.Path
	}
	if strings.HasPrefix(immutable, "/ipld/") {
		return nil // the insides of blocks are not checked
	}
	c, err := n.Content.Resolve(ctx, strings.TrimSuffix(immutable, "/"))
	if err == nil {
		err = n.has(ctx, c)
	}
	if err != nil {
		return rpc.Because(api.ReasonNoContent, err)
	}
	return nil
}

// ownHop reports whether a resolution goes through a name.
func ownHop(hops []resolver.Hop, own ipns.Name) bool {
	return slices.ContainsFunc(hops, func(h resolver.Hop) bool { return isName(h.Root, own) })
}

// startsAt reports whether a path begins with a name.
func startsAt(path string, own ipns.Name) bool {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/ipns/"), "/")
	return isName(root, own)
}

func isName(text string, own ipns.Name) bool {
	name, err := ipns.ParseName(text)
	return err == nil && name == own
}

func (n *verbs) has(ctx context.Context, c cid.Cid) error {
	if _, err := n.Content.BlockService().GetBlock(ctx, c); err != nil {
		return fmt.Errorf("find %s: %w", c, err)
	}
	return nil
}

// publish makes the prepared publish. With allowOffline, storing the record is success.
func (n *verbs) publish(ctx context.Context, signer ipns.Signer, printed string, asked publisher.Request, allowOffline bool) (api.Published, error) {
	if asked.Via == nil {
		asked.Wait = n.Waits(asked.Wait)
	}
	begin := time.Now()
	res, err := n.Publisher.Publish(ctx, signer, asked)
	n.Metrics.Published(begin, err)
	if err = n.announced(ctx, err, allowOffline); err != nil {
		return api.Published{}, publishError(err, asked)
	}
	out := published(printed, res)
	out.Announcing = n.Host != nil && n.Router != nil && !res.Complete
	out.Warnings = append(res.Warnings, n.overtaken(ctx, res.Record.Name())...)
	if isRemote(signer) && asked.Form == ipns.V2Only && (res.Previous == nil || res.Previous.Form() != ipns.V2Only) {
		out.Warnings = append(out.Warnings, "the record has one signature, for clients since 2023: with --v1compat it has a second one for older clients")
	}
	for _, r := range res.Rivals {
		out.Rivals = append(out.Rivals, api.Rival{Value: r.Value(), Sequence: r.Sequence()})
		out.Warnings = append(out.Warnings, fmt.Sprintf("another holder of this key had published %s with sequence %d; sequence %d replaces it: find out who has the key, or publish under a new one", r.Value(), r.Sequence(), res.Record.Sequence()))
	}
	if seq := res.Record.Sequence(); seq > math.MaxInt64 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("sequence %d is above %d: other implementations refuse it, and no lower one replaces it", seq, int64(math.MaxInt64)))
	}
	if res.Receipt.Took("") == 0 && res.Complete || n.Host == nil && asked.Via == nil {
		out.Warnings = append(out.Warnings, nobodyAsked)
	}
	return out, nil
}

// publishError adds the reason to an error of the publisher.
func publishError(err error, asked publisher.Request) error {
	var lost *publisher.IfSequenceError
	var rival *publisher.RivalError
	switch {
	case errors.As(err, &rival):
		return rivalError(err, rival, asked)
	case errors.Is(err, publisher.ErrSkew):
		return rpc.Because(api.ReasonClock, err)
	case errors.Is(err, recordstore.ErrFull):
		return rpc.Because(api.ReasonFull, err)
	case errors.Is(err, publisher.ErrSequenceLow):
		return publisher.ErrSequenceLow // Kubo's text
	case errors.As(err, &lost) && lost.Current != nil:
		return rpc.Because(api.ReasonConflict, err)
	case errors.Is(err, ipns.ErrSequence) && !asked.Force:
		return rpc.Because(api.ReasonTooLarge, err)
	case errors.Is(err, publisher.ErrUnknownSequence):
		return away(rpc.Because(api.ReasonNotKnown, err))
	}
	return err
}

// nobodyAsked is a warning if no server was reached, so that none was searched for
// rivals.
const nobodyAsked = "no server could be asked whether another holder of the key has published: if one has, the next announcement shows it"

// rivalError is the error of a publish that gave way to a rival.
func rivalError(err error, e *publisher.RivalError, asked publisher.Request) error {
	switch {
	case errors.Is(e.Err, publisher.ErrSkew):
		err = rpc.Because(api.ReasonClock, err)
	case asked.OnRival == publisher.RivalStop:
	case asked.Sequence != nil, asked.IfSequence != nil:
		err = fmt.Errorf("%w; the next sequence is %d, as in a publish without --sequence", err, e.Rival.Sequence()+1)
	default:
		err = fmt.Errorf("%w; find out who has the key: as long as both publish, the last one wins", err)
	}
	return rpc.Because(api.ReasonRival, err)
}

// announced returns the error to report for a publish or put: none if the record is
// stored and allowOffline is set.
func (n *verbs) announced(ctx context.Context, err error, allowOffline bool) error {
	var e *publisher.NotAnnouncedError
	switch {
	case !errors.As(err, &e):
		return err
	case allowOffline:
		return nil
	}
	ours := e.Result.Record
	if now, err := n.Book.Get(ctx, ours.Name()); err == nil && now.Record != nil && ipns.Compare(now.Record, ours) > 0 {
		return fmt.Errorf("%s with sequence %d is not the value of %s: a newer record, with sequence %d, has %s",
			ours.Value(), ours.Sequence(), ours.Name(), now.Record.Sequence(), now.Record.Value())
	}
	k, of := e.Result.Receipt.Announced()
	who := fmt.Sprintf("to %d of %d %s", k, of, e.Result.Receipt.Road().Targets(0))
	switch took := e.Result.Receipt.Took(""); {
	case k == 0 && took > 0:
		who = fmt.Sprintf("only to %d on other networks", took)
	case k == 0:
		who = "to nobody"
	}
	text := fmt.Sprintf("%s is stored here as sequence %d of %s, but announced %s", e.Result.Record.Value(), e.Result.Record.Sequence(), e.Result.Record.Name(), who)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if n.Host != nil {
		text += "; this node keeps trying"
	}
	err = rpc.Because(api.ReasonUnannounced, errors.New(text))
	if errors.Is(e.Err, routing.ErrAway) {
		err = rpc.Because(api.ReasonAway, err)
	}
	return err
}

func published(name string, res publisher.Result) api.Published {
	out := api.Published{Name: name, Value: res.Record.Value()}
	out.Sequence, out.Stored = res.Record.Sequence(), true
	out.Announced, out.Of = res.Receipt.Announced()
	out.Networks, out.Alone = networks(res.Receipt), res.Alone
	return out
}

func networks(r routing.Receipt) []api.NetworkReceipt {
	var out []api.NetworkReceipt
	for _, net := range r.Networks {
		nr := api.NetworkReceipt{Network: net.Network, Road: net.Road, Announced: net.Announced, Of: net.Of, Away: net.Away}
		for _, t := range net.Targets {
			if !t.Took() {
				nr.Refused = append(nr.Refused, api.Refusal{Target: t.Target, Reason: t.Reason})
			}
		}
		out = append(out, nr)
	}
	return out
}
