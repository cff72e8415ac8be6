package main

import (
	"bytes"
	"strings"
	"testing"

	"rsc.io/qr"
)

func TestACodeIsDrawnModuleByModule(t *testing.T) {
	var out bytes.Buffer
	if err := printQR(&out, "https://example.org/", "k51name"); err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode("https://example.org/ipns/k51name/", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for y := range code.Size {
		row := []rune(lines[(y+quietZone)/2])
		for x := range code.Size {
			light := row[x+quietZone]
			dark := light == ' ' || light == '▄' && (y+quietZone)%2 == 0 || light == '▀' && (y+quietZone)%2 == 1
			if dark != code.Black(x, y) {
				t.Fatalf("the module at %d, %d is drawn as %q", x, y, light)
			}
		}
	}
}
