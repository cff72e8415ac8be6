package request

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
)

// Error says what is wrong with a request.
type Error struct {
	Err error
	// Plain says that Kubo answers it with plain text.
	Plain bool
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Encode writes the request as a query: what differs from the defaults.
func Encode(req any) url.Values {
	fresh := reflect.New(reflect.TypeOf(req).Elem()).Interface()
	SetDefaults(fresh)
	defaults := Options(fresh)
	q := url.Values{}
	for i, o := range Options(req) {
		switch {
		case o.Many:
			for _, s := range o.field.Interface().([]string) {
				q.Add("arg", s)
			}
		case o.Arg:
			if s := o.String(); s != "" || !o.Optional {
				q.Add("arg", s)
			}
		case o.field.Kind() == reflect.Slice:
			for _, s := range o.field.Interface().([]string) {
				q.Add(o.Name, s)
			}
		default:
			isSet := o.field.Kind() == reflect.Pointer && !o.field.IsNil()
			if isSet || o.String() != defaults[i].String() {
				q.Set(o.Name, o.String())
			}
		}
	}
	return q
}

// Decode reads a query into the request. Options that Kubo has and the request
// has not are refused; those that neither has mean nothing, as with Kubo.
func Decode(q url.Values, req any) error {
	SetDefaults(req)
	if err := refuseAbsent(q, req); err != nil {
		return err
	}
	args := q["arg"]
	given := len(args)
	for _, o := range Options(req) {
		if !o.Arg {
			for _, name := range append([]string{o.Name}, o.Aliases...) {
				values := q[name]
				if len(values) == 0 {
					continue
				}
				if o.field.Kind() == reflect.Slice {
					for _, v := range values {
						if err := o.Set(v); err != nil {
							return err
						}
					}
					continue
				}
				// A value that stands twice says the same as once.
				if len(slices.Compact(slices.Clone(values))) > 1 {
					return &Error{Err: fmt.Errorf("expected key %s to have only a single value, received %v", name, values)}
				}
				if err := o.Set(values[0]); err != nil {
					return err
				}
			}
			continue
		}
		if len(args) == 0 && !o.Optional {
			return &Error{Plain: true, Err: fmt.Errorf("argument %q is required", o.Name)}
		}
		n := min(len(args), 1)
		if o.Many {
			n = len(args)
		}
		for _, a := range args[:n] {
			if err := o.Set(a); err != nil {
				return err
			}
		}
		args = args[n:]
	}
	if len(args) > 0 {
		return &Error{Plain: true, Err: fmt.Errorf("expected %d argument(s), got %d", given-len(args), given)}
	}
	return nil
}
