package api

import (
	"io/fs"
	"mime/multipart"
	"strings"
	"testing"
	"time"
)

// Modes and times travel in the names of parts, as Kubo's clients write them.
func TestModesAndTimesOfAnUpload(t *testing.T) {
	for name, want := range map[string]File{
		"file": {}, "file?": {}, "file?x=y": {}, "file?mode=0640": {Mode: 0o640}, "file-0?mode=20000000755": {Mode: fs.ModeDir | 0o755},
		"file?mtime=7&mtime-nsecs=9": {ModTime: time.Unix(7, 9)}, "file?mtime=-7&mode=0600": {Mode: 0o600, ModTime: time.Unix(-7, 0)},
		"file?mode=9": {}, "file?mtime=soon": {}, "file?mtime-nsecs=5": {ModTime: time.Unix(0, 5)}, "file?mode=%zz": {},
	} {
		body := "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n"
		for f, err := range readFiles(multipart.NewReader(strings.NewReader(body), "b")) {
			if err != nil || f.Mode != want.Mode || !f.ModTime.Equal(want.ModTime) || f.Path != "f" {
				t.Errorf("%s: %v %v %v", name, f.Mode, f.ModTime, err)
			}
		}
	}
	for _, f := range []File{{}, {Mode: 0o4750}, {Mode: fs.ModeSymlink | 0o777, ModTime: time.Unix(-3, 4)}, {ModTime: time.Unix(0, 0)}} {
		var got File
		readStat(writeStat(f), &got)
		if got.Mode != f.Mode || !got.ModTime.Equal(f.ModTime) {
			t.Errorf("%v became %v", f, got)
		}
	}
}
