package main

import (
	"bytes"
	"io"
	"path/filepath"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/goipns/ipns/internal/durable"
)

// writeIdentity gives a keystore an identity whose passphrase costs little work: identity
// FOLDER PASSPHRASE.
func writeIdentity(ts *testscript.TestScript, _ bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	scrypt, err := age.NewScryptRecipient(args[1])
	ts.Check(err)
	scrypt.SetWorkFactor(10)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, scrypt)
	ts.Check(err)
	_, err = io.WriteString(w, id.String())
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(durable.Create(filepath.Join(ts.MkAbs(args[0]), "identity.age"), sealed.Bytes(), 0o400))
}
