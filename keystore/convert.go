package keystore

import (
	"errors"
	"fmt"
)

// Convert encrypts the files of all keys, or writes them in clear, but for that of [Self]. It
// returns how many it rewrote. Damaged files stay as they are, each with an error that names
// it. A crash leaves some files in one form and some in the other, all of them readable, and
// Convert can be called again.
func (s *Store) Convert(clear bool) (n int, err error) {
	labels, err := s.List()
	if err != nil {
		return 0, err
	}
	to := Store{dir: s.dir, Cipher: s.Cipher, Encrypt: !clear}
	for _, label := range labels {
		one := func() error {
			if label == Self {
				return nil
			}
			file, err := s.read(label)
			if err != nil || encrypted(file) != clear {
				return err
			}
			key, err := s.parse(file)
			if err != nil {
				return err
			}
			if err := to.Replace(label, key); err != nil {
				return err
			}
			n++
			return nil
		}
		if cerr := one(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("convert key %q in %s: %w", label, s.path(label), cerr))
		}
	}
	return n, err
}

// Reseal encrypts the files again that are encrypted, that of [Self] included, to all for whom
// the Cipher now does so. Files that cannot be decrypted stay as they are.
func (s *Store) Reseal() error {
	labels, err := s.List()
	if err != nil {
		return err
	}
	to := Store{dir: s.dir, Cipher: s.Cipher, Encrypt: true}
	for _, label := range labels {
		file, err := s.read(label)
		if err != nil || !encrypted(file) {
			continue
		}
		key, err := s.parse(file)
		if err != nil {
			continue // damaged, or for another daemon
		}
		if err := to.Replace(label, key); err != nil {
			return err
		}
	}
	return nil
}

// Locked returns how many files of keys are encrypted and cannot be decrypted.
func (s *Store) Locked() (n int, err error) {
	labels, err := s.List()
	if err != nil {
		return 0, err
	}
	for _, label := range labels {
		if file, err := s.read(label); err == nil && encrypted(file) {
			if _, err := s.parse(file); errors.Is(err, ErrLocked) { // others are damaged, or for another daemon
				n++
			}
		}
	}
	return n, nil
}
