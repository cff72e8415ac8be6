package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goipns/ipns"
)

// safe is how many of the closest servers must hold the newest record.
const safe = 15

// Report is what the world has of a name.
type Report struct {
	Name string
	// OK says that the newest record is held by enough of the closest servers of
	// a DHT, and by all the HTTP sources that were asked.
	OK      bool
	Verdict string
	// Newest is what the newest record found says; nil: none was found.
	Newest  *Record `json:",omitempty"`
	Sources []Source
}

// Judge says what the answers amount to.
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

// weigh counts who has the newest record.
func weigh(newest *ipns.Record, sources []Source) (ok bool, verdict string) {
	type count struct{ of, have, other, older int }
	dhts, web := map[string]*count{}, count{}
	for _, s := range sources {
		c := &web
		if s.Network == WAN || s.Network == LAN {
			if dhts[s.Network] == nil {
				dhts[s.Network] = new(count)
			}
			c = dhts[s.Network]
		}
		c.of++
		if s.Found == nil {
			continue
		}
		switch VersionOf(s.Found, newest) {
		case SameVersion:
			c.have++
		case OtherValue:
			c.other++
		default:
			c.older++
		}
	}
	ok = web.have == web.of
	var parts []string
	for _, network := range []string{WAN, LAN} {
		c := dhts[network]
		if c == nil {
			continue
		}
		part := fmt.Sprintf("%d of the %d closest servers (%s) hold sequence %d", c.have, c.of, network, newest.Sequence())
		if c.other > 0 {
			part += fmt.Sprintf(", %d another value under it", c.other)
		}
		if c.older > 0 {
			part += fmt.Sprintf(", %d an older record", c.older)
		}
		parts = append(parts, part)
		ok = ok && c.have >= min(safe, c.of)
	}
	if web.of > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d routers and gateways have it", web.have, web.of))
	}
	return ok, strings.Join(parts, "; ")
}

// Version is what a record is to the newest one.
type Version int

const (
	OlderVersion Version = iota // of a lower sequence
	OtherValue                  // of the same, with another value: somebody else signs with the key
	SameVersion                 // it says the same, if not for as long
)

// VersionOf tells what a record is to the newest one.
func VersionOf(rec, newest *ipns.Record) Version {
	switch {
	case rec.Sequence() != newest.Sequence():
		return OlderVersion
	case rec.Value() != newest.Value():
		return OtherValue
	}
	return SameVersion
}
