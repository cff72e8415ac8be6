// Package jsipns sets the record core beside js-ipns, the implementation that
// Helia uses: what we make it must accept, what it makes we must accept, and
// where the two differ on odd records there must be a reason.
//
// The tests need node, and the packages of package-lock.json: run "npm ci" here
// once. They run our side as a program, like all tests of this module.
package jsipns
