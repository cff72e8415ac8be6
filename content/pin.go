package content

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/merkledag/dagutils"
	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/go-cid"
)

// PinType says what a pin keeps.
type PinType string

const (
	Recursive PinType = "recursive" // a block and all below it
	Direct    PinType = "direct"    // a block alone
	Indirect  PinType = "indirect"  // a block below a recursive pin
	AnyPin    PinType = "all"       // in queries only
)

// maxPinName bounds the name of a pin, in bytes.
const maxPinName = 255

// Pin is a pinned block.
type Pin struct {
	CID  cid.Cid
	Type PinType
	Name string  // of a recursive or direct pin; may be empty
	Via  cid.Cid // of an indirect pin, where known: the recursive pin above it
}

// CheckPinName returns an error if a pin cannot have the name.
func CheckPinName(name string) error {
	if len(name) > maxPinName {
		return fmt.Errorf("pin name is %d bytes (max %d bytes)", len(name), maxPinName)
	}
	return nil
}

// ErrNotPinned means that a CID has no pin of its own.
var ErrNotPinned = pin.ErrNotPinned

// Pin keeps the block c, and all below it if t is [Recursive], after fetching missing blocks. Pinning again only
// changes the name. A recursively pinned block cannot be pinned directly.
func (s *Store) Pin(ctx context.Context, c cid.Cid, t PinType, name string) error {
	err := CheckPinName(name)
	if err != nil {
		return err
	}
	ctx, release, err := s.Hold(ctx)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer release()
	switch t {
	case Recursive:
		// The pinner would drop an existing pin before it fetches, and lose it if that fails.
		err = merkledag.FetchGraph(ctx, c, s.dag, merkledag.Concurrency(fetchConcurrency))
		if err == nil {
			err = s.pinStored(ctx, c, name)
		}
	case Direct:
		if _, err = s.dag.Get(ctx, c); err == nil {
			err = s.pins.PinWithMode(ctx, c, pin.Direct, name)
		}
	default:
		err = fmt.Errorf("a pin is %s or %s, not %q", Recursive, Direct, t)
	}
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	s.pinned(ctx, c, t)
	return nil
}

// pinStored recursively pins a tree whose blocks are all stored. The pinner replaces a pin in two steps, so an
// unchanged pin is left alone.
func (s *Store) pinStored(ctx context.Context, c cid.Cid, name string) error {
	s.gate.pinning.Lock()
	defer s.gate.pinning.Unlock()
	if err := s.keepAgain(ctx, c); err != nil {
		return err
	}
	had, err := s.pins.CheckIfPinnedWithType(ctx, pin.Recursive, true, c)
	if err != nil {
		return err
	}
	if err := s.noteKept(ctx, c, name); err != nil {
		return err
	}
	if keepsOwnPin(had, name) {
		return nil
	}
	return s.pins.PinWithMode(ctx, c, pin.Recursive, name)
}

// Track returns a context for a [Store.Pin], and what tells how many blocks that has seen so far, and how many bytes.
func Track(ctx context.Context) (context.Context, func() (blocks int, bytes uint64)) {
	var t merkledag.ProgressTracker
	return t.DeriveContext(ctx), func() (int, uint64) {
		now := t.ProgressStat()
		return now.Nodes, now.Bytes
	}
}

// UpdatePin moves the recursive pin of one tree, with its name, to another, after fetching what the other has and the
// first has not. With keep both are pinned then. A pin that keeps the value of a name leaves that name behind.
func (s *Store) UpdatePin(ctx context.Context, from, to cid.Cid, keep bool) error {
	ctx, release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.keepAgain(ctx, to); err != nil {
		return err
	}
	// The pinner looks for differences again, where it finds only what is here.
	kept := false
	if had, err := s.pins.CheckIfPinnedWithType(ctx, pin.Recursive, true, from); err == nil && len(had) == 1 && had[0].Pinned() && from != to {
		if err := dagutils.DiffEnumerate(ctx, s.dag, from, to); err != nil {
			return err
		}
		kept = isKept(had[0].Name)
	}
	s.gate.pinning.Lock()
	err = s.pins.Update(ctx, from, to, !keep)
	if err == nil && kept { // a pin by hand, which would go with the values of a name
		err = s.pins.PinWithMode(ctx, to, pin.Recursive, "")
	}
	s.gate.pinning.Unlock()
	if err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	s.pinned(ctx, to, Recursive)
	return nil
}

// Unpin removes the pin of c, but not the blocks. If t is [Direct], a recursive pin is left alone and is an error.
// Without a pin it returns [ErrNotPinned].
func (s *Store) Unpin(ctx context.Context, c cid.Cid, t PinType) error {
	ctx = context.WithValue(ctx, freesKey{}, true) // a full disk is a reason to unpin
	if err := s.pins.Unpin(ctx, c, t != Direct); err != nil {
		if errors.Is(err, ErrNotPinned) {
			return fmt.Errorf("unpin %s: %w", c, err)
		}
		return fmt.Errorf("unpin: %w", err)
	}
	return s.Sync(ctx)
}

// PinOf returns the pin of c with type t, or [ErrNotPinned]. For indirect pins it reads the trees of all recursive
// ones.
func (s *Store) PinOf(ctx context.Context, c cid.Cid, t PinType) (Pin, error) {
	mode, ok := pin.StringToMode(string(t))
	if !ok {
		return Pin{}, fmt.Errorf("unknown pin type %q", t)
	}
	found, err := s.pins.CheckIfPinnedWithType(ctx, mode, true, c)
	if err != nil {
		return Pin{}, fmt.Errorf("look for the pin of %s: %w", c, err)
	}
	if len(found) == 0 || !found[0].Pinned() {
		return Pin{}, fmt.Errorf("%s: %w", c, ErrNotPinned)
	}
	return pinOf(found[0]), nil
}

func pinOf(p pin.Pinned) Pin {
	t, _ := pin.ModeToString(p.Mode)
	return Pin{CID: p.Key, Type: PinType(t), Name: p.Name, Via: p.Via}
}

// Pins yields the pins of type t: recursive ones first, then direct, then indirect. Indirect ones need the trees of all
// recursive pins, which are not fetched from others, and the set of their CIDs in memory. It ends with the first error.
func (s *Store) Pins(ctx context.Context, t PinType) iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends the pinner's goroutine if the consumer stops
		defer cancel()
		switch t {
		case Recursive:
			yieldPins(s.pins.RecursiveKeys(ctx, true), yield)
		case Direct:
			yieldPins(s.pins.DirectKeys(ctx, true), yield)
		case Indirect:
			s.indirect(ctx, yield)
		case AnyPin:
			_ = yieldPins(s.pins.RecursiveKeys(ctx, true), yield) &&
				yieldPins(s.pins.DirectKeys(ctx, true), yield) &&
				s.indirect(ctx, yield)
		default:
			yield(Pin{}, fmt.Errorf("unknown pin type %q", t))
		}
	}
}

// yieldPins yields pins, and reports whether the caller wants more.
func yieldPins(pins <-chan pin.StreamedPin, yield func(Pin, error) bool) bool {
	for p := range pins {
		if p.Err != nil {
			yield(Pin{}, fmt.Errorf("list pins: %w", p.Err))
			return false
		}
		if !yield(pinOf(p.Pin), nil) {
			return false
		}
	}
	return true
}

// indirect yields the blocks below recursive pins that have no pin of their own.
func (s *Store) indirect(ctx context.Context, yield func(Pin, error) bool) bool {
	own := cid.NewSet()
	var roots []cid.Cid
	for p := range s.pins.RecursiveKeys(ctx, false) {
		if p.Err != nil {
			return yield(Pin{}, fmt.Errorf("list pins: %w", p.Err)) && false
		}
		roots = append(roots, p.Pin.Key)
		own.Add(p.Pin.Key)
	}
	for p := range s.pins.DirectKeys(ctx, false) {
		if p.Err != nil {
			return yield(Pin{}, fmt.Errorf("list pins: %w", p.Err)) && false
		}
		own.Add(p.Pin.Key)
	}
	seen, more := cid.NewSet(), true
	for _, root := range roots {
		err := merkledag.Walk(ctx, merkledag.GetLinksWithDAG(s.local), root, func(c cid.Cid) bool {
			if !more || !seen.Visit(c) {
				return false
			}
			if !own.Has(c) {
				more = yield(Pin{CID: c, Type: Indirect, Via: root}, nil)
			}
			return more
		})
		if !more {
			return false
		}
		if err != nil {
			yield(Pin{}, fmt.Errorf("list what is below %s: %w", root, err))
			return false
		}
	}
	return true
}
