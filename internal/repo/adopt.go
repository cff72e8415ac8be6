package repo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// whyNot says why a node has none of the keys of a section of Kubo's config. What is not
// listed has nothing to do with names.
var whyNot = map[string]string{
	"AutoConf":   "the public servers are built in, and nothing is fetched from outside to find them",
	"AutoNAT":    "this node paces what it tells others of their reachability itself",
	"Datastore":  "this node keeps everything in a database of its own",
	"Discovery":  "this node finds others by the DHT, not by MDNS",
	"Import":     "give it to 'ipns add' as an option",
	"Migration":  "this node reads what its older versions wrote",
	"Mounts":     "this node mounts nothing",
	"Pinning":    "its secret stays where it is",
	"Plugins":    "this node has no plugins",
	"Provider":   "Kubo has replaced it by Provide",
	"Reprovider": "Kubo has replaced it by Provide",
}

// Adopt returns the config that asks of this node what a config of Kubo asks of Kubo, where
// that means the same. left says, with a line for each key, what it does not ask for. It
// names no values: some are secret.
func Adopt(kubo map[string]any) (c Config, left []string, err error) {
	a := &adoption{tree: map[string]any{}}
	a.section(schema(), kubo)
	// One value may be possible only with another that came later.
	for n := -1; n != len(a.waiting); {
		waiting := a.waiting
		n, a.waiting = len(waiting), nil
		for _, w := range waiting {
			a.value(w.at, w.value)
		}
	}
	for _, w := range a.waiting {
		a.leaveBecause(w.at, w.err.Error())
	}
	b, err := marshal(a.tree)
	if err != nil {
		return c, nil, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, nil, fmt.Errorf("adopt the config: %w", err)
	}
	if c.Discovery.MDNS.Enabled {
		c.Discovery.MDNS.Enabled = false
		a.leave([]string{"Discovery", "MDNS", "Enabled"})
	}
	return c, a.left, c.check()
}

// adoption is a config being made from one of Kubo's.
type adoption struct {
	tree map[string]any // what is taken so far: always a valid config
	left []string
	// waiting are the values with which a node could not start.
	waiting []waitingValue
}

type waitingValue struct {
	at    []string
	value any
	err   error
}

func (a *adoption) section(s *keyNode, from map[string]any, path ...string) {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		sub, spelled := s.find(key)
		at := append(slices.Clip(path), spelled)
		value := from[key]
		below, isSection := value.(map[string]any)
		switch {
		case says(value, `""`, "[]", "{}", `"default"`), value == nil && s.keys["*"] == nil:
			// asks for what is so anyway; but null removes one of many
		case sub == nil:
			a.leaveBecause(at, "neither Kubo nor this node knows it")
		case sub.foreign != nil:
			if !sub.foreign.takes(value) && (sub.foreign.refuse || !says(value, "0", "false")) {
				a.leave(at)
			}
		case isSection && sub.keys != nil && !sub.free && !slices.Equal(path, []string{"API", "Authorizations"}):
			a.section(sub, below, at...)
		default:
			a.value(at, value)
		}
	}
}

// says reports whether a value is one of some JSON texts.
func says(value any, texts ...string) bool { return slices.Contains(texts, asJSON(value)) }

// value takes a value if a node could start with it. Of a list where this node has one
// value, it takes the first.
func (a *adoption) value(at []string, value any) {
	err := a.try(at, value)
	if list, ok := value.([]any); err != nil && ok && len(list) > 0 && a.try(at, list[0]) == nil {
		if len(list) > 1 {
			a.leaveBecause(at, "this node takes one; the first of the list is taken")
		}
		return
	}
	if err != nil {
		a.waiting = append(a.waiting, waitingValue{at, value, err})
	}
}

func (a *adoption) try(at []string, value any) error {
	b, err := marshal(a.tree)
	if err != nil {
		return err
	}
	next, err := decodeTree(b)
	if err != nil {
		return err
	}
	if err := set(next, at, value); err != nil {
		return err
	}
	if b, err = marshal(next); err != nil {
		return err
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	a.tree = next
	return nil
}

func (a *adoption) leave(at []string) {
	why := "this node does not have it"
	for n := range at {
		if reason := whyNot[strings.Join(at[:n+1], ".")]; reason != "" {
			why = reason
		}
	}
	a.leaveBecause(at, why)
}

func (a *adoption) leaveBecause(at []string, why string) {
	a.left = append(a.left, fmt.Sprintf("%s: %s", strings.Join(at, "."), why))
}
