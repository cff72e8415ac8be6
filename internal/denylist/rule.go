package denylist

import (
	"net/url"
	"strings"
)

// rule is one line of a list, as far as it says which paths below a root it is about.
type rule struct {
	path   string // without slashes at its ends
	prefix bool   // it is about all paths that begin so
	allow  bool
}

// pathRules are the rules for a path as a line has it. A line that is escaped in the way of forms, as Kubo reads it, and
// not in that of paths, as the format says, stands for both.
func pathRules(text string, allow bool) ([]rule, error) {
	prefix := strings.HasSuffix(text, "*")
	if prefix {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "*"), "/")
	}
	form, err := url.QueryUnescape(text)
	if err != nil {
		return nil, err
	}
	rules := []rule{{trim(form), prefix, allow}}
	if plain, err := url.PathUnescape(text); err == nil && plain != form {
		rules = append(rules, rule{trim(plain), prefix, allow})
	}
	return rules, nil
}

// trim takes one slash off each end.
func trim(p string) string { return strings.TrimSuffix(strings.TrimPrefix(p, "/"), "/") }

// verdict is what a list says.
type verdict int

const (
	nothing verdict = iota
	denied
	allowed
)

func (r rule) verdict() verdict {
	if r.allow {
		return allowed
	}
	return denied
}

// matches reports whether a rule is about a path.
func (r rule) matches(p string) bool {
	return r.path == "*" || r.path == p || r.prefix && strings.HasPrefix(p, r.path)
}

// judge returns what the last matching rule says.
func judge(rules []rule, p string) verdict {
	p = trim(p)
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].matches(p) {
			return rules[i].verdict()
		}
	}
	return nothing
}
