package main

import (
	"bytes"
	"context"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"/ipfs/bafkqaaa"}, &out); err != nil || out.Len() == 0 {
		t.Error(out.Len(), err)
	}
	if err := run(context.Background(), []string{"http://example.com"}, &out); err == nil {
		t.Error("a URL is no path")
	}
}
