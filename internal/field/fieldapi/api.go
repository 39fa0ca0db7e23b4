// Package fieldapi is the custom fields' part of the JSON API: what fields there
// are, and how their values stand in the records they belong to.
package fieldapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"bihuan/internal/api"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
)

// Values are the custom fields of a record by their codes: numbers and amounts as
// numbers, dates as 2026-11-21, choices by the code of the option, several as a
// list, colleagues by their id, yes and no as truths.
type Values map[string]any

type service struct{ fields *field.Service }

// Routes adds the operations on fields.
func Routes(a *api.API, fields *field.Service) {
	s := &service{fields}
	api.Handle(a, api.Op{ID: "list-fields", Method: "GET", Path: "/fields", Tag: "Fields", Perm: org.PermDirectory, Scope: "org:read",
		Summary: "List custom fields", Description: "The fields the company has added to customers, contacts or tickets, in their order. Records carry them in `fields`, by `code`."}, s.list)
}

type listInput struct {
	Object string `query:"object" required:"true" enum:"customer,contact,ticket"`
}

// Field is a custom field.
type Field struct {
	Code       string   `json:"code" example:"warranty_until"`
	Label      string   `json:"label" doc:"In the language of the request" example:"保修到期"`
	Help       string   `json:"help,omitempty"`
	Kind       string   `json:"kind" enum:"text,number,money,date,choice,multi,user,bool,link"`
	Required   bool     `json:"required"`
	Types      []string `json:"types,omitempty" doc:"Types of records that have it; absent: all"`
	Default    string   `json:"default,omitempty"`
	Options    []Option `json:"options,omitempty"`
	Searchable bool     `json:"searchable"`
	Filterable bool     `json:"filterable"`
}

// Option is an answer of a choice.
type Option struct {
	Code   string `json:"code" example:"gold"`
	Label  string `json:"label" example:"金牌"`
	Active bool   `json:"active" doc:"false: old records have it, new ones cannot"`
}

// List is all fields of an object.
type List struct {
	Items []Field `json:"items"`
}

type listOutput struct{ Body List }

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	lang := i18n.ZhCN
	if r := web.From(ctx); r != nil {
		lang = r.Lang
	}
	defs, err := s.fields.Defs(ctx, lang, field.Object(in.Object))
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Field, 0, len(defs))}}
	for _, d := range defs {
		f := Field{Code: d.Code, Label: d.Label, Help: d.Help, Kind: string(d.Kind), Required: d.Required, Types: d.Types, Default: d.Default, Searchable: d.Searchable, Filterable: d.Filterable}
		for _, o := range d.Options {
			f.Options = append(f.Options, Option{o.Code, o.Label, !o.Off})
		}
		out.Body.Items = append(out.Body.Items, f)
	}
	return out, nil
}

// Out are the values of a record as they are sent; nil when there are none.
func Out(values map[int64]field.Value) Values {
	if len(values) == 0 {
		return nil
	}
	out := Values{}
	for _, v := range values {
		out[v.Code()] = v.JSON()
	}
	return out
}

// In reads what was sent. It is never nil: who sends a record says what it has.
// null and "" empty a field. prefix stands before the names in faults.
func In(ctx context.Context, fields *field.Service, obj field.Object, sent Values, prefix string) (field.Input, error) {
	in := field.Input{}
	if len(sent) == 0 {
		return in, nil
	}
	defs, err := fields.Defs(ctx, i18n.ZhCN, obj)
	if err != nil {
		return nil, err
	}
	known := map[string]field.Def{}
	for _, d := range defs {
		known[d.Code] = d
	}
	e := fault.Invalidf("api.invalid")
	for code, v := range sent {
		d, ok := known[code]
		if !ok {
			e.Field(prefix+field.Prefix+code, "api.unknown_field", code)
			continue
		}
		texts, ok := texts(v)
		if !ok {
			e.Field(prefix+field.Prefix+code, "api.field_shape")
			continue
		}
		in[d.ID] = texts
	}
	return in, e.OrNil()
}

func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return []string{""}, true
	case string:
		return []string{v}, true
	case bool:
		return []string{map[bool]string{true: "1", false: "0"}[v]}, true
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, true
	case json.Number:
		return []string{v.String()}, true
	case []any:
		out := []string{}
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return []string{fmt.Sprint(v)}, false
}
