// Command emit writes records for other implementations to judge: one JSON object a line,
// with what this implementation says of each. First come the records that Sign
// makes, then mutants of them, as many as the argument says.
//
// With the argument "judge" it reads such lines of others, and writes them with
// what this implementation says.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/bench/record"
)

// line is one record.
type line struct {
	Case       string `json:"case"`       // what is particular about it
	Mutant     bool   `json:"mutant"`     // false: made by Sign
	RoutingKey []byte `json:"routingKey"` // in base64, as is Raw
	Raw        []byte `json:"raw"`
	Error      string `json:"error"` // why we refuse it, empty if we accept it

	Value    string `json:"value"` // of accepted records
	Sequence string `json:"sequence"`
	TTL      string `json:"ttl"` // ns
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "emit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument: a number of mutants, or judge")
	}
	out := bufio.NewWriter(os.Stdout)
	enc := json.NewEncoder(out)
	if args[0] == "judge" {
		if err := judgeAll(enc, os.Stdin); err != nil {
			return err
		}
		return out.Flush()
	}
	mutants, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("number of mutants: %w", err)
	}
	if err := emit(ctx, enc, mutants); err != nil {
		return err
	}
	return out.Flush()
}

func judgeAll(enc *json.Encoder, in io.Reader) error {
	dec := json.NewDecoder(in)
	for {
		var l line
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		name, err := ipns.NameFromRoutingKey(l.RoutingKey)
		if err != nil {
			return err
		}
		if err := enc.Encode(judge(l.Case, name, l.Raw)); err != nil {
			return err
		}
	}
}

func emit(ctx context.Context, enc *json.Encoder, mutants int) error {
	all, err := record.Emitted(ctx)
	if err != nil {
		return err
	}
	for name, r := range all {
		if err := enc.Encode(judge(name, r.Name(), r.Raw())); err != nil {
			return err
		}
	}
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return err
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(7, 11))
	for range mutants {
		raw, changes, err := record.Mutant(rnd, priv)
		if err != nil {
			return err
		}
		l := judge(strings.Join(changes, "; "), name, raw)
		l.Mutant = true
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// judge says what we think of a record.
func judge(what string, name ipns.Name, raw []byte) line {
	l := line{Case: what, RoutingKey: name.RoutingKey(), Raw: slices.Clone(raw)}
	r, err := ipns.Open(name, raw, time.Now())
	if err != nil {
		l.Error = err.Error()
		return l
	}
	l.Value = r.Value()
	l.Sequence, l.TTL = strconv.FormatUint(r.Sequence(), 10), strconv.FormatInt(int64(r.TTL()), 10)
	return l
}
