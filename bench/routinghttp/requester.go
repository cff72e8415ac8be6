package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// A requester makes the n-th request of a connection, and is as small as it can be: what is
// measured is the server.
type requester struct {
	addr    string
	request func(conn, n int) ([]byte, error)
	status  string // what every answer begins with
}

// turn makes requests on so many connections at once for as long as a turn.
func (c requester) turn(ctx context.Context, conns int, length time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var wg sync.WaitGroup
	counts, errs := make([]int, conns), make([]error, conns)
	for i := range conns {
		wg.Go(func() { counts[i], errs[i] = c.converse(ctx, i) })
	}
	wg.Wait()
	total := 0
	for i := range conns {
		if errs[i] != nil {
			return 0, errs[i]
		}
		total += counts[i]
	}
	return total, nil
}

// converse asks on one connection until ctx ends.
func (c requester) converse(ctx context.Context, conn int) (n int, err error) {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	r := bufio.NewReaderSize(nc, 16<<10)
	for ; ctx.Err() == nil; n++ {
		request, err := c.request(conn, n)
		if err != nil {
			return n, err
		}
		if _, err := nc.Write(request); err != nil {
			return n, err
		}
		if err := c.answer(r); err != nil {
			return n, err
		}
	}
	return n, nil
}

var lengthKey = []byte("Content-Length: ")

// answer reads an answer and checks its status.
func (c requester) answer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte(c.status)) {
		return fmt.Errorf("answer: %q, want %q", line, c.status)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, lengthKey); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}
