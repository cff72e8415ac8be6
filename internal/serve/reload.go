package serve

import (
	"time"

	"github.com/goipns/ipns/internal/repo"
)

// reloaded are the sections of the config that Reload puts in force, where there is a server
// that they are for; fixed are keys in them that wait for the next start all the same.
var (
	reloaded = []string{"API", "Gateway", "HTTP", "Hosting"}
	fixed    = []string{"Hosting.TLSCert", "Hosting.TLSKey"}
)

// Reload reads the config again and takes from it who may use the API, what the gateway
// offers, Hosting, and HTTP. All else waits for the next start. On an error everything stays
// as it was.
func (s *Servers) Reload() (repo.Reloaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.o.Repo.Config()
	if err != nil {
		return repo.Reloaded{}, err
	}
	trusted, err := c.HTTP.Proxies()
	if err != nil {
		return repo.Reloaded{}, err
	}
	h, err := s.handlers(&c)
	if err != nil {
		return repo.Reloaded{}, err
	}
	if s.api != nil {
		s.api.Set(s.healthy(h.api), trusted)
		s.guard.Replaced(h.api)
		s.guard = h.api
	}
	if s.gateway != nil {
		s.gateway.Set(s.healthyGateway(h.gateway), trusted)
	}
	if s.hosting != nil {
		s.hosting.Set(s.healthy(h.hosting), trusted)
		s.certificate.reload(time.Now())
	}
	done := repo.Reloaded{InForce: []string{}, Waiting: []string{}}
	for _, key := range repo.Changed(s.now, &c) {
		if s.reloads(key) {
			done.InForce = append(done.InForce, key)
		}
	}
	for _, key := range repo.Changed(s.started, &c) {
		if !s.reloads(key) {
			done.Waiting = append(done.Waiting, key)
		}
	}
	s.now = &c
	return done, nil
}

// reloads reports whether Reload puts a key in force.
func (s *Servers) reloads(key string) bool {
	switch {
	case !repo.Within(key, reloaded...) || repo.Within(key, fixed...):
		return false
	case repo.Within(key, "API"):
		return s.api != nil
	case repo.Within(key, "Gateway"):
		return s.gateway != nil
	case repo.Within(key, "Hosting"):
		return s.hosting != nil
	}
	return true
}
