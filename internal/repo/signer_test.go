package repo

import (
	"strings"
	"testing"
)

func TestSignersAreListed(t *testing.T) {
	for text, want := range map[string]string{
		`[{"URL": "unix:/run/s"}, {"URL": "https://host", "TokenFile": "/t", "CertFile": "c", "KeyFile": "k", "CAFile": "a"}]`: "",
		`[{"URL": "unix:/run/s", "TokenFil": "/t"}]`:           `unknown field "TokenFil"`,
		`[` + strings.Repeat(`{"URL": "u"},`, 16) + `{}` + `]`: "at most 16",
	} {
		c, err := ParseConfig([]byte(`{"Ipns": {"Signers": ` + text + `}}`))
		if err == nil {
			err = c.check()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
