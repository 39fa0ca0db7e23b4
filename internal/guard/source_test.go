package guard

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// root is the repository, seen from this folder.
const root = "../.."

// goFile is a parsed source file. Dir is the package's folder, e.g.
// "internal/ticket/ticketui".
type goFile struct {
	Dir, Name string
	Test      bool
	AST       *ast.File
}

var fset = token.NewFileSet()

// sources parses every Go file of the program once.
var sources = sync.OnceValue(func() []goFile {
	var out []goFile
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			rel, _ := filepath.Rel(root, path)
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			out = append(out, goFile{filepath.ToSlash(filepath.Dir(rel)), e.Name(), strings.HasSuffix(path, "_test.go"), f})
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	return out
})

// literals calls f with every string literal of the program outside of tests.
func literals(f func(file goFile, lit *ast.BasicLit, text string)) {
	for _, file := range sources() {
		if file.Test || testing_(file.Dir) {
			continue
		}
		ast.Inspect(file.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					if s, err := strconv.Unquote(n.Value); err == nil {
						f(file, n, s)
					}
				}
			}
			return true
		})
	}
}

// testing_ reports whether a folder exists for tests only.
func testing_(dir string) bool {
	base := filepath.Base(dir)
	return base != "cmd" && strings.HasSuffix(base, "test") || slices.Contains([]string{"guard", "browser", "crash"}, base)
}

// where is the place of a node for a message.
func where(n ast.Node) string {
	p := fset.Position(n.Pos())
	rel, _ := filepath.Rel(root, p.Filename)
	return rel + ":" + strconv.Itoa(p.Line)
}

// golden compares got with the golden file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(raw)
	if got == want {
		return
	}
	for _, l := range missing(want, got) {
		t.Errorf("%s: gone: %s", name, l)
	}
	for _, l := range missing(got, want) {
		t.Errorf("%s: new: %s", name, l)
	}
	t.Error("if this is meant, run `make golden` and read the difference")
}

// missing returns the lines of a that b has not.
func missing(a, b string) []string {
	have := map[string]int{}
	for _, l := range strings.Split(b, "\n") {
		have[l]++
	}
	var out []string
	for _, l := range strings.Split(a, "\n") {
		if have[l]--; have[l] < 0 {
			out = append(out, l)
		}
	}
	return out
}
