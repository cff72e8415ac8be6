package request

import (
	"io"
	"reflect"
	"strings"
)

// Upload is the field of a request that takes a file.
type Upload struct {
	Name  string
	Stdin bool // a command line reads its input if no file is named

	field reflect.Value
}

// UploadOf returns the upload of a request, a pointer to a struct; nil if it
// takes none.
func UploadOf(req any) *Upload {
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		if spec, ok := v.Type().Field(i).Tag.Lookup("file"); ok {
			u := &Upload{field: v.Field(i)}
			u.Name, u.Stdin = strings.CutSuffix(spec, ",stdin")
			return u
		}
	}
	return nil
}

// Set gives the request its file.
func (u *Upload) Set(r io.Reader) { u.field.Set(reflect.ValueOf(&r).Elem()) }

// Reader is the file of the request, nil if it has none.
func (u *Upload) Reader() io.Reader {
	r, _ := u.field.Interface().(io.Reader)
	return r
}
