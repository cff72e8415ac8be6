package main

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/goipns/ipns/keystore/age/agetest"
)

// writeIdentity gives a keystore an identity whose passphrase costs little work: identity
// FOLDER PASSPHRASE.
func writeIdentity(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(agetest.Identity(ts.MkAbs(args[0]), args[1]))
}
