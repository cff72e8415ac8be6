package rpc

import (
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// An upload that ends before its last boundary must not pass for a smaller one.
func TestUploadWithoutItsEnd(t *testing.T) {
	const part = "--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nall"
	for sent, whole := range map[string]bool{
		part: false, part + "\r\n--b": false, part + "\r\n--b\r\nContent-Dis": false, part + "\r\n--b--\r\n": true,
	} {
		var failed error
		for f, err := range readFiles(multipart.NewReader(strings.NewReader(sent), "b")) {
			if err == nil {
				_, err = io.ReadAll(f.Body)
			}
			if err != nil {
				failed = err
				break
			}
		}
		if (failed == nil) != whole {
			t.Errorf("%q: %v", sent, failed)
		}
	}
}
