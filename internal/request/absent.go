package request

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// An Absent is an option that Kubo has for a command and this node has not. It
// is refused rather than ignored, unless its value asks for what happens anyway.
//
// A request lists them in the tag kubo of a blank field, separated by spaces,
// each with its other names and the values that are taken:
//
//	_ struct{} `kubo:"trickle,t=false hash=sha2-256 mode"`
//
// Options of Kubo's that change nothing that a caller could notice, such as
// progress, are listed nowhere, and are ignored like those that nobody has.
type Absent struct {
	Name    string
	Aliases []string
	Taken   []string // empty: no value
}

// AbsentOptions lists the options of Kubo's that a request, a pointer to a
// struct, refuses.
func AbsentOptions(req any) []Absent {
	t := reflect.TypeOf(req).Elem()
	var list []Absent
	for i := range t.NumField() {
		for item := range strings.FieldsSeq(t.Field(i).Tag.Get("kubo")) {
			names, taken, _ := strings.Cut(item, "=")
			all := strings.Split(names, ",")
			a := Absent{Name: all[0], Aliases: all[1:]}
			if taken != "" {
				a.Taken = strings.Split(taken, "|")
			}
			list = append(list, a)
		}
	}
	return list
}

// IsBool reports whether the option may stand without a value, which is true.
func (a Absent) IsBool() bool {
	return slices.ContainsFunc(a.Taken, func(s string) bool { return s == "true" || s == "false" })
}

// Check returns an error unless the value asks for what happens anyway.
func (a Absent) Check(value string) error {
	if slices.ContainsFunc(a.Taken, func(taken string) bool { return same(value, taken) }) {
		return nil
	}
	text := fmt.Sprintf("option %q is not supported", a.Name)
	if len(a.Taken) > 0 {
		text += ", other than as " + strings.Join(a.Taken, " or ")
	}
	return &Error{Err: fmt.Errorf("%s: leave it out", text)}
}

// same compares two values of an option; as booleans if want is one.
func same(value, want string) bool {
	if w, err := strconv.ParseBool(want); err == nil && (want == "true" || want == "false") {
		v, err := strconv.ParseBool(value)
		return err == nil && v == w || value == "" && w
	}
	return strings.EqualFold(value, want)
}

// refuseAbsent returns an error if a query has an option that the request refuses.
func refuseAbsent(q url.Values, req any) error {
	for _, a := range AbsentOptions(req) {
		for _, name := range append([]string{a.Name}, a.Aliases...) {
			for _, value := range q[name] {
				if err := a.Check(value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
