package guard

import (
	"go/ast"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

var (
	sqlText  = regexp.MustCompile(`(?s)^\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s)`)
	sqlWrite = regexp.MustCompile(`(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+([a-z_]+)`)
)

// A handler with SQL in it has a rule in it, and forgets the scope. Statements
// stand in the room (or the works), never in its pages, its API or the roof.
func TestSQLOnlyInRooms(t *testing.T) {
	t.Parallel()
	literals(func(file goFile, lit *ast.BasicLit, text string) {
		if !sqlText.MatchString(text) {
			return
		}
		own := family(file.Dir)
		// The app reads settings that belong to nobody else and counts for its
		// gauges; bench writes its sample straight into the tables, which is its
		// purpose.
		if own == "app" && !strings.Contains(file.Dir, "/app/") || own == "bench" {
			return
		}
		if strings.HasSuffix(file.Dir, "ui") || strings.HasSuffix(file.Dir, "api") {
			t.Errorf("%s: SQL in a handler: %.60q", where(lit), text)
		}
	})
}

// writers are the tables more than one package may write, each with its reason.
var writers = map[string][]string{
	"settings":      {"setting", "keyring"},      // marks which key file belongs to the data
	"leases":        {"event", "job"},            // the sealer's lock is a lease
	"counters":      {"number", "org", "ticket"}, // org and routing count their generations
	"user_sessions": {"web", "org"},              // signing out ends the session with its fact
}

// A table is written by one package: what always holds for its rows can be read
// in one place.
func TestOneWriterPerTable(t *testing.T) {
	t.Parallel()
	by := map[string]map[string]string{}
	literals(func(file goFile, lit *ast.BasicLit, text string) {
		own := family(file.Dir)
		if own == "bench" || own == "backup" || file.Name == "demo.go" {
			return // they write, or take away, whole databases
		}
		for _, m := range sqlWrite.FindAllStringSubmatch(text, -1) {
			if m[1] == "set" || !sqlText.MatchString(text) {
				continue
			}
			if by[m[1]] == nil {
				by[m[1]] = map[string]string{}
			}
			by[m[1]][own] = where(lit)
		}
	})
	for table, pkgs := range by {
		var names []string
		for p := range pkgs {
			if !slices.Contains(writers[table], p) {
				names = append(names, p)
			}
		}
		sort.Strings(names)
		if len(names) > 1 {
			t.Errorf("table %s is written by %s", table, strings.Join(names, " and "))
			for _, n := range names {
				t.Log(pkgs[n])
			}
		}
	}
}
