# Aliases. `go test ./...` alone needs nothing but Go.

# How long each fuzz target runs under `make fuzz`: those of the record core,
# and the others.
FUZZTIME ?= 60s
FUZZTIME_OTHERS ?= 15s

.PHONY: test lint race fuzz man docs packages

# Everything that must pass: the module, then real Kubo, the JavaScript clients and a
# browser beside our binary. The first time, .ci/setup installs Debian packages for
# them where it may, and interop/ builds Kubo from source and fetches npm packages. What
# the tests of docs/site read is outside of its module, so a cached result says nothing.
test:
	@go version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])' || { echo "needs Go 1.26 or later: https://go.dev/dl (Go 1.21 to 1.25 fetch it, unless GOTOOLCHAIN is local)"; exit 1; }
	@.ci/setup
	go build ./... && go test -timeout 40m ./...
	cd docs/site && go test -count=1 ./...
	cd interop && go test -count=1 -timeout 40m ./...

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
	go test -race -short -cpu 1 -timeout 40m ./names/... ./watch/... ./hosting/... ./publisher/... ./recordstore/... ./resolver/... ./republisher/... \
		./routing/... ./rpc/... ./node/... ./internal/verbs/... ./internal/door/... ./internal/guard/... ./internal/serve/... ./internal/relay/... ./internal/provide/... ./internal/roads/... ./internal/garbage/... ./internal/ladder/... ./internal/delegation/... ./internal/backup/... ./internal/follow/... ./internal/cluster/... ./internal/sharedkeys/... ./internal/storemove/... ./internal/transport/... ./internal/reach/... ./internal/ownrelay/... ./internal/autotls/... ./internal/systemd/... ./content/... ./gateway/... ./keystore/...

# Every fuzz target.
fuzz:
	.ci/fuzz $(FUZZTIME) $(FUZZTIME_OTHERS)

# The release in dist/: packages, tar balls, SBOMs, SHA256SUMS. PLATFORMS="linux/amd64 …" for some.
packages:
	packaging/build $(PLATFORMS)

# A man page of each command, in man/.
man:
	mkdir -p man && go test ./cmd/ipns -run TestManPages -count=1 -man "$(CURDIR)/man"

# A site of the documents, in the folder HTML.
HTML ?= $(CURDIR)/html
docs:
	cd docs/site && go run . -o "$(HTML)"
