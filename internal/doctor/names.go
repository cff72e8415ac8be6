package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/contenthash"
)

// Limits of the checks of names.
const (
	riskLeft    = 12 * time.Hour // an own record is renewed long before this is left
	riskHolders = 10             // servers that should have taken a record
)

// publish is the command that makes the next record of a key, in this repo's program.
func (f Facts) publish(n Name) string {
	program := "ipns"
	if f.Kubo {
		program = "ipfs"
	}
	value := "/ipfs/CID"
	if n.Record != nil {
		value = n.Record.Value
	}
	return fmt.Sprintf("%s name publish --key=%s %s", program, n.Key, value)
}

func closed(f Facts) []Finding {
	if f.Closed == nil {
		return nil
	}
	return []Finding{{
		Subject: f.Path, Found: f.Closed.Error(),
		Means: "its names could not be looked at, nor can 'ipns init --from-kubo' take them",
		Mend:  "what the line above says",
	}}
}

func keys(f Facts) []Finding {
	var all []Finding
	for _, n := range f.Names {
		if n.Err != "" {
			all = append(all, Finding{
				Subject: n.Key, Found: "the key cannot be used: " + n.Err,
				Means: "its name cannot be renewed, and expires",
				Mend:  fmt.Sprintf("restore its file from a backup; or 'ipns key rm %s'", n.Key),
			})
		}
	}
	return all
}

func passphrase(f Facts) []Finding {
	if !f.Locked {
		return nil
	}
	return []Finding{{
		Subject: f.Path, Found: "its keys are encrypted, and the daemon has no passphrase",
		Means: "no record is renewed, and names end when theirs do",
		Mend:  "start the daemon with --passphrase-file, $IPNS_PASSPHRASE or the systemd credential ipns-passphrase",
	}}
}

func signers(f Facts) []Finding {
	var all []Finding
	for _, n := range f.Names {
		if n.Signer == "" {
			continue
		}
		means := "its record is not renewed, and the name leads nowhere when that ends"
		if n.Record != nil {
			means = "its record is not renewed, and the name leads nowhere after " + n.Record.EOL.UTC().Format(time.RFC3339)
		}
		all = append(all, Finding{
			Subject: n.Key, Found: "its key cannot sign: " + n.Signer, Means: means,
			Mend: "start the ssh-agent or signer that has the key, or name it in Ipns.SSHAgent or Ipns.Signers; if the key was removed for good, nothing",
		})
	}
	return all
}

func records(f Facts) []Finding {
	var all []Finding
	for _, n := range f.Names {
		subject := n.Key
		switch rec := n.Record; {
		case n.Err != "":
		case rec == nil:
			all = append(all, Finding{
				Subject: subject, Note: true, Found: "nothing was published with this key here",
				Means: "its name leads nowhere, unless it is published elsewhere", Mend: f.publish(n),
			})
		case !f.Now.Before(rec.EOL):
			all = append(all, Finding{
				Subject: subject, Found: fmt.Sprintf("its record, sequence %d, expired %s", rec.Sequence, rec.EOL.UTC().Format(time.RFC3339)),
				Means: "nobody may use it: the name leads nowhere", Mend: f.publish(n) + ", and keep a daemon running",
			})
		case rec.EOL.Sub(f.Now) < riskLeft:
			all = append(all, Finding{
				Subject: subject, Found: fmt.Sprintf("its record, sequence %d, ends %s", rec.Sequence, rec.EOL.UTC().Format(time.RFC3339)),
				Means: "a running daemon renews a record well before that: none does", Mend: "keep 'ipns daemon' running",
			})
		}
	}
	return all
}

func ahead(f Facts) []Finding {
	var all []Finding
	for _, r := range f.Risks {
		all = append(all, Finding{
			Subject: r.Name, Found: r.Why, Means: "the name ends then, or leads nowhere, though its record is valid now",
			Mend: "where its key is, sign another ladder or delegation; 'ipns name status " + r.Name + "' shows all of it",
		})
	}
	return all
}

func announced(f Facts) []Finding {
	if f.Kubo {
		return nil // Kubo keeps no books about it
	}
	var all []Finding
	for _, n := range f.Names {
		switch {
		case n.Record == nil:
		case n.Announced.IsZero():
			all = append(all, Finding{
				Subject: n.Key, Found: "its record was never announced from here",
				Means: "it is stored, but nobody else has it from here", Mend: "start 'ipns daemon' and look at 'ipns republish status'",
			})
		case n.LastError != "":
			all = append(all, Finding{
				Subject: n.Key, Found: fmt.Sprintf("its last announcement fell short: %s", n.LastError),
				Means: fmt.Sprintf("%d servers took it; the daemon tries again", n.Holders), Mend: "ipns republish status",
			})
		}
	}
	return all
}

func outside(f Facts) []Finding {
	var all []Finding
	if f.Unheard != nil {
		all = append(all, Finding{
			Subject: "network", Found: "others could not be asked: " + f.Unheard.Error(),
			Means: "this machine reaches no server: what others have of its names is unknown", Mend: "ipns bootstrap list, and look at the firewall",
		})
	}
	for _, n := range f.Names {
		if n.Outside != nil {
			all = append(all, n.fromOutside(f)...)
		}
	}
	return all
}

// fromOutside compares what others have with what is here.
func (n Name) fromOutside(f Facts) []Finding {
	newest := n.Outside.Newest
	name := n.Key
	switch {
	case newest == nil && n.Record == nil:
		return nil
	case newest == nil:
		return []Finding{{
			Subject: name, Found: "unreachable: " + n.Outside.Verdict,
			Means: "nobody can resolve the name", Mend: f.publish(n),
		}}
	case n.Record == nil || newest.Sequence > n.Record.Sequence:
		here := "nothing"
		if n.Record != nil {
			here = fmt.Sprintf("sequence %d", n.Record.Sequence)
		}
		return []Finding{{
			Subject: name, Found: fmt.Sprintf("others have sequence %d, here is %s", newest.Sequence, here),
			Means: "someone else publishes with this key, or this repo is an old copy: what is here is ignored",
			Mend:  fmt.Sprintf("ipns name publish --key=%s --sequence=%d VALUE, once it is clear who publishes", n.Key, newest.Sequence+1),
		}}
	case !n.Outside.OK || newest.Sequence < n.Record.Sequence:
		return []Finding{{
			Subject: name, Found: fmt.Sprintf("stale answers, here is sequence %d: %s", n.Record.Sequence, n.Outside.Verdict),
			Means: "some who ask for the name get an older record, or none", Mend: f.publish(n) + "; 'ipns name check " + n.Key + "' shows who",
		}}
	}
	return nil
}

func writers(f Facts) []Finding {
	var all []Finding
	for _, n := range f.Names {
		if n.Rivals || n.otherValue() {
			all = append(all, Finding{
				Subject: n.Key, Found: "another holder of this key has published",
				Means: "two writers replace each other's records; what people see changes with whom they ask",
				Mend:  "stop one of the two, then " + f.publish(n) + "; if nobody else should have the key, it has leaked: 'ipns key gen' a new one",
			})
		}
	}
	return all
}

// otherValue reports whether others have another value under the sequence that is here.
func (n Name) otherValue() bool {
	if n.Record == nil || n.Outside == nil {
		return false
	}
	for _, s := range n.Outside.Sources {
		if s.Record != nil && s.Record.Sequence == n.Record.Sequence && s.Record.Value != n.Record.Value {
			return true
		}
	}
	return false
}

// mine reports whether a path such as /ipns/k51… begins with one of these names.
func (f Facts) mine(path string) bool {
	rest, ok := strings.CutPrefix(path, "/ipns/")
	text, _, _ := strings.Cut(rest, "/")
	name, err := ipns.ParseName(text)
	return ok && err == nil && slices.ContainsFunc(f.Names, func(n Name) bool { return n.Name == name })
}

func dnslinks(f Facts) []Finding {
	var all []Finding
	for _, d := range f.Domains {
		want := "/ipns/NAME"
		if len(f.Names) > 0 && f.Names[0].Err == "" {
			want = f.Names[0].Name.Path()
		}
		mend := fmt.Sprintf("set a TXT record of _dnslink.%s: dnslink=%s", d.Domain, want)
		for _, found := range d.Findings {
			all = append(all, Finding{Subject: d.Domain, Found: found, Means: "the domain leads nowhere, or not everyone to the same content", Mend: mend})
		}
		switch {
		case d.Value == "" || f.mine(d.Value):
		case strings.HasPrefix(d.Value, "/ipfs/"):
			all = append(all, Finding{
				Subject: d.Domain, Note: true, Found: "its DNSLink is " + d.Value,
				Means: "it is fixed to that content; to change it, DNS has to be changed each time", Mend: mend,
			})
		default:
			all = append(all, Finding{
				Subject: d.Domain, Found: "its DNSLink is " + d.Value, Means: "that is no name whose key is here: publishing here does not change the domain", Mend: mend,
			})
		}
	}
	return all
}

func contenthashes(f Facts) []Finding {
	var all []Finding
	for _, text := range f.Contenthashs {
		mend := "ipns contenthash encode NAME, and set that for the ENS name"
		if len(f.Names) > 0 && f.Names[0].Err == "" {
			mend = fmt.Sprintf("set the contenthash of the ENS name to %s", contenthash.Hex(contenthash.Encode(f.Names[0].Name)))
		}
		b, err := contenthash.ParseHex(text)
		var c contenthash.Content
		if err == nil {
			c, err = contenthash.Decode(b)
		}
		switch {
		case err != nil:
			all = append(all, Finding{Subject: text, Found: "it is no contenthash: " + err.Error(), Means: "the ENS name leads nowhere", Mend: mend})
		case c.Domain != "":
			all = append(all, Finding{Subject: text, Found: "the old encoding of the domain " + c.Domain, Means: "many resolvers do not read it any more", Mend: mend})
		case c.Name.IsZero():
			all = append(all, Finding{
				Subject: text, Note: true, Found: "it is " + c.URI(),
				Means: "the ENS name is fixed to that content: each change costs a transaction", Mend: mend,
			})
		default:
			if !f.mine(c.Name.Path()) {
				all = append(all, Finding{Subject: text, Found: "it is " + c.URI(), Means: "that is no name whose key is here", Mend: mend})
			}
		}
	}
	return all
}
