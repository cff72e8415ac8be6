package repo

import (
	"errors"
	"strings"
)

// secret refuses keys whose values are secret, or contain some.
func secret(key string) error {
	parts := strings.Split(strings.ToLower(key), ".")
	switch {
	case key == "":
		return nil
	case parts[0] == "identity" && (len(parts) == 1 || parts[1] == "privkey"):
		return errors.New("cannot show or change private key through API")
	case overlaps(parts, []string{"pinning", "remoteservices", "*", "api", "key"}):
		return errors.New("cannot show or change pinning services credentials")
	}
	return nil
}

// overlaps reports whether one of two keys is that of a section that contains the other.
func overlaps(key, pattern []string) bool {
	for i, p := range pattern[:min(len(key), len(pattern))] {
		if p != "*" && p != key[i] {
			return false
		}
	}
	return true
}

// isAuthSecret reports whether a key is that of a secret of the API, or of the service for
// certificates.
func isAuthSecret(key string) bool {
	return strings.HasSuffix(strings.ToLower(key), ".authsecret") || strings.EqualFold(key, "AutoTLS.RegistrationToken")
}

// conceal removes the private key, the secrets of the API, of pinning services and of the
// service for certificates, and the password of the database from a config before it is shown: reading the config must not give more access.
func conceal(tree map[string]any) {
	remove(section(tree, "Identity"), "PrivKey")
	for _, a := range section(section(tree, "API"), "Authorizations") {
		remove(a, "AuthSecret")
	}
	remove(section(tree, "AutoTLS"), "RegistrationToken")
	ipns := section(tree, "Ipns")
	if store, _ := lookup(ipns, "Store"); store != nil && store != "" {
		text, _ := store.(string)
		ipns[name(ipns, "Store")] = ShownStore(text)
	}
	for _, s := range section(section(tree, "Pinning"), "RemoteServices") {
		if s, ok := s.(map[string]any); ok {
			remove(section(s, "API"), "Key")
		}
	}
}

// keepSecrets gives a new config what conceal took away from the old one. It refuses one
// that has a private key, or other pinning services.
func keepSecrets(tree, old map[string]any) error {
	id := section(tree, "Identity")
	if key, _ := lookup(id, "PrivKey"); key != nil && key != "" {
		return errors.New("setting private key with API is not supported")
	}
	tree[name(tree, "Identity")] = section(old, "Identity")
	before := section(section(old, "API"), "Authorizations")
	for label, a := range section(section(tree, "API"), "Authorizations") {
		now, _ := a.(map[string]any)
		if now == nil {
			continue
		}
		if was, _ := before[label].(map[string]any); was != nil && now[name(now, "AuthSecret")] == nil {
			now["AuthSecret"] = was[name(was, "AuthSecret")]
		}
	}
	now, was := section(tree, "AutoTLS"), section(old, "AutoTLS")
	const token = "RegistrationToken"
	if had, _ := lookup(was, token); had != nil && now != nil && now[name(now, token)] == nil {
		now[token] = had
	}
	now, was = section(tree, "Ipns"), section(old, "Ipns")
	if store, _ := lookup(was, "Store"); store != nil {
		text, _ := store.(string)
		if shown, _ := lookup(now, "Store"); shown == ShownStore(text) {
			now[name(now, "Store")] = text
		}
	}
	services, had := section(section(tree, "Pinning"), "RemoteServices"), section(section(old, "Pinning"), "RemoteServices")
	if len(services) != len(had) {
		return errors.New("cannot add or remove remote pinning services with 'config replace'")
	}
	for label, s := range services {
		now, _ := s.(map[string]any)
		was, _ := had[label].(map[string]any)
		if now == nil || was == nil {
			return errors.New("cannot add or remove remote pinning services with 'config replace'")
		}
		api, wasAPI := section(now, "API"), section(was, "API")
		key, _ := lookup(api, "Key")
		at, _ := lookup(api, "Endpoint")
		wasAt, _ := lookup(wasAPI, "Endpoint")
		if key != nil && key != "" || at != nil && at != "" && at != wasAt {
			return errors.New("cannot change remote pinning services api info with `config replace`")
		}
		now[name(now, "API")] = wasAPI
	}
	return nil
}

// section returns the section of m with a key, or nil.
func section(m map[string]any, key string) map[string]any {
	v, _ := lookup(m, key)
	sub, _ := v.(map[string]any)
	return sub
}

// remove deletes a key of m, ignoring case, if m is a section.
func remove(m any, key string) {
	if m, ok := m.(map[string]any); ok {
		for k := range m {
			if strings.EqualFold(k, key) {
				delete(m, k)
			}
		}
	}
}
