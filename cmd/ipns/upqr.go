package main

import (
	"fmt"
	"io"
	"strings"

	"rsc.io/qr"

	"github.com/goipns/ipns/internal/display"
)

// publicGateway is that of a link for those who have no node, unless another is given.
const publicGateway = "https://dweb.link"

// quietZone is the empty space around a code, in modules.
const quietZone = 2

// printQR prints the link of a name as a QR code, two modules above each other in a character. Light modules are drawn,
// for terminals with a dark background.
func printQR(w io.Writer, gateway, name string) error {
	link := strings.TrimSuffix(gateway, "/") + "/ipns/" + name + "/"
	code, err := qr.Encode(link, qr.L)
	if err != nil {
		return fmt.Errorf("make the QR code of %s: %w", link, err)
	}
	var b strings.Builder
	dark := func(x, y int) bool { return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y) }
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch upper, lower := dark(x, y), dark(x, y+1); {
			case upper && lower:
				b.WriteString(" ")
			case upper:
				b.WriteString("▄")
			case lower:
				b.WriteString("▀")
			default:
				b.WriteString("█")
			}
		}
		b.WriteString("\n")
	}
	_, err = io.WriteString(w, b.String())
	display.Fprintf(w, "link         %s\n", link)
	return err
}
