package ipns_test

import (
	"flag"
	"go/ast"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

var exportsFlag = flag.Bool("exports", false, "look for exported names that nothing uses; takes a minute")

// exportsReasons names the exported names that no code of ours uses, and why they
// are there.
const exportsReasons = ".ci/exports.reasons"

// What is exported is there for somebody: for other packages of this module, or
// for programs that use it as a library, as .ci/exports.reasons says. deadcode
// sees neither types, fields and constants nor methods of used types.
func TestExportsAreUsed(t *testing.T) {
	if !*exportsFlag {
		t.Skip("takes a minute: run it with -exports, as make lint does")
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	used := map[types.Object]bool{}
	interfaces := map[string]bool{} // names of the methods of interfaces
	for _, p := range loaded {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		for id, obj := range p.TypesInfo.Uses {
			used[origin(obj)] = used[origin(obj)] || !isOwnReceiver(p, id, obj)
		}
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, name := range p.Types.Scope().Names() {
			if i, ok := p.Types.Scope().Lookup(name).Type().Underlying().(*types.Interface); ok {
				for m := range i.Methods() {
					interfaces[m.Name()] = true
				}
			}
		}
	})
	reasons := readReasons(t)
	for _, p := range loaded {
		if p.Name == "main" || strings.Contains(p.PkgPath, "/bench") || strings.Contains(p.PkgPath, "/internal/simnet") || strings.HasSuffix(p.PkgPath, "test") {
			continue
		}
		path := strings.TrimPrefix(strings.TrimPrefix(p.PkgPath, "github.com/goipns/ipns"), "/")
		for _, name := range unusedExports(p, used, interfaces) {
			full := path + "." + name
			i := slices.IndexFunc(reasons, func(r string) bool {
				return r == full || strings.HasSuffix(r, ".*") && strings.HasPrefix(full, strings.TrimSuffix(r, "*"))
			})
			if i < 0 {
				t.Errorf("%s is exported and used nowhere: take it away, or say in %s what it is for", full, exportsReasons)
			}
		}
	}
}

// origin is the object as it was declared, not as it was instantiated.
func origin(obj types.Object) types.Object {
	switch o := obj.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	}
	return obj
}

// isOwnReceiver reports whether a use of a type is no more than the receiver of
// one of its own methods.
func isOwnReceiver(p *packages.Package, id *ast.Ident, obj types.Object) bool {
	if _, ok := obj.(*types.TypeName); !ok || obj.Pkg() != p.Types {
		return false
	}
	for _, f := range p.Syntax {
		if id.Pos() < f.FileStart || id.Pos() > f.FileEnd {
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && id.Pos() >= fn.Recv.Pos() && id.Pos() <= fn.Recv.End() {
				return true
			}
		}
	}
	return false
}

// unusedExports lists the exported names of a package that nothing uses: NAME, or
// TYPE.METHOD and TYPE.FIELD.
func unusedExports(p *packages.Package, used map[types.Object]bool, interfaces map[string]bool) (list []string) {
	for _, name := range p.Types.Scope().Names() {
		obj := p.Types.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		if !used[obj] {
			list = append(list, name)
			continue
		}
		named, ok := obj.Type().(*types.Named)
		if _, isType := obj.(*types.TypeName); !ok || !isType {
			continue
		}
		for m := range named.Methods() {
			if m.Exported() && !used[m] && !interfaces[m.Name()] {
				list = append(list, name+"."+m.Name())
			}
		}
	}
	return list
}

func readReasons(t *testing.T) (names []string) {
	t.Helper()
	b, err := os.ReadFile(exportsReasons)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] != "#" {
			names = append(names, fields[0])
		}
	}
	return names
}
