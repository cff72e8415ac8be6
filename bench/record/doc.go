// Package record sets the record core beside boxo: the same work side by side in
// benchmarks, and the same bytes to both in tests. Every difference of opinion
// has a reason here, or a test fails.
//
// Run the benchmarks of the table in bench/README.md with
//
//	go test -run "^$" -bench . -count 8 ./bench/record
package record
