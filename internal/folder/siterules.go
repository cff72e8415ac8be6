package folder

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// RulesFile is the file at the top of a folder that says what of it is not published. It is not published itself.
const RulesFile = ".ipnsignore"

const (
	maxRules     = 1000    // of one file
	maxRulesFile = 1 << 20 // bytes
)

// Temporary is why a file is left out that editors make while they save, and remove.
const Temporary = "a temporary file of an editor"

// SiteRules say what of a folder is not published: temporary files of editors, and what the [RulesFile] says, as in a
// .gitignore. A later rule overrides an earlier one, and "!rule" takes in again what is left out, but for what is in a
// folder that is.
type SiteRules struct {
	rules []siteRule
	sum   [sha256.Size]byte
}

// siteRule is one line of the file.
type siteRule struct {
	name    string         // matches this name alone; "": pattern
	pattern *regexp.Regexp // of the path
	include bool           // "!"
	dirOnly bool           // ends with "/"
}

// ReadSiteRules reads the rules of a folder. Without a file they are those about temporary files.
func ReadSiteRules(dir string) (*SiteRules, error) {
	b, err := readRulesFile(filepath.Join(dir, RulesFile))
	if err != nil {
		return nil, err
	}
	r := &SiteRules{sum: sha256.Sum256(b)}
	lines := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(string(b), "\ufeff"))) // some editors begin with a mark
	for n := 1; lines.Scan(); n++ {
		rule, ok, err := parseSiteRule(lines.Text())
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s, line %d: %w", filepath.Join(dir, RulesFile), n, err)
		case !ok:
		case len(r.rules) == maxRules:
			return nil, fmt.Errorf("%s has more than %d rules", filepath.Join(dir, RulesFile), maxRules)
		default:
			r.rules = append(r.rules, rule)
		}
	}
	return r, lines.Err()
}

func readRulesFile(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err == nil && info.Mode().Type() == fs.ModeSymlink { // one to nothing is an error: rules were meant to be there
		if info, err = os.Stat(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxRulesFile:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, maxRulesFile)
	}
	return os.ReadFile(name)
}

// Sum tells rules from others.
func (r *SiteRules) Sum() [sha256.Size]byte { return r.sum }

// LeaveOut returns why something is left out, for [Options].Ignore; "": it is not.
func (r *SiteRules) LeaveOut(p string, isDir bool) (why string) {
	base := path.Base(p)
	if p == RulesFile {
		return Ignored
	}
	if !isDir && temporary(base) {
		why = Temporary
	}
	for _, rule := range r.rules {
		switch {
		case rule.dirOnly && !isDir:
		case rule.name != "" && rule.name != base, rule.name == "" && !rule.pattern.MatchString(p):
		case rule.include:
			why = ""
		default:
			why = Ignored
		}
	}
	return why
}

// temporary reports whether a file has a name that editors give to files which they remove again.
func temporary(name string) bool {
	hidden := strings.HasPrefix(name, ".")
	for _, end := range []string{"~", ".tmp", ".crdownload", "___jb_tmp___", "___jb_old___"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	switch ext := path.Ext(name); {
	case hidden && (ext == ".swp" || ext == ".swo" || ext == ".swx" || ext == ".swn" || ext == ".swpx"): // vim
		return true
	case name == "4913": // vim tries whether it may write
		return true
	case strings.HasPrefix(name, ".#"), strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") && len(name) > 1: // emacs
		return true
	case strings.HasPrefix(name, ".goutputstream-"), strings.HasPrefix(name, ".~lock."), strings.HasPrefix(name, "~$"): // GNOME, offices
		return true
	}
	return name == ".DS_Store" || name == "Thumbs.db"
}

// parseSiteRule reads a line; ok is false if it has no rule.
func parseSiteRule(line string) (rule siteRule, ok bool, err error) {
	line = strings.TrimSuffix(line, "\r")
	if end := strings.TrimRight(line, " "); !strings.HasSuffix(end, `\`) {
		line = end
	}
	if line == "" || line[0] == '#' {
		return rule, false, nil
	}
	if line[0] == '!' {
		rule.include, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") {
		rule.dirOnly, line = true, strings.TrimRight(line, "/")
	}
	if line == "" {
		return rule, false, errors.New("a rule without a name")
	}
	if !strings.ContainsAny(line, `/*?[\`) {
		rule.name = line
		return rule, true, nil
	}
	rule.pattern, err = regexp.Compile(sitePattern(line))
	if err != nil {
		return rule, false, fmt.Errorf("%q is no rule: %w", line, err)
	}
	return rule, true, nil
}

// sitePattern is the expression of a rule.
func sitePattern(rule string) string {
	var b strings.Builder
	b.WriteString("(?s)^")
	if !strings.Contains(rule, "/") {
		b.WriteString("(?:.*/)?") // a name, wherever it is
	}
	parts := strings.Split(strings.TrimPrefix(rule, "/"), "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "**" && last:
			b.WriteString(".+")
		case part == "**":
			b.WriteString("(?:.*/)?")
		default:
			writeGlob(&b, part)
			if !last {
				b.WriteString("/")
			}
		}
	}
	return b.String() + "$"
}

// writeGlob writes the expression of one element of a path.
func writeGlob(b *strings.Builder, glob string) {
	for len(glob) > 0 {
		c := glob[0]
		switch {
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '\\' && len(glob) > 1:
			glob = glob[1:]
			b.WriteString(regexp.QuoteMeta(glob[:1]))
		case c == '[':
			if n := writeClass(b, glob); n > 0 {
				glob = glob[n:]
				continue
			}
			b.WriteString(`\[`)
		default: // bytes of one character stay together
			b.WriteString(regexp.QuoteMeta(glob[:1]))
		}
		glob = glob[1:]
	}
}

// writeClass writes a class such as [a-z] or [!.], and returns its length; 0: there is none.
func writeClass(b *strings.Builder, glob string) int {
	from := 1
	not := len(glob) > 1 && (glob[1] == '!' || glob[1] == '^')
	if not {
		from++
	}
	end := strings.IndexByte(glob[min(from+1, len(glob)):], ']') // a first "]" belongs to the class
	if end < 0 {
		return 0
	}
	end += from + 1
	b.WriteString("[")
	if not {
		b.WriteString("^/")
	}
	b.WriteString(strings.NewReplacer(`[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(glob[from:end]))
	b.WriteString("]")
	return end + 1
}
