package guard

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/i18n"
)

// both reports whether key has a text in both languages; i18n.T falls back to
// Chinese, so the lists are asked.
func both(key string) bool {
	for _, l := range i18n.Langs {
		if _, ok := slices.BinarySearch(i18n.Keys(l), key); !ok {
			return false
		}
	}
	return true
}

// kindLike is the shape of a kind: area.noun_verbed.
var kindLike = regexp.MustCompile(`^[a-z]+\.[a-z]+(_[a-z]+)*$`)

// kinds are all facts the program can record, with where that is: what is given
// as Kind, or to a helper of a room that records, or declared among its kinds.
// Names of actions and of sentences share the shape and do not count.
func kinds(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range sources() {
		if file.Test || testing_(file.Dir) {
			continue
		}
		consts := constants(file.Dir)
		add := func(e ast.Expr) {
			if s, ok := stringOf(e, consts); ok && kindLike.MatchString(s) {
				out[s] = where(e)
			}
		}
		ast.Inspect(file.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Kind" {
					add(n.Value)
				}
			case *ast.CallExpr:
				if name := callee(n); slices.Contains([]string{"about", "note", "record", "fact", "recordAudit", "annotate", "noteOf"}, name) {
					for _, a := range n.Args {
						add(a)
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if (name.Name == "past" || strings.HasSuffix(name.Name, "Kinds") || strings.HasPrefix(name.Name, "Event")) && i < len(n.Values) {
						ast.Inspect(n.Values[i], func(n ast.Node) bool {
							if e, ok := n.(ast.Expr); ok {
								add(e)
							}
							return true
						})
					}
				}
			}
			return true
		})
	}
	for k := range out {
		if _, perm := authz.Find(authz.Permission(k)); perm {
			delete(out, k)
		}
	}
	return out
}

func callee(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// constants returns the string constants of a package.
func constants(dir string) map[string]string {
	out := map[string]string{}
	for _, file := range sources() {
		if file.Dir != dir || file.Test {
			continue
		}
		ast.Inspect(file.AST, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if s, ok := stringOf(v.Values[i], nil); ok {
							out[name.Name] = s
						}
					}
				}
			}
			return true
		})
	}
	return out
}

func stringOf(e ast.Expr, consts map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		s, ok := consts[e.Name]
		return s, ok
	}
	return "", false
}

// The audit page and the timelines show every fact in words: one without a
// sentence shows as a key to the person who has to answer for it (GOV-1).
func TestEveryFactHasItsSentence(t *testing.T) {
	t.Parallel()
	ks := kinds(t)
	if len(ks) < 40 {
		t.Fatalf("only %d kinds found: the search no longer sees them", len(ks))
	}
	for k, at := range ks {
		if !both("event." + k) {
			t.Errorf("%s: the fact %s has no sentence event.%s in both languages", at, k, k)
		}
	}
	for _, key := range i18n.Keys(i18n.ZhCN) {
		if k, ok := strings.CutPrefix(key, "event."); ok && kindLike.MatchString(k) && ks[k] == "" && !mentioned(k) {
			t.Errorf("the sentence event.%s belongs to no fact the program records", k)
		}
	}
}

// mentioned reports whether text stands in the program, whole or as a beginning
// that is completed at run time ("ticket.clock_").
func mentioned(text string) (found bool) {
	literals(func(_ goFile, _ *ast.BasicLit, s string) {
		found = found || s == text || strings.HasSuffix(s, "_") && strings.Contains(s, ".") && strings.HasPrefix(text, s)
	})
	return found
}

// A listener that waits for a fact nobody records waits for ever.
func TestListenersKnowTheirFacts(t *testing.T) {
	t.Parallel()
	h := apptest.Open(t, apptest.Options{})
	if len(h.Follower.Listeners()) == 0 {
		t.Fatal("no listeners")
	}
	for _, l := range h.Follower.Listeners() {
		for _, k := range l.Kinds {
			if !both("event." + k) {
				t.Errorf("listener %s waits for %s, which is recorded nowhere", l.Name, k)
			}
		}
	}
}

// Whoever hands out permissions reads their names.
func TestPermissionsHaveNames(t *testing.T) {
	t.Parallel()
	if len(authz.Defs()) < 10 {
		t.Fatal("permissions are missing: are the rooms imported?")
	}
	for _, d := range authz.Defs() {
		for _, key := range []string{"perm." + string(d.Permission), "perm.area." + d.Area} {
			if !both(key) {
				t.Errorf("permission %s has no text %s", d.Permission, key)
			}
		}
		for role := range d.Default {
			if !slices.Contains(authz.Roles, role) {
				t.Errorf("permission %s is given to the unknown role %s", d.Permission, role)
			}
		}
		if area, _, _ := strings.Cut(string(d.Permission), "."); !kindLike.MatchString(string(d.Permission)) || area == "" {
			t.Errorf("permission %q is not named area.verb", d.Permission)
		}
	}
}

var (
	quoted = regexp.MustCompile(`"[^"\n]*"|'[^'\n]*'|` + "`[^`]*`")
	prefix = regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z0-9_]+)*\.$`)
)

// A sentence nobody says is translated, read and kept for nothing, and hides
// that something else lost its words.
func TestNoUnusedSentences(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	var prefixes []string
	see := func(s string) {
		said[s] = true
		if i := strings.IndexByte(s, '%'); i > 0 { // a format: "ticket.verb.%s"
			s = s[:i]
		}
		if prefix.MatchString(s) && !slices.Contains(prefixes, s) {
			prefixes = append(prefixes, s)
		}
	}
	literals(func(_ goFile, _ *ast.BasicLit, s string) {
		see(s)
		for _, w := range strings.Fields(s) { // options of controls: "hint=customer.field.phone.hint"
			if _, v, ok := strings.Cut(w, "="); ok {
				see(v)
			}
			see(w)
		}
	})
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".html" && filepath.Ext(path) != ".js" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// Outer quotes of attributes hide inner ones, so single words are looked at too.
		for _, q := range quoted.FindAllString(string(raw), -1) {
			see(strings.Trim(q, "\"'`"))
		}
		for _, w := range regexp.MustCompile(`[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+\.?`).FindAllString(string(raw), -1) {
			see(w)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unused := 0
	for _, key := range i18n.Keys(i18n.ZhCN) {
		if said[key] || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		t.Errorf("nobody says %s", key)
		unused++
	}
	t.Logf("%d sentences, %d unused", len(i18n.Keys(i18n.ZhCN)), unused)
}

// The audit trail names the part of the program that acted; a Chinese reader
// reads that in Chinese.
func TestSystemActorsHaveNames(t *testing.T) {
	t.Parallel()
	for _, file := range sources() {
		if file.Test || testing_(file.Dir) {
			continue
		}
		consts := constants(file.Dir)
		ast.Inspect(file.AST, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) != 1 || callee(c) != "System" {
				return true
			}
			name, ok := stringOf(c.Args[0], consts)
			// The nameless one and "live" only read: they appear in no record.
			if ok && name != "" && name != "live" && !both("actor."+strings.ReplaceAll(name, " ", "_")) {
				t.Errorf("%s: the system actor %q has no text actor.%s", where(c), name, strings.ReplaceAll(name, " ", "_"))
			}
			return true
		})
	}
}

// Every kind of thing that facts are about has a name on the audit page; it
// showed "file" and "import" to Chinese auditors.
func TestSubjectsAreNamed(t *testing.T) {
	t.Parallel()
	found := 0
	for _, file := range sources() {
		if file.Test || testing_(file.Dir) {
			continue
		}
		consts := constants(file.Dir)
		ast.Inspect(file.AST, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			sel, ok := lit.Type.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Subject" {
				return true
			}
			for _, el := range lit.Elts {
				kv, ok := el.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				if id, ok := kv.Key.(*ast.Ident); !ok || id.Name != "Type" {
					continue
				}
				if typ, ok := stringOf(kv.Value, consts); ok {
					found++
					if !both("audit.subject." + typ) {
						t.Errorf("%s: facts are about a %q, which has no audit.subject.%s", where(lit), typ, typ)
					}
				}
			}
			return true
		})
	}
	if found < 8 {
		t.Errorf("only %d subjects found: the search is broken", found)
	}
}
