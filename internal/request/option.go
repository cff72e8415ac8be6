package request

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is one field of a request: an argument or an option. Its methods Set,
// String and Type make it a flag of the command line.
type Option struct {
	Name     string   // without dashes
	Aliases  []string // other names, some of one letter
	Help     string
	Default  string
	Arg      bool // an argument; the others are options
	Many     bool // takes all arguments that are left, at least one
	Optional bool // an argument that may be missing
	Stdin    bool // an argument that a command line reads from its input if it is missing
	Chunked  bool // an option that makes the reply a stream when it is set

	field reflect.Value
}

// Options lists the options and arguments of a request, a pointer to a struct,
// in the order of its fields, those of embedded structs included. Setting one
// changes the request.
func Options(req any) []*Option { return options(reflect.ValueOf(req).Elem()) }

func options(v reflect.Value) []*Option {
	var list []*Option
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous && f.Type.Kind() == reflect.Struct {
			list = append(list, options(v.Field(i))...)
			continue
		}
		tag := v.Type().Field(i).Tag
		o := &Option{Help: tag.Get("help"), Default: tag.Get("default"), field: v.Field(i)}
		if spec, ok := tag.Lookup("arg"); ok {
			o.Arg = true
			flags := strings.Split(spec, ",")
			o.Name = flags[0]
			o.Optional = slices.Contains(flags, "optional")
			o.Stdin = slices.Contains(flags, "stdin")
			o.Many = v.Field(i).Kind() == reflect.Slice
		} else if spec, ok := tag.Lookup("opt"); ok {
			names := strings.Split(spec, ",")
			o.Name, o.Aliases = names[0], names[1:]
			o.Chunked = tag.Get("chunked") == "true"
		} else {
			continue
		}
		list = append(list, o)
	}
	return list
}

// SetDefaults sets every option of the request to its default.
func SetDefaults(req any) {
	for _, o := range Options(req) {
		if o.Default == "" {
			continue
		}
		if err := o.Set(o.Default); err != nil {
			panic(err) // a tag is wrong
		}
	}
}

var durationType = reflect.TypeFor[time.Duration]()

// Set parses text into the field.
func (o *Option) Set(s string) error {
	f := o.field
	if f.Kind() == reflect.Pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	bad := func() error {
		return &Error{Plain: true, Err: fmt.Errorf("could not convert value %q to type %q (for option %q)", s, o.Type(), "-"+o.Name)}
	}
	switch {
	case f.Type() == durationType:
		d, err := parseDuration(s)
		if err != nil {
			return fmt.Errorf("error parsing %s option: %w", o.Name, err)
		}
		f.SetInt(int64(d))
		return nil
	case f.Kind() == reflect.String:
		f.SetString(s)
	case f.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil && s != "" {
			return bad()
		}
		f.SetBool(b || s == "")
	case f.CanInt():
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return bad()
		}
		f.SetInt(n)
	case f.CanUint():
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			return bad()
		}
		f.SetUint(n)
	case f.Kind() == reflect.Slice && !o.Arg:
		for part := range strings.SplitSeq(s, ",") {
			f.Set(reflect.Append(f, reflect.ValueOf(part)))
		}
	case f.Kind() == reflect.Slice:
		f.Set(reflect.Append(f, reflect.ValueOf(s)))
	}
	return nil
}

// String formats the field as Set would read it; "" if it is unset.
func (o *Option) String() string {
	if !o.field.IsValid() {
		return ""
	}
	f := o.field
	if f.Kind() == reflect.Pointer {
		if f.IsNil() {
			return ""
		}
		f = f.Elem()
	}
	if f.Kind() == reflect.Slice {
		return strings.Join(f.Interface().([]string), " ")
	}
	return fmt.Sprint(f.Interface())
}

// Chunked reports whether the options of a request make its reply a stream.
func Chunked(req any) bool {
	return slices.ContainsFunc(Options(req), func(o *Option) bool { return o.Chunked && !o.field.IsZero() })
}

// Type names the type of the option for messages and help.
func (o *Option) Type() string {
	t := o.field.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == durationType {
		return "duration"
	}
	if t.Kind() == reflect.Slice {
		return "list"
	}
	return t.Kind().String()
}

// IsBool reports whether the option may stand without a value.
func (o *Option) IsBool() bool { return o.Type() == "bool" }

// parseDuration is [time.ParseDuration] with days and weeks: "2d", "1w12h".
func parseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	for _, unit := range []struct {
		letter string
		d      time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("time: invalid duration %q", s)
		}
		days += time.Duration(n) * unit.d
		rest = after
	}
	if rest == "" && days > 0 {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	return days + d, err
}
