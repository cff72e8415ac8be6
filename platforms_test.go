package ipns_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

var checked = flag.String("platforms", "linux/armv7", "platforms for which the source is checked; all: those that build makes something for")

// releasePlatforms are those that build makes something for.
func releasePlatforms(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("packaging/build")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`\|\| platforms=\((.*)\)`).FindSubmatch(b)
	if list == nil {
		t.Fatal("build has no list of platforms")
	}
	return strings.Fields(string(list[1]))
}

// TestSourceIsRightForEachPlatform reads the program and all that is in it, as the compiler does,
// but makes no code: that would take minutes for each platform.
func TestSourceIsRightForEachPlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	all := strings.Split(*checked, ",")
	if *checked == "all" {
		all = releasePlatforms(t)
	}
	for _, p := range all {
		t.Run(p, func(t *testing.T) {
			system, arch, _ := strings.Cut(p, "/")
			env := append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
			if arch == "armv7" {
				env = append(env, "GOARCH=arm", "GOARM=7")
			}
			loaded, err := packages.Load(&packages.Config{
				Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
				Env:  env,
			}, "./cmd/ipns")
			if err != nil {
				t.Fatal(err)
			}
			read := 0
			packages.Visit(loaded, nil, func(p *packages.Package) {
				read++
				for _, e := range p.Errors {
					t.Error(e)
				}
			})
			if read < 500 {
				t.Errorf("only %d packages were read", read)
			}
		})
	}
}
