package kubo

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// flat is a flatfs: a file for each value, in folders by a part of its key. The library that
// Kubo uses writes when it opens one, so this reads the files itself.
type flat struct {
	dir   string
	shard func(key string) string
}

func openFlat(dir string, _ bool) (store, error) {
	b, err := os.ReadFile(filepath.Join(dir, "SHARDING"))
	if err != nil {
		return nil, err
	}
	shard, err := parseShard(strings.TrimSpace(string(b)))
	return flat{dir, shard}, err
}

// maxShard is more characters than a key has.
const maxShard = 255

// parseShard reads which part of a key its folder is named after, such as
// "/repo/flatfs/shard/v1/next-to-last/2".
func parseShard(text string) (func(string) string, error) {
	rest, ok := strings.CutPrefix(text, "/repo/flatfs/shard/v1/")
	kind, number, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > maxShard {
		return nil, fmt.Errorf("unknown sharding %q", text)
	}
	pad := strings.Repeat("_", n)
	switch kind {
	case "prefix":
		return func(key string) string { return (key + pad)[:n] }, nil
	case "suffix":
		return func(key string) string { return (pad + key)[len(key):] }, nil
	case "next-to-last":
		return func(key string) string {
			key = pad + "_" + key
			return key[len(key)-n-1 : len(key)-1]
		}, nil
	}
	return nil, fmt.Errorf("unknown sharding %q", text)
}

func (f flat) get(key string) ([]byte, error) {
	key = strings.TrimPrefix(key, "/")
	if strings.ContainsAny(key, "/.") {
		return nil, errNone // not a key that flatfs takes
	}
	b, err := os.ReadFile(filepath.Join(f.dir, f.shard(key), key+".data"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNone
	}
	return b, err
}

var errFlat = errors.New("flatfs holds blocks, nothing else")

func (flat) scan(string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) { yield(entry{}, errFlat) }
}

func (flat) put([]entry) error { return errFlat }
func (flat) close() error      { return nil }
