# Aliases. `go test ./...` alone needs nothing but Go.

# How long each fuzz target runs under `make fuzz`: those of the record core,
# and the others.
FUZZTIME ?= 60s
FUZZTIME_OTHERS ?= 15s

.PHONY: test lint race fuzz man

# Everything that must pass: the module, then real Kubo, the JavaScript clients and a
# browser beside our binary. The first time, .ci/setup installs Debian packages for
# them where it may, and interop/ builds Kubo from source and fetches npm packages.
test:
	@command -v go >/dev/null || { echo "needs Go 1.26 or later: https://go.dev/dl"; exit 1; }
	go build ./... && go test ./...
	@.ci/setup
	cd interop && go test -count=1 -timeout 20m ./...

lint:
	@test -z "$$(go run mvdan.cc/gofumpt@v0.12.0 -l $$(git ls-files '*.go'))" || { echo "gofumpt would change:"; go run mvdan.cc/gofumpt@v0.12.0 -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	.ci/deadcode
	go test . -run TestExportsAreUsed -exports

# The race detector where goroutines share state. On one processor, which it needs
# no more of to see a race: on two, it crashes now and then in tests with
# virtual time (https://go.dev/issue/78156).
race:
	go test -race -short -cpu 1 -timeout 20m ./names/... ./watch/... ./hosting/... ./publisher/... ./recordstore/... ./resolver/... ./republisher/... \
		./routing/... ./rpc/... ./node/... ./internal/verbs/... ./internal/door/... ./internal/guard/... ./internal/serve/... ./internal/relay/... ./internal/provide/... ./internal/roads/... ./internal/garbage/... ./internal/ladder/... ./internal/delegation/... ./internal/backup/... ./internal/follow/... ./internal/transport/... ./content/... ./gateway/... ./keystore/...

# Every fuzz target.
fuzz:
	.ci/fuzz $(FUZZTIME) $(FUZZTIME_OTHERS)

# A man page of each command, in man/.
man:
	mkdir -p man && go test ./cmd/ipns -run TestManPages -count=1 -man "$(CURDIR)/man"
