package repo

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestImportIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `null`: "", `{"CidVersion": null, "HashFunction": "default", "UnixFSChunker": "default"}`: "",
		`{"CidVersion": 1, "HashFunction": "BLAKE3", "UnixFSDirectoryMaxLinks": 0}`:        "",
		`{"UnixFSHAMTDirectorySizeThreshold": "256KiB", "UnixFSChunker": "buzhash"}`:       "",
		`{"UnixFSHAMTDirectorySizeThreshold": 1000, "UnixFSChunker": "rabin-128-256-512"}`: "",
		`{"CidVersion": 2}`:                              "Import.CidVersion must be 0 or 1, got 2",
		`{"CidVersion": "1"}`:                            "cannot unmarshal string",
		`{"UnixFSFileMaxLinks": 0}`:                      "Import.UnixFSFileMaxLinks must be positive, got 0",
		`{"UnixFSDirectoryMaxLinks": -1}`:                "Import.UnixFSDirectoryMaxLinks must be non-negative, got -1",
		`{"UnixFSHAMTDirectoryMaxFanout": 24}`:           "Import.UnixFSHAMTDirectoryMaxFanout must be a power of 2, between 8 and 1024 (got 24)",
		`{"UnixFSHAMTDirectorySizeThreshold": "a lot"}`:  `"a lot" is not a size`,
		`{"UnixFSHAMTDirectorySizeThreshold": "8EiB"}`:   `"8EiB" is not a size`,
		`{"UnixFSHAMTDirectorySizeEstimation": "guess"}`: `must be "links", "block", or "disabled", got "guess"`,
		`{"UnixFSDAGLayout": "flat"}`:                    `Import.UnixFSDAGLayout must be "balanced" or "trickle", got "flat"`,
		`{"HashFunction": "sha4"}`:                       `Import.HashFunction unrecognized: "sha4"`,
		`{"BatchMaxNodes": 0}`:                           "Import.BatchMaxNodes must be positive, got 0",
		`{"BatchMaxSize": -5}`:                           "Import.BatchMaxSize must be positive, got -5",
		`{"UnixFSChunker": "size-0"}`:                    `Import.UnixFSChunker invalid format: "size-0"`,
		`{"UnixFSChunker": "size-"}`:                     "invalid format",
		`{"UnixFSChunker": "size--1"}`:                   "invalid format",
		`{"UnixFSChunker": "rabin-3-2-1"}`:               "invalid format",
		`{"UnixFSChunker": "rabin-1-2"}`:                 "invalid format",
		`{"UnixFSChunker": "buzhash-1"}`:                 "invalid format",
		`{"UnixFSChunker": "knife"}`:                     "invalid format",
	} {
		var i Import
		err := json.Unmarshal([]byte(text), &i)
		if err == nil {
			err = i.check()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestSizesStayAsTheyWereWritten(t *testing.T) {
	var i Import
	if err := json.Unmarshal([]byte(`{"UnixFSHAMTDirectorySizeThreshold": "1KiB"}`), &i); err != nil {
		t.Fatal(err)
	}
	if n := i.UnixFSHAMTDirectorySizeThreshold.N(); n != 1024 {
		t.Error(n)
	}
	if b, err := json.Marshal(i); err != nil || !strings.Contains(string(b), `"UnixFSHAMTDirectorySizeThreshold":"1KiB"`) {
		t.Error(string(b), err)
	}
}

// What Kubo renamed counts where the new name is not set.
func TestTheOldNameOfTheThresholdCounts(t *testing.T) {
	for imported, want := range map[string]Bytes{"{}": "1B", `{"UnixFSHAMTDirectorySizeThreshold": "2B"}`: "2B"} {
		c, err := create(t).parse([]byte(`{"Internal": {"UnixFSShardingSizeThreshold": "1B"}, "Import": ` + imported + "}"))
		if err != nil || *c.Import.UnixFSHAMTDirectorySizeThreshold != want {
			t.Errorf("%s: %+v, %v", imported, c.Import, err)
		}
	}
}
