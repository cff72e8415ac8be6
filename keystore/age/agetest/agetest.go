// Package agetest makes encrypted keystores for tests, which cost little work.
package agetest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// work is the exponent of scrypt's work: a thousandth of a second.
const work = 10

// Identity writes an identity into a folder of keys that has none, encrypted with a
// passphrase. What makes a vault for that folder takes this one.
func Identity(dir, passphrase string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	scrypt, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	scrypt.SetWorkFactor(work)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, scrypt)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, id.String()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "identity.age"), sealed.Bytes(), 0o400)
}
