package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"bihuan/internal/api"

	"github.com/danielgtaylor/huma/v2"
)

//go:generate go test -run TestReference -update .

// Reference returns the API's reference as Markdown, made from its OpenAPI
// document.
func Reference() string {
	doc := Mount(nil, Rooms{}, api.Config{}).OpenAPI()
	w := &writer{schemas: doc.Components.Schemas.Map()}
	w.line("# API\n")
	w.line("<!-- Made from the OpenAPI document by `go generate ./internal/api/v1` (or `bihuan api docs`). Do not edit. -->\n")
	w.line("%s\n", doc.Info.Description)
	w.line("The machine-readable form is at `/api/openapi.json` (OpenAPI %s).\n", doc.OpenAPI)
	w.line("```sh\nTOKEN=$(bihuan token create --user kefu --scopes tickets:read,tickets:write)\n" +
		"curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/v1/tickets?view=open\n```\n")
	w.scopes(doc)
	for _, t := range doc.Tags {
		w.line("## %s\n", t.Name)
		for _, op := range operations(doc) {
			if slices.Contains(op.Tags, t.Name) {
				w.operation(op)
			}
		}
	}
	w.line("## Schemas\n")
	names := make([]string, 0, len(w.schemas))
	for n := range w.schemas {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		w.schema(n, w.schemas[n])
	}
	return strings.TrimRight(w.b.String(), "\n") + "\n"
}

// operations returns all operations by path, then in the order of reading,
// creating, changing.
func operations(doc *huma.OpenAPI) []*huma.Operation {
	paths := make([]string, 0, len(doc.Paths))
	for p := range doc.Paths {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	var out []*huma.Operation
	for _, p := range paths {
		i := doc.Paths[p]
		for _, op := range []*huma.Operation{i.Get, i.Post, i.Put, i.Patch, i.Delete} {
			if op != nil {
				out = append(out, op)
			}
		}
	}
	return out
}

type writer struct {
	b       strings.Builder
	schemas map[string]*huma.Schema
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

func (w *writer) scopes(doc *huma.OpenAPI) {
	by := map[string][]string{}
	for _, op := range operations(doc) {
		s := op.Security[0]["bearer"][0]
		by[s] = append(by[s], "`"+op.Method+" "+strings.TrimPrefix(op.Path, api.Prefix)+"`")
	}
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	sort.Strings(names)
	w.line("| scope | opens |\n|---|---|")
	for _, n := range names {
		w.line("| `%s` | %s |", n, strings.Join(by[n], ", "))
	}
	w.line("| `customers:reveal` | contact details in clear, with `customers:read` |")
	w.line("| `*` | everything the owner may do, except managing his account |\n")
}

func (w *writer) operation(op *huma.Operation) {
	w.line("### %s %s\n", op.Method, op.Path)
	w.line("%s. Scope `%s`.\n", op.Summary, op.Security[0]["bearer"][0])
	if op.Description != "" {
		w.line("%s\n", op.Description)
	}
	if len(op.Parameters) > 0 {
		w.line("| parameter | in | type | |\n|---|---|---|---|")
		for _, p := range op.Parameters {
			name := "`" + p.Name + "`"
			if p.Required {
				name += " *"
			}
			w.line("| %s | %s | %s | %s |", name, p.In, w.typ(p.Schema), w.about(p.Schema))
		}
		w.line("")
	}
	if op.RequestBody != nil {
		m := op.RequestBody.Content["application/json"]
		w.line("Body: %s.\n", w.typ(m.Schema))
		if ex, ok := m.Example.(json.RawMessage); ok {
			var b bytes.Buffer
			_ = json.Indent(&b, ex, "", "  ")
			w.line("```json\n%s\n```\n", b.String())
		}
	}
	statuses := make([]string, 0, len(op.Responses))
	for s := range op.Responses {
		statuses = append(statuses, s)
	}
	sort.Strings(statuses)
	var errs []string
	conflict := ""
	for _, s := range statuses {
		r := op.Responses[s]
		if c := r.Content["application/json"]; c != nil {
			w.line("Answer: %s %s.", s, w.typ(c.Schema))
		} else if media := fileOf(r); media != "" {
			w.line("Answer: %s a file (`%s`).", s, media)
		} else if s[0] == '2' {
			w.line("Answer: %s, empty.", s)
		} else {
			errs = append(errs, s)
			if sc := r.Content["application/problem+json"].Schema; s == "409" && w.typ(sc) != ref("Problem") {
				conflict = ", 409 a " + w.typ(sc)
			}
		}
	}
	w.line("Errors: %s, each a %s%s.\n", strings.Join(errs, ", "), ref("Problem"), conflict)
}

// fileOf is the media type of a file an operation answers with, "" of another
// answer.
func fileOf(r *huma.Response) string {
	for media, c := range r.Content {
		if c.Schema.Format == "binary" {
			return media
		}
	}
	return ""
}

func ref(name string) string { return "[" + name + "](#" + strings.ToLower(name) + ")" }

func (w *writer) typ(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return ref(s.Ref[strings.LastIndex(s.Ref, "/")+1:])
	case s.Type == "array":
		return "list of " + w.typ(s.Items)
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

// about is what is worth knowing of a member beside its type.
func (w *writer) about(s *huma.Schema) string {
	var parts []string
	if s.Description != "" {
		parts = append(parts, s.Description)
	}
	enum := s.Enum
	if s.Items != nil && len(enum) == 0 {
		enum = s.Items.Enum
	}
	if len(enum) > 0 {
		var vs []string
		for _, v := range enum {
			if v != "" {
				vs = append(vs, fmt.Sprintf("`%v`", v))
			}
		}
		parts = append(parts, "One of "+strings.Join(vs, ", "))
	}
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("Default `%v`", s.Default))
	}
	if len(s.Examples) > 0 {
		if b, err := json.Marshal(s.Examples[0]); err == nil {
			parts = append(parts, "Example `"+strings.Trim(string(b), `"`)+"`")
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ". "), "|", "\\|")
}

func (w *writer) schema(name string, s *huma.Schema) {
	w.line("### %s\n", name)
	w.line("| member | type | |\n|---|---|---|")
	members := make([]string, 0, len(s.Properties))
	for m := range s.Properties {
		members = append(members, m)
	}
	sort.Slice(members, func(i, j int) bool {
		a, b := slices.Contains(s.Required, members[i]), slices.Contains(s.Required, members[j])
		if a != b {
			return a
		}
		return members[i] < members[j]
	})
	for _, m := range members {
		label := "`" + m + "`"
		if slices.Contains(s.Required, m) {
			label += " *"
		}
		w.line("| %s | %s | %s |", label, w.typ(s.Properties[m]), w.about(s.Properties[m]))
	}
	w.line("")
}
