package api

import (
	"io"
	"strings"
	"text/tabwriter"
)

// table aligns columns. fill writes them, separated by tabs.
func table(fill func(io.Writer)) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fill(tw)
	tw.Flush()
	return b.String()
}
