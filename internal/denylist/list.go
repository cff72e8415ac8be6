package denylist

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	mhreg "github.com/multiformats/go-multihash/core"
	"golang.org/x/net/idna"

	"github.com/goipns/ipns"
)

// Limits of one list.
const (
	maxLine     = 2 << 20 // bytes
	maxHeader   = 1 << 20 // bytes
	maxRules    = 4 << 20 // lines with a rule
	maxPrefixes = 4096    // rules about the beginning of any path: each is compared with every path
	maxFaults   = 16      // faults that are reported one by one
)

// version is the one of the format that is read.
const version = 1

// safe are CIDs that everybody has and that nothing works without: empty files and folders. They can't be denied.
var safe = func() map[string]bool {
	all := map[string]bool{}
	for _, s := range []string{
		"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "bafyaabakaieac", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		"bafkqaaa", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua",
		"baguqeeraiqjw7i2vwntyuekgvulpp2det2kpwt6cd7tx5ayqybqpmhfk76fa",
	} {
		all[string(cid.MustParse(s).Hash())] = true
	}
	return all
}()

// list is what one file says. It does not change.
type list struct {
	cids     map[string][]rule              // by multihash
	names    map[string][]rule              // by multihash, or domain
	paths    map[string][]rule              // below any root
	prefixes []rule                         // the same, for those that are about a beginning
	hashed   map[uint64]map[string]hashRule // by the code of the hash function, and the multihash of what is meant

	rules  int
	faults []fault // the first ones
	faulty int     // how many there are
}

// hashRule is a rule about a hash.
type hashRule struct {
	says verdict
	at   int // its place among the rules: of several hash functions, too, the last rule counts
}

// fault is a line that is not understood. It is skipped.
type fault struct {
	line int
	err  error
}

// read reads a list. An error means that nothing of it can be used.
func read(r io.Reader) (*list, error) {
	l := &list{cids: map[string][]rule{}, names: map[string][]rule{}, paths: map[string][]rule{}, hashed: map[uint64]map[string]hashRule{}}
	in := bufio.NewReaderSize(r, 64<<10)
	header, lines, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	line := 0
	body := io.Reader(in)
	if header == nil {
		body = io.MultiReader(bytes.NewReader(lines), in)
	} else {
		line = bytes.Count(lines, []byte("\n"))
		if err := checkHeader(header); err != nil {
			return nil, err
		}
	}
	in = bufio.NewReaderSize(body, 64<<10)
	for {
		text, long, err := readLine(in)
		line++
		switch {
		case long:
			l.fault(line, fmt.Errorf("it has more than %d bytes", maxLine))
		case err == nil || text != "":
			if e := l.add(text); e != nil {
				l.fault(line, e)
			}
		}
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (l *list) fault(line int, err error) {
	if l.faulty++; len(l.faults) < maxFaults {
		l.faults = append(l.faults, fault{line, err})
	}
}

// readLine returns a line without its end. What is beyond maxLine is skipped.
func readLine(in *bufio.Reader) (text string, long bool, err error) {
	var b []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(b)+len(part) > maxLine {
			b, long = nil, true
		}
		if !long {
			b = append(b, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return strings.TrimRight(string(b), "\r\n"), long, err
		}
	}
}

// readHeader reads up to a line "---". header is nil if there is none; read is what was read to find that out.
func readHeader(in *bufio.Reader) (header, read []byte, err error) {
	for len(read) < maxHeader {
		part, err := in.ReadSlice('\n')
		whole := len(read) == 0 || read[len(read)-1] == '\n'
		before := len(read)
		read = append(read, part...)
		if whole && strings.TrimRight(string(part), "\r\n") == "---" {
			return append([]byte{}, read[:before]...), read, nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, nil, err
		}
	}
	return nil, read, nil
}

// checkHeader refuses a version that may mean something else. All else in a header is for people.
func checkHeader(header []byte) error {
	for line := range strings.Lines(string(header)) {
		value, ok := strings.CutPrefix(line, "version:")
		if !ok {
			continue
		}
		value, _, _ = strings.Cut(value, "#")
		n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"'`))
		if err != nil || n > version || n < 0 {
			return fmt.Errorf("version %s of the format is not known", strings.TrimSpace(value))
		}
	}
	return nil
}

// add takes a line. What follows the rule are hints for other programs.
func (l *list) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) == 0 || strings.HasPrefix(line, "#") {
		return nil
	}
	if l.rules >= maxRules {
		return fmt.Errorf("there are more than %d rules", maxRules)
	}
	text, allow := fields[0], false
	if strings.ContainsRune("+-!", rune(text[0])) {
		text, allow = text[1:], true
	}
	var err error
	switch {
	case strings.HasPrefix(text, "//"):
		err = l.addHashed(text[2:], allow)
	case strings.HasPrefix(text, "/ipfs/"), strings.HasPrefix(text, "/ipld/"):
		err = l.addCID(text[len("/ipfs/"):], allow)
	case strings.HasPrefix(text, "/ipns/"):
		err = l.addName(text[len("/ipns/"):], allow)
	default:
		err = l.addPath(text, allow)
	}
	if err == nil {
		l.rules++
	}
	return err
}

func (l *list) addCID(text string, allow bool) error {
	root, below, _ := strings.Cut(text, "/")
	c, err := cid.Decode(root)
	if err != nil {
		return fmt.Errorf("%q is no CID: %w", root, err)
	}
	if safe[string(c.Hash())] {
		return fmt.Errorf("%s is an empty file or folder, which can't be denied", c)
	}
	return put(l.cids, string(c.Hash()), below, allow)
}

func (l *list) addName(text string, allow bool) error {
	root, below, _ := strings.Cut(text, "/")
	if root == "" {
		return errors.New("there is no name")
	}
	h, domain := parseRoot(root)
	return put(l.names, string(h)+domain, below, allow)
}

// parseRoot returns what a root below /ipns/ is: the multihash of a name, or a domain.
func parseRoot(root string) (h multihash.Multihash, domain string) {
	if c, err := cid.Decode(root); err == nil {
		return c.Hash(), ""
	}
	if name, err := ipns.ParseName(root); err == nil {
		return name.CID().Hash(), ""
	}
	domain = strings.ToLower(strings.TrimSuffix(root, "."))
	if !strings.Contains(domain, ".") {
		domain = inlined(domain)
	}
	// The resolver looks all the ways in which a domain can be written up as this one.
	if strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = strings.TrimSuffix(ascii, ".")
		}
	}
	return nil, domain
}

// inlined is the domain that a label of a subdomain stands for: - for a dot, -- for a dash.
func inlined(label string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(label, "--", "\x00"), "-", "."), "\x00", "-")
}

func put(into map[string][]rule, key, below string, allow bool) error {
	rules, err := pathRules(below, allow)
	if err == nil {
		into[key] = append(into[key], rules...)
	}
	return err
}

func (l *list) addPath(text string, allow bool) error {
	rules, err := pathRules(text, allow)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if !r.prefix {
			l.paths[r.path] = append(l.paths[r.path], r)
			continue
		}
		if len(l.prefixes) >= maxPrefixes {
			return fmt.Errorf("there are more than %d rules for the beginning of any path", maxPrefixes)
		}
		l.prefixes = append(l.prefixes, r)
	}
	return nil
}

// addHashed takes the hash of what is denied: a multihash, or a SHA-256 in hex. What could be both is both.
func (l *list) addHashed(text string, allow bool) error {
	found := false
	if h, err := multihash.FromB58String(text); err == nil {
		if d, err := multihash.Decode(h); err == nil && d.Code != multihash.IDENTITY {
			if _, err := mhreg.GetVariableHasher(d.Code, d.Length); err == nil {
				l.putHashed(d.Code, h, allow)
				found = true
			}
		}
	}
	if b, err := hex.DecodeString(text); err == nil && len(b) == 32 {
		if h, err := multihash.Encode(b, multihash.SHA2_256); err == nil {
			l.putHashed(multihash.SHA2_256, h, allow)
			found = true
		}
	}
	if !found {
		return errors.New("it is neither a multihash of a known function in base58, nor a SHA-256 in hex")
	}
	return nil
}

func (l *list) putHashed(code uint64, h multihash.Multihash, allow bool) {
	if l.hashed[code] == nil {
		l.hashed[code] = map[string]hashRule{}
	}
	l.hashed[code][string(h)] = hashRule{rule{allow: allow}.verdict(), l.rules}
}
