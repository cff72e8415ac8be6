package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore/remote"
)

// last is what was signed last for a name.
type last struct {
	Sequence uint64
	Content  string // all but the EOL: the same sequence must not have another
	EOL      time.Time
}

// server signs.
type server struct {
	keys        []remote.Key
	signers     map[string]ipns.Signer // by name
	token       string
	state       string // the file of signed
	maxLifetime time.Duration

	mu     sync.Mutex
	signed map[string]last // by name
}

// open reads keys, token and state.
func open(o options) (*server, error) {
	s := &server{signers: map[string]ipns.Signer{}, state: o.state, maxLifetime: o.maxLifetime, signed: map[string]last{}}
	if o.token != "" {
		b, err := os.ReadFile(o.token)
		if err != nil {
			return nil, err
		}
		if s.token = strings.TrimSpace(string(b)); s.token == "" {
			return nil, fmt.Errorf("%s is empty", o.token)
		}
	}
	b, err := os.ReadFile(o.state)
	if err == nil {
		err = json.Unmarshal(b, &s.signed)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) { // with a damaged one, a name could go back
		return nil, fmt.Errorf("read what was signed from %s: %w", o.state, err)
	}
	files, err := filepath.Glob(filepath.Join(o.keys, "*.key"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := s.add(file); err != nil {
			return nil, fmt.Errorf("read the key %s: %w", file, err)
		}
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("there is no key in %s", o.keys)
	}
	return s, nil
}

func (s *server) add(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	key, err := ipns.ParsePrivateKey(b)
	if err != nil {
		return err
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return err
	}
	public, err := ipns.MarshalPublicKey(key.GetPublic())
	if err != nil {
		return err
	}
	s.signers[name.String()] = ipns.NewSigner(key)
	s.keys = append(s.keys, remote.Key{Label: strings.TrimSuffix(filepath.Base(file), ".key"), PublicKey: public})
	return nil
}

func (s *server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET "+remote.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, remote.Keys{Keys: s.keys})
	})
	m.HandleFunc("POST "+remote.SignPath, func(w http.ResponseWriter, r *http.Request) {
		// A message is a third longer in base64, and there is a name.
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*remote.MaxMessage))
		var req remote.SignRequest
		if err == nil {
			err = json.Unmarshal(b, &req)
		}
		if err != nil {
			answer(w, http.StatusBadRequest, remote.Refusal{Error: err.Error()})
			return
		}
		sig, err := s.sign(r.Context(), req)
		switch {
		case errors.As(err, new(refusal)):
			answer(w, http.StatusForbidden, remote.Refusal{Error: err.Error()})
		case err != nil:
			answer(w, http.StatusInternalServerError, remote.Refusal{Error: err.Error()})
		default:
			answer(w, http.StatusOK, remote.Signed{Signature: sig})
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if s.token != "" && (!ok || subtle.ConstantTimeCompare([]byte(got), []byte(s.token)) == 0) {
			answer(w, http.StatusUnauthorized, remote.Refusal{Error: "it wants another token"})
			return
		}
		m.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what)
}

// refusal is why something is not signed.
type refusal string

func (r refusal) Error() string { return string(r) }

// ladderPrefix begins the list of a ladder. It names records that were signed before, each by
// itself, and makes none.
const ladderPrefix = "ipns-ladder/1:"

// sign signs a record if it may be the next one of its name, and lists of records.
func (s *server) sign(ctx context.Context, req remote.SignRequest) ([]byte, error) {
	signer := s.signers[req.Name]
	if signer == nil {
		return nil, refusal("there is no key of " + req.Name)
	}
	if list, ok := bytes.CutPrefix(req.Message, []byte(ladderPrefix)); ok && len(list) == sha256.Size {
		return signer.Sign(ctx, req.Message)
	}
	f, err := ipns.ParseSigned(req.Message)
	if err != nil {
		return nil, refusal("only records are signed, with one signature each, and ladders of them: " + err.Error())
	}
	if time.Until(f.EOL) > s.maxLifetime {
		return nil, refusal(fmt.Sprintf("a record may be valid for %v at most", s.maxLifetime))
	}
	next := last{Sequence: f.Sequence, EOL: f.EOL}
	content, err := json.Marshal([]any{f.Value, f.TTL, f.Metadata})
	if err != nil {
		return nil, refusal(err.Error())
	}
	next.Content = string(content)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch was, ok := s.signed[req.Name]; {
	case !ok:
	case next.Sequence < was.Sequence:
		return nil, refusal(fmt.Sprintf("sequence %d was signed, so %d would go back", was.Sequence, next.Sequence))
	case next.Sequence == was.Sequence && next.Content != was.Content:
		return nil, refusal(fmt.Sprintf("sequence %d was signed with other content", was.Sequence))
	}
	before, had := s.signed[req.Name]
	s.signed[req.Name] = next
	// What is signed is remembered first: a crash after this loses a signature, not the order.
	if err := s.save(); err != nil {
		if delete(s.signed, req.Name); had {
			s.signed[req.Name] = before
		}
		return nil, err
	}
	return signer.Sign(ctx, req.Message)
}

// save writes the state as a whole, and to the disk.
func (s *server) save() error {
	b, err := json.Marshal(s.signed)
	if err != nil {
		return err
	}
	f, err := os.Create(s.state + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(s.state+".new", s.state)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(s.state))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
