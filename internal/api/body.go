package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/danielgtaylor/huma/v2"
)

// JSON is the body of an operation's input. Its shape is checked as it is read;
// whether it makes sense is for the rooms to say.
type JSON[T any] struct {
	raw   []byte
	value T
}

// Value returns what was sent.
func (j *JSON[T]) Value() T { return j.value }

// UnmarshalJSON keeps the text; Resolve reads it, because only from there an
// error keeps its type.
func (j *JSON[T]) UnmarshalJSON(b []byte) error {
	j.raw = bytes.Clone(b)
	return nil
}

// Schema implements huma.SchemaProvider.
func (j *JSON[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// Resolve implements huma.Resolver.
func (j *JSON[T]) Resolve(huma.Context) []error {
	if len(j.raw) == 0 {
		return nil // huma has complained already
	}
	if err := decode(j.raw, &j.value); err != nil {
		return []error{err}
	}
	return nil
}

func decode(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && bytes.Contains(raw, []byte(`\u0000`)) && hasNUL(raw) {
		return unreadable()
	}
	var wrong *json.UnmarshalTypeError
	var at *time.ParseError
	switch {
	case err == nil && string(bytes.TrimSpace(raw)) != "null":
		return nil
	case errors.As(err, &wrong):
		key := "api.wrong_type." + kind(wrong.Type)
		if wrong.Field == "" {
			return fault.Invalidf(key, i18n.Key("api.body"))
		}
		return fault.Invalidf("api.invalid").Field(wrong.Field, key, wrong.Field)
	case errors.As(err, &at):
		return fault.Invalidf("api.bad_time", strings.Trim(at.Value, `"`))
	}
	if err != nil {
		if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			if name, err := strconv.Unquote(quoted); err == nil {
				return fault.Invalidf("api.invalid").Field(name, "api.unknown_member", name)
			}
		}
	}
	return malformed()
}

// hasNUL reports whether some text in raw has the character PostgreSQL cannot
// store; `\\u0000` is only its name.
func hasNUL(raw []byte) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := t.(string); ok && strings.ContainsRune(s, 0) {
			return true
		}
	}
}

func unreadable() error { return fault.Invalidf("api.unreadable") }

// readable refuses an address with characters no text has.
func readable(u *url.URL) error {
	q, err := url.QueryUnescape(u.RawQuery)
	if err != nil || !utf8.ValidString(q) || !utf8.ValidString(u.Path) || strings.ContainsRune(q, 0) || strings.ContainsRune(u.Path, 0) {
		return unreadable()
	}
	return nil
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.String:
		return "string"
	}
	return "object"
}

func checkType(contentType string) error {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "application/json" {
		return withStatus{fault.Invalidf("api.content_type"), http.StatusUnsupportedMediaType}
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return withStatus{fault.Invalidf("api.content_type"), http.StatusUnsupportedMediaType}
	}
	return nil
}
