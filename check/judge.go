package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// safe is how many of the closest servers must hold the newest record.
const safe = 15

// Report is the evaluation of the answers for a name.
type Report struct {
	Name string
	// OK says that enough of the closest servers of a DHT, and all HTTP sources that were
	// asked, hold the newest record.
	OK      bool
	Verdict string
	// Newest summarizes the newest record found; nil: none was found.
	Newest  *Record `json:",omitempty"`
	Sources []Source
}

// Judge evaluates the answers.
func Judge(name ipns.Name, sources []Source) Report {
	report := Report{Name: name.String(), Sources: sources}
	var newest *ipns.Record
	for _, s := range sources {
		if s.Found != nil && (newest == nil || ipns.Compare(s.Found, newest) > 0) {
			newest = s.Found
		}
	}
	if newest == nil {
		report.Verdict = "nobody has it"
		if slices.ContainsFunc(sources, func(s Source) bool { return s.Error != "" }) {
			report.Verdict = "nobody who answered has it"
		}
		return report
	}
	report.Newest = recordOf(newest)
	report.OK, report.Verdict = weigh(newest, sources)
	return report
}

// weigh counts the sources with the newest record.
func weigh(newest *ipns.Record, sources []Source) (ok bool, verdict string) {
	dhts, web := map[string]*routing.Spread{}, routing.Spread{}
	for _, s := range sources {
		c := &web
		if s.Network == WAN || s.Network == LAN {
			if dhts[s.Network] == nil {
				dhts[s.Network] = new(routing.Spread)
			}
			c = dhts[s.Network]
		}
		c.Count(s.Found, newest)
	}
	ok = web.Same == web.Answered
	var parts []string
	for _, network := range []string{WAN, LAN} {
		c := dhts[network]
		if c == nil {
			continue
		}
		part := fmt.Sprintf("%d of the %d closest servers (%s) hold sequence %d", c.Same, c.Answered, network, newest.Sequence())
		if c.Other > 0 {
			part += fmt.Sprintf(", %d another value under it", c.Other)
		}
		if c.Older > 0 {
			part += fmt.Sprintf(", %d an older record", c.Older)
		}
		parts = append(parts, part)
		ok = ok && c.Same >= min(safe, c.Answered)
	}
	if web.Answered > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d routers and gateways have it", web.Same, web.Answered))
	}
	return ok, strings.Join(parts, "; ")
}
