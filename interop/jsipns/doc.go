// Package jsipns sets the record core beside js-ipns, the implementation that
// Helia uses: what we make it must accept, what it makes we must accept, and
// where the two differ on odd records there must be a reason.
//
// Its side are scripts in interop/js. Ours is run as a program, like in all tests of
// this module.
package jsipns
