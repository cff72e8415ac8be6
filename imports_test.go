package ipns_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/goipns/ipns"

// importTable says which packages of this module a package may import directly,
// outside its tests. A package that is not named may import nothing of ours;
// "*" stands for anything; a trailing /... for all packages below.
// ARCHITECTURE.md shows the same lines.
const importTable = `
ipns                -> internal/wire
internal/wire       ->
internal/keyspace   ->
contenthash         -> ipns
keystore            -> ipns internal/durable
keystore/...        -> ipns keystore internal/durable
recordstore         -> ipns routing internal/keyspace
recordstore/...     -> ipns recordstore routing internal/keyspace
recordstore/pebble  -> ipns recordstore recordstore/blob routing internal/keyspace
recordstore/postgres -> ipns recordstore recordstore/blob routing internal/durable internal/keyspace
names               -> ipns recordstore
routing             -> ipns internal/keyspace
routing/...         -> ipns routing internal/keyspace
routing/dht         -> ipns routing internal/keyspace internal/durable internal/tracing
routing/pubsub      -> ipns routing internal/durable
publisher           -> ipns routing names recordstore internal/tracing
resolver            -> ipns routing names recordstore internal/tracing
republisher         -> ipns routing names recordstore internal/keyspace
watch               -> ipns names recordstore
hosting             -> ipns routing names recordstore keystore publisher republisher resolver internal/door internal/repo
hosting/doors       -> ipns routing routing/delegated names recordstore keystore publisher resolver content watch hosting hosting/pins
hosting/pins        -> content recordstore
content             -> internal/folder
content/contenttest -> content
gateway             -> ipns recordstore resolver content
rpc                 -> internal/display internal/request
check               -> ipns routing routing/dht routing/delegated internal/keyspace
api                 -> ipns routing rpc internal/display
cmd/ipns            -> ipns api check content contenthash keystore keystore/age node rpc internal/backup internal/deploy internal/display internal/dnslink internal/doctor internal/ens internal/folder internal/guard internal/host internal/identity internal/kubo internal/ladder internal/machine internal/migrate internal/move internal/ownrelay internal/reach internal/records internal/repo internal/request internal/routingapi internal/serve internal/site internal/spelling internal/storemove internal/systemd internal/testnet internal/tracing/otlp internal/transport internal/verbs
node                -> *
internal/verbs      -> *
internal/display    ->
internal/follow     -> ipns names recordstore content watch
internal/filelock   ->
internal/folder     ->
internal/leaktest   ->
internal/machine    ->
internal/site       -> internal/durable internal/folder
internal/request    ->
internal/repo       -> internal/durable internal/filelock internal/spelling
internal/spelling   ->
internal/systemd    ->
internal/durable    ->
internal/host       -> ipns routing routing/dht internal/durable internal/reach internal/repo internal/transport
internal/transport  -> ipns internal/autotls internal/machine internal/repo
internal/reach      ->
internal/autotls    -> internal/repo
internal/provide    -> internal/keyspace internal/repo routing/dht
internal/roads      -> ipns routing routing/delegated internal/repo
internal/door       ->
internal/guard      -> rpc
internal/routingapi -> ipns routing routing/delegated names recordstore resolver internal/host internal/relay internal/repo internal/serve
internal/relay      -> ipns routing routing/delegated names recordstore resolver publisher internal/door
internal/ownrelay   -> internal/repo internal/transport
internal/page       ->
internal/serve      -> rpc internal/display internal/door internal/guard internal/page internal/repo
internal/metrics    -> content hosting names publisher recordstore/pebble republisher resolver routing/pubsub watch internal/cluster internal/host
internal/deploy     -> ipns api check rpc
internal/doctor     -> ipns check contenthash internal/display internal/dnslink internal/machine internal/repo internal/transport
internal/identity   -> ipns keystore keystore/age internal/repo
internal/kubo       -> ipns keystore internal/durable internal/repo
internal/kubo/...   -> ipns keystore
internal/migrate    -> content internal/identity internal/repo recordstore/pebble
internal/move       -> ipns content keystore names node recordstore internal/kubo internal/repo
internal/ens         ->
internal/delegation  -> ipns names recordstore
internal/ladder      -> ipns names recordstore
internal/dnslink     -> ipns resolver
internal/cluster    -> ipns recordstore republisher routing internal/keyspace
internal/denylist    -> ipns
internal/garbage     -> ipns names recordstore content
internal/pinservice  ->
internal/profile     ->
internal/backup     -> ipns names recordstore internal/durable internal/filelock internal/repo
internal/records    -> recordstore recordstore/pebble recordstore/postgres internal/cluster internal/machine internal/repo internal/storemove
internal/sharedkeys -> ipns keystore keystore/age recordstore
internal/storemove  -> ipns recordstore recordstore/blob
internal/repair     -> ipns routing keystore names recordstore recordstore/pebble
internal/simnet     -> *
internal/testnet    -> *
internal/tracing    ->
internal/tracing/otlp -> internal/tracing
bench/...           -> *
examples/...        -> *
`

// outsideTable says who may import what of others: the left side is an import
// path prefix, the right side the packages of ours that may use it.
const outsideTable = `
github.com/ipfs/boxo                -> check content gateway bench/... internal/host internal/provide internal/roads internal/simnet
github.com/cockroachdb/pebble       -> recordstore/pebble content content/contenttest internal/records internal/kubo internal/kubo/kubotest bench/...
github.com/libp2p/go-libp2p-kad-dht -> routing/dht check node internal/host internal/provide internal/simnet internal/testnet internal/verbs bench/...
github.com/libp2p/go-libp2p-pubsub  -> routing/pubsub bench/...
github.com/spf13/cobra              -> cmd/ipns
`

// coreTable lists all that the root package may import besides the standard
// library and its row above: it does no I/O and knows no network.
const coreTable = `
github.com/multiformats/
github.com/ipfs/go-cid
github.com/decred/dcrd/dcrec/secp256k1
github.com/libp2p/go-libp2p/core/crypto
github.com/libp2p/go-libp2p/core/peer
`

func TestImports(t *testing.T) {
	ours := parseTable(t, importTable)
	outside := parseTable(t, outsideTable)
	core := strings.Fields(coreTable)
	imports := directImports(t)
	if len(imports) < 2 {
		t.Fatalf("found %d packages: is the test run in the module's root?", len(imports))
	}
	for pkg, list := range imports {
		allowed, known := lookup(ours, pkg)
		if !known {
			t.Errorf("%s: not in the import table", pkg)
		}
		for _, imp := range list {
			if inModule, ok := strings.CutPrefix(imp, module); ok {
				inModule = strings.TrimPrefix(inModule, "/")
				if inModule == "" {
					inModule = "ipns"
				}
				if !matches(allowed, inModule) {
					t.Errorf("%s imports %s: not in the import table", pkg, inModule)
				}
				continue
			}
			for prefix, who := range outside {
				if strings.HasPrefix(imp, prefix) && !matches(who, pkg) {
					t.Errorf("%s imports %s: only %v may", pkg, imp, who)
				}
			}
			isStd := !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
			if pkg == "ipns" && !isStd && !slices.ContainsFunc(core, func(p string) bool { return strings.HasPrefix(imp, p) }) {
				t.Errorf("the root package imports %s: not in the table of the core", imp)
			}
		}
	}
}

func TestArchitectureShowsTheImportTable(t *testing.T) {
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{importTable, outsideTable, coreTable} {
		if !strings.Contains(string(doc), strings.TrimSpace(table)) {
			t.Errorf("ARCHITECTURE.md does not show this part of the table:\n%s", table)
		}
	}
}

// TestRecordstoreUsesOnlyReceiptOfRouting keeps the networks out of what a store is.
func TestRecordstoreUsesOnlyReceiptOfRouting(t *testing.T) {
	files, err := filepath.Glob("recordstore/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "routing" && s.Sel.Name != "Receipt" {
					t.Errorf("%s uses routing.%s", file, s.Sel.Name)
				}
			}
			return true
		})
	}
}

func parseTable(t *testing.T, text string) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		left, right, ok := strings.Cut(line, "->")
		if !ok {
			t.Fatalf("no arrow in %q", line)
		}
		rows[strings.TrimSpace(left)] = strings.Fields(right)
	}
	return rows
}

// lookup finds the row of a package: its own, else that of a folder above it.
func lookup(rows map[string][]string, pkg string) ([]string, bool) {
	if row, ok := rows[pkg]; ok {
		return row, true
	}
	for dir := path.Dir(pkg); dir != "."; dir = path.Dir(dir) {
		if row, ok := rows[dir+"/..."]; ok {
			return row, true
		}
	}
	return nil, false
}

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, isTree := strings.CutSuffix(p, "/...")
		return p == "*" || p == pkg || isTree && strings.HasPrefix(pkg, below+"/")
	})
}

// directImports maps each package of the module (the root is "ipns") to what
// its files import, tests left out.
func directImports(t *testing.T) map[string][]string {
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			name := d.Name()
			if nested == nil || name == "testdata" || name == "node_modules" || name[0] == '.' {
				return fs.SkipDir
			}
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(file))
		if pkg == "." {
			pkg = "ipns"
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if _, seen := found[pkg]; !seen {
			found[pkg] = nil
		}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[pkg] = append(found[pkg], imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
