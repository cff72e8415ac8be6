// Package request reads and writes requests: structs whose tags say how each field travels.
//
//	arg:"name"           an argument; ",optional", and ",stdin" if a command line
//	                     may read it from its input. A slice takes all that are left
//	opt:"long,alias"     an option, with default:"…" and help:"…" beside it, and
//	                     chunked:"true" if setting it makes the reply a stream
//	                     a slice of strings takes several, or one with commas
//	file:"name,stdin"    a small uploaded file, an io.Reader
//	kubo:"name,alias=v"  an option of Kubo's that is refused: see [Absent]
//
// Handler, client and command line all go by [Options], so a name or a default is written
// once.
package request
