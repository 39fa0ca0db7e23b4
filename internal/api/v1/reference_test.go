package v1

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"bihuan/internal/api"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"slices"
)

var update = flag.Bool("update", false, "write docs/api.md anew")

const reference = "../../../docs/api.md"

// The reference people read is the one the program was built from.
func TestReference(t *testing.T) {
	want := Reference()
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/api.md is stale: go generate ./internal/api/v1")
	}
}

// Every operation says who may call it, what it does and how it fails; every
// member and parameter that is not self-evident says what it is.
func TestDocument(t *testing.T) {
	t.Parallel()
	doc := Mount(nil, Rooms{}, api.Config{}).OpenAPI()
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || !strings.Contains(string(raw), `"scheme":"bearer"`) {
		t.Error("no OpenAPI 3.1 with a bearer scheme")
	}
	var verbs []any
	for _, op := range operations(doc) {
		if op.Summary == "" || op.Description == "" || len(op.Security) != 1 {
			t.Errorf("%s is not described", op.OperationID)
		}
		scope := op.Security[0]["bearer"][0]
		if !slices.Contains(org.TokenScopes(), scope) || !i18n.Has("token.scope."+scope) {
			t.Errorf("%s: scope %s is not declared or has no name", op.OperationID, scope)
		}
		for _, s := range []string{"401", "403", "429", "500"} {
			if op.Responses[s] == nil || op.Responses[s].Content["application/problem+json"] == nil {
				t.Errorf("%s: %s is not documented", op.OperationID, s)
			}
		}
		for _, p := range op.Parameters {
			if p.Name == "move" {
				verbs = p.Schema.Enum
			}
			if p.Description == "" && len(p.Schema.Enum) == 0 && (p.Schema.Items == nil || len(p.Schema.Items.Enum) == 0) {
				t.Errorf("%s: parameter %s is not described", op.OperationID, p.Name)
			}
		}
	}
	for _, v := range ticket.Verbs {
		if !slices.Contains(verbs, any(string(v))) {
			t.Errorf("move %s is not offered", v)
		}
		if !strings.Contains(string(raw), "| "+string(v)+" |") {
			t.Errorf("move %s is not explained", v)
		}
	}
	if len(verbs) != len(ticket.Verbs) {
		t.Errorf("%d moves offered, there are %d", len(verbs), len(ticket.Verbs))
	}
}
