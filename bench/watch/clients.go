package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lines reads lines of text.
type lines struct{ s *bufio.Scanner }

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	return &lines{s}
}

func (l *lines) next() (string, error) {
	if !l.s.Scan() {
		return "", fmt.Errorf("no more lines: %w", l.s.Err())
	}
	return l.s.Text(), nil
}

// watchAll opens the watchers of the names in the first line of the input. Each further line
// says how many events to wait for; the answer is how long they took.
func watchAll(url string) error {
	in := newLines(os.Stdin)
	text, err := in.next()
	if err != nil {
		return err
	}
	names := strings.Fields(text)
	events := make(chan time.Duration, 1<<16)
	begun := make(chan error, *watchers)
	turns := make(chan struct{}, 256) // connections that are being made
	for i := range *watchers {
		turns <- struct{}{}
		go func() { // ends with the process
			begun <- watchOne(strings.TrimPrefix(url, "http://"), names[i%len(names)], events, func() { <-turns })
		}()
	}
	for range *watchers {
		if err := <-begun; err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for {
		text, err := in.next()
		if err != nil {
			return nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		var took []time.Duration
		for len(took) < n {
			took = append(took, <-events)
		}
		slices.Sort(took)
		at := func(q float64) time.Duration { return took[int(q*float64(n-1))].Round(100 * time.Microsecond) }
		fmt.Printf("p50 %s, p99 %s, last %s\n", at(0.5), at(0.99), at(1))
	}
}

// watchOne reads the events of a name. It returns when the first has come, and goes on.
func watchOne(addr, name string, events chan<- time.Duration, opened func()) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/watch?name=%s HTTP/1.1\r\nHost: %s\r\n\r\n", name, addr); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 1024)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("a watcher: %w", err)
		}
		if strings.HasPrefix(line, "id: ") {
			break
		}
	}
	opened()
	go func() { // ends with the process
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			_, rest, found := strings.Cut(line, `"value":"/ipfs/bafkqaaa/`)
			if !found {
				continue
			}
			made, _, _ := strings.Cut(rest, `"`)
			if n, err := strconv.ParseInt(made, 10, 64); err == nil {
				events <- time.Since(time.Unix(0, n))
			}
		}
	}()
	return nil
}
