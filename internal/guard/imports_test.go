package guard

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// floors is the order of the house, from the ground up. Imports go down; within
// a floor what stands right may import what stands left of it. Packages of the
// ground do not know each other, nor do listeners and channels, except as said
// in except.
var floors = []struct {
	name    string
	ordered bool // right may import left
	pkgs    []string
}{
	{"ground", false, []string{"fault", "clock", "i18n", "crypt", "cnid", "sheet", "ical", "eml"}},
	{"works", true, []string{"db", "setting", "outbound", "imap", "authz", "event", "action", "number", "job", "node", "keyring", "blob", "search", "web", "backup", "api"}},
	{"rooms", true, []string{"org", "calendar", "approval", "field", "task", "journal", "customer", "sla", "ticket", "complaint", "process", "canned", "knowledge", "rule", "privacy"}},
	{"listeners and channels", false, []string{"notify", "portal", "inbound", "mailbox", "importer", "manual", "api/v1"}},
	{"roof", true, []string{"demo", "bench", "app", "sim"}},
}

// except are imports within an unordered floor, each with its reason.
var except = map[[2]string]string{
	{"sheet", "fault"}: "a bad file is the uploader's to mend, so it is a fault",
	{"sheet", "i18n"}:  "headers and marks of result files are words",
	{"fault", "i18n"}:  "arguments of faults may be keys",
}

// A room that reaches up, or two rooms that call each other, can no longer be
// understood or changed one at a time.
func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	type place struct{ floor, index int }
	places := map[string]place{}
	for f, fl := range floors {
		for i, p := range fl.pkgs {
			places[p] = place{f, i}
		}
	}
	for _, file := range sources() {
		if file.Test || testing_(file.Dir) || strings.HasPrefix(file.Dir, "cmd/") {
			continue
		}
		own := family(file.Dir)
		from, ok := places[own]
		if !ok {
			t.Errorf("%s has no place in the order of the house: give it one in floors", file.Dir)
			places[own] = place{len(floors), 0}
			continue
		}
		for _, spec := range file.AST.Imports {
			imp, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "bihuan/")
			if !ok {
				continue
			}
			if testing_(imp) {
				t.Errorf("%s: %s is for tests only", where(spec), imp)
				continue
			}
			other := family(imp)
			to := places[other]
			switch {
			case other == own:
				// A room's face knows its room, never the other way round (Go forbids
				// the circle), and faces do not know each other.
				if imp != "internal/"+own && own != "web" && own != "app" {
					t.Errorf("%s: %s imports its sister %s", where(spec), file.Dir, imp)
				}
			case imp != "internal/"+other && from.floor <= 2 && imp != "internal/web/ui" && !sameFace(file.Dir, imp):
				t.Errorf("%s: %s imports the face of another room, %s", where(spec), file.Dir, imp)
			case to.floor > from.floor:
				t.Errorf("%s: %s (%s) imports upwards: %s (%s)", where(spec), file.Dir, floors[from.floor].name, imp, floors[to.floor].name)
			case to.floor == from.floor && !floors[from.floor].ordered && except[[2]string{own, other}] == "":
				t.Errorf("%s: %s and %s stand side by side on the %s floor and may not know each other", where(spec), own, other, floors[from.floor].name)
			case to.floor == from.floor && floors[from.floor].ordered && to.index > from.index:
				t.Errorf("%s: %s stands left of %s and may not import it: record a fact and let it listen", where(spec), own, other)
			}
		}
	}
}

// family is the first folder below internal: internal/ticket/ticketui -> ticket.
func family(dir string) string {
	p := strings.Split(strings.TrimPrefix(dir, "internal/"), "/")
	if len(p) > 1 && p[0] == "api" {
		return "api/" + p[1] // what is said over the API, on the ground of api
	}
	return p[0]
}

// sameFace reports whether both folders are the pages, or both the JSON, of a
// room: JSON of tickets shows persons the way JSON of the organisation does.
func sameFace(a, b string) bool {
	return strings.HasSuffix(a, "ui") && strings.HasSuffix(b, "ui") || strings.HasSuffix(a, "api") && strings.HasSuffix(b, "api")
}

// The ground is what everything stands on: hardly any module from outside, so
// that a broken dependency cannot take the house with it.
func TestOutsideModules(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"fault": nil, "clock": nil,
		"i18n":  {"github.com/knadh/koanf/parsers/yaml"},
		"crypt": {"github.com/tink-crypto/", "golang.org/x/"},
		"cnid":  {"github.com/nyaruka/phonenumbers", "github.com/mozillazg/go-pinyin", "golang.org/x/"},
		"sheet": {"github.com/xuri/excelize/v2", "golang.org/x/"},
		"eml":   {"github.com/microcosm-cc/bluemonday", "golang.org/x/"},
	}
	for _, file := range sources() {
		ok, ground := allowed[family(file.Dir)]
		if file.Test || !ground {
			continue
		}
		for _, spec := range file.AST.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				continue
			}
			if !slices.ContainsFunc(ok, func(p string) bool { return strings.HasPrefix(imp, p) }) {
				t.Errorf("%s: %s imports %s", where(spec), file.Dir, imp)
			}
		}
	}
}

// A newcomer reads what a package is for before he reads the package.
func TestDocComments(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, file := range sources() {
		if file.Test {
			continue
		}
		if _, ok := docs[file.Dir]; !ok {
			docs[file.Dir] = ""
		}
		if file.AST.Doc != nil {
			docs[file.Dir] += file.AST.Doc.Text()
		}
	}
	for dir, doc := range docs {
		want := "Package " + path.Base(dir) + " "
		if strings.HasPrefix(dir, "cmd/") {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(doc, want) {
			t.Errorf("%s: its doc comment must begin with %q", dir, want)
		}
	}
}
