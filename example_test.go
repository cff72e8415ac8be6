package ipns_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// exampleSigner has the same key in every run. Yours comes from GenerateKey.
func exampleSigner() ipns.Signer {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed([]byte("a seed that everybody knows: no!")))
	if err != nil {
		panic(err)
	}
	return ipns.NewSigner(key)
}

func exampleRecord(sequence uint64) *ipns.Record {
	record, err := ipns.Sign(context.Background(), exampleSigner(), ipns.Fields{
		Value:    fmt.Sprintf("/ipfs/bafkqaaa/version/%d", sequence),
		Sequence: sequence,
		EOL:      time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		TTL:      ipns.DefaultTTL,
	}, ipns.V1V2)
	if err != nil {
		panic(err)
	}
	return record
}

func ExampleSign() {
	record, err := ipns.Sign(context.Background(), exampleSigner(), ipns.Fields{
		Value:    "/ipfs/bafkqaaa",
		Sequence: 7,
		EOL:      time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		TTL:      ipns.DefaultTTL,
		Metadata: ipns.Metadata{"_note": "an empty block"},
	}, ipns.V2Only)
	if err != nil {
		panic(err)
	}
	fmt.Println(record.Name())
	fmt.Println(len(record.Raw()), "bytes")
	// Output:
	// k51qzi5uqu5dgqyfpr7ps4ltl0nneis9oicmsif061wiu450r11mfv13exyfrb
	// 178 bytes
}

func ExampleOpen() {
	name, raw := exampleRecord(3).Name(), exampleRecord(3).Raw()

	record, err := ipns.Open(name, raw, time.Now())
	if errors.Is(err, ipns.ErrExpired) {
		fmt.Println("it was good once")
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(record.Value())

	raw[len(raw)-1] ^= 1 // one bit
	_, err = ipns.Open(name, raw, time.Now())
	fmt.Println(err)
	// Output:
	// /ipfs/bafkqaaa/version/3
	// signature verification failed
}

func ExampleRenew() {
	record := exampleRecord(3)
	renewed, err := ipns.Renew(context.Background(), exampleSigner(), record, record.EOL().AddDate(1, 0, 0))
	if err != nil {
		panic(err)
	}
	fmt.Println(renewed.Value(), renewed.Sequence(), renewed.EOL().Year())
	fmt.Println("newer:", ipns.Compare(renewed, record) > 0)
	// Output:
	// /ipfs/bafkqaaa/version/3 3 2101
	// newer: true
}

func ExampleBest() {
	answers := []*ipns.Record{exampleRecord(2), nil, exampleRecord(4), exampleRecord(3)}
	fmt.Println(ipns.Best(time.Now(), answers...).Sequence())
	// Output: 4
}

func ExampleParseName() {
	for _, text := range []string{
		"k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
		"12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
		"/ipns/bafzaajaiaejcbhr3im6l2mocxctoxpoktgf5b5gccqojzgxviixjoycrwhtdv4kn",
	} {
		name, err := ipns.ParseName(text)
		if err != nil {
			panic(err)
		}
		fmt.Println(name)
	}
	// Output:
	// k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd
	// k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd
	// k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd
}

func ExampleInspect() {
	report, err := ipns.Inspect(exampleRecord(3).Raw())
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %q %d\n", report.SignatureType, report.Value, report.Sequence)
	fmt.Println("problem:", report.Problem)
	// Output:
	// V1+V2 "/ipfs/bafkqaaa/version/3" 3
	// problem: <nil>
}

func ExampleExportKey() {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		panic(err)
	}
	pem, err := ipns.ExportKey(key, ipns.KeyFormatPEM)
	if err != nil {
		panic(err)
	}
	again, err := ipns.ImportKey(pem, ipns.KeyFormatPEM)
	if err != nil {
		panic(err)
	}
	fmt.Println(again.Equals(key))
	// Output: true
}

func ExamplePathFromURI() {
	path, err := ipns.ParsePath(ipns.PathFromURI("ipns://en.wikipedia-on-ipfs.org/wiki/"))
	if err != nil {
		panic(err)
	}
	fmt.Println(path)
	// Output: /ipns/en.wikipedia-on-ipfs.org/wiki/
}
