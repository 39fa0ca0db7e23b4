package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/fault"
	"bihuan/internal/web"
)

// Idempotency is part of the input of every POST.
type Idempotency struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"Any text that is new for each new request, such as a UUID. The same request sent again under it gets the stored answer" example:"5f0c7f5e-7f1b-4f0b-9a53-0d6f3a1f7a11"`
}

// Once runs a change as the caller, once for his key: fn's result is stored in
// the same transaction, and a repeated request gets it again. replayed is the
// value of the header Idempotent-Replayed. Without a key it is a plain action.
func Once[T any](ctx context.Context, run *action.Runner, key, name string, request any, fn func(ctx context.Context, a *action.Action) (T, error)) (out T, replayed string, err error) {
	actor := Actor(ctx)
	if key == "" {
		err = run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) (err error) {
			out, err = fn(ctx, a)
			return err
		})
		return out, "", err
	}
	if !utf8.ValidString(key) {
		return out, "", fault.Invalidf("api.invalid").Field("Idempotency-Key", "api.bad_parameter", "Idempotency-Key")
	}
	r := web.From(ctx)
	body, err := json.Marshal(request)
	if err != nil {
		return out, "", fmt.Errorf("api: request: %w", err)
	}
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "\n" + string(body)))
	answer, again, err := run.Once(ctx, actor, name, action.Key{Name: key, Request: hex.EncodeToString(sum[:])}, func(ctx context.Context, a *action.Action) ([]byte, error) {
		v, err := fn(ctx, a)
		if err != nil {
			return nil, err
		}
		out = v
		return json.Marshal(v)
	})
	if err != nil || !again {
		return out, "", err
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, "", fmt.Errorf("api: stored answer: %w", err)
	}
	return out, "true", nil
}

// Tag returns version as an ETag.
func Tag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Version returns the version a change starts from: that of If-Match, else that
// of the body. current is what "*" means. Without any it is an error: a change
// that does not know what it changes loses somebody's work.
func Version(ifMatch string, body *int64, current int64) (int64, error) {
	switch m := strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/"); {
	case m == "*":
		return current, nil
	case m != "":
		v, err := strconv.ParseInt(strings.Trim(m, `"`), 10, 64)
		if err != nil || v <= 0 {
			return 0, fault.Invalidf("api.invalid").Field("If-Match", "api.bad_parameter", "If-Match")
		}
		return v, nil
	case body != nil && *body > 0:
		return *body, nil
	}
	return 0, fault.Invalidf("api.invalid").Field("version", "api.need_version")
}

// Page is the paging part of a list's input.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"25" doc:"How many items at most"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The next of the page before; empty for the first page"`
}

// FirstPage is how many items a page has unless the caller says.
const FirstPage = 25

// Prefixed puts the fields of an invalid fault under a member of the body, e.g.
// those of a customer that is made within a ticket.
func Prefixed(err error, member string) error {
	e, ok := fault.As(err)
	if !ok || e.Kind != fault.Invalid {
		return err
	}
	for i := range e.Fields {
		e.Fields[i].Field = member + "." + e.Fields[i].Field
	}
	return err
}

// Some returns the value of p, or now when nothing was sent: one member of a PATCH.
func Some[T any](p *T, now T) T {
	if p == nil {
		return now
	}
	return *p
}
