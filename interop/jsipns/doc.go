// Package jsipns sets the record core beside js-ipns, the implementation that
// Helia uses: what we make it must accept, what it makes we must accept, and
// where the two differ on odd records there must be a reason.
//
// The tests need node and npm, which fetches the packages of package-lock.json at
// the first run. They run our side as a program, like all tests of this module.
package jsipns
