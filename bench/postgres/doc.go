// Package postgres measures names in a PostgreSQL database: how much space and time they
// take, and what swaps and reads cost beside pgbench with the same statement and beside
// Pebble.
//
// Its tests run in CI with few names, and check what does not depend on the machine. The
// figures of bench/README.md are of
//
//	go test ./bench/postgres -v -timeout 2h -run Sizes -names 1000000
//	go test ./bench/postgres -v -timeout 1h -run Beside -rounds 7 -for 5s
package postgres
