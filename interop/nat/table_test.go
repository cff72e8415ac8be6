package nat

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	docPath    = "../../docs/reachability.md"
	tableBegin = "<!-- table: written by the tests in interop/nat, with -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// A row is all cells of two kinds.
type row struct {
	from, to, way string
	times         string
}

// rowsOf are the rows of the table, in the order of the cells.
func rowsOf(cells []*cell) (rows []row) {
	for _, c := range cells {
		from, to := c.from.home.says, c.to.home.says
		if slices.ContainsFunc(rows, func(r row) bool { return r.from == from && r.to == to }) {
			continue
		}
		times := map[string]string{}
		for _, other := range cells {
			if other.from.home == c.from.home && other.to.home == c.to.home {
				times[other.from.prog.name+other.to.prog.name] = other.text()
			}
		}
		way := c.way
		if c.asExpected() {
			way = c.usual()
		}
		rows = append(rows, row{from, to, way, strings.Join([]string{times["ipnsipns"], times["ipnsipfs"], times["ipfsipns"]}, " | ")})
	}
	return rows
}

// usual is the way of the cell in most runs.
func (c *cell) usual() string {
	want := expected(c.from.home.kind, c.to.home.kind)
	if !c.from.home.relay || want == direct || want == called {
		return want
	}
	return byRelay // or punched before the first byte
}

// text is how long the content took, if it came.
func (c *cell) text() string {
	if c.way == refused {
		return "–"
	}
	return fmt.Sprintf("%.1f s", c.first.Round(100*time.Millisecond).Seconds())
}

// compareTable fails the test where the table of the document says something else about ways;
// with -update it writes the table.
func compareTable(t *testing.T, cells []*cell) {
	t.Helper()
	doc, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(doc), tableBegin)
	old, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatalf("%s has no place for the table", docPath)
	}
	var b strings.Builder
	b.WriteString("| from | to | way | ipns to ipns | ipns to Kubo | Kubo to ipns |\n|---|---|---|---|---|---|\n")
	for _, r := range rowsOf(cells) {
		head := fmt.Sprintf("| %s | %s | %s |", r.from, r.to, r.way)
		fmt.Fprintf(&b, "%s %s |\n", head, r.times)
		if !*update && !strings.Contains(old, head) {
			t.Errorf("%s has no row %q: write it again with -update", docPath, head)
		}
	}
	if *update {
		if err := os.WriteFile(docPath, []byte(before+tableBegin+b.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
