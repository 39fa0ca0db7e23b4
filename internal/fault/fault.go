// Package fault describes what went wrong to three readers: the program gets a
// [Kind], the person a locale key with its arguments (said in his language by
// whoever shows it), and the operator the wrapped cause in the log.
//
// An error that is not a *Error is internal: nobody outside sees its text.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind sorts errors by what the caller can do about them.
type Kind string

const (
	Invalid         Kind = "invalid"         // the input must be corrected
	NotFound        Kind = "not_found"       // no such record, or out of the reader's scope
	Forbidden       Kind = "forbidden"       // in scope, but this verb is not his
	Conflict        Kind = "conflict"        // the state does not allow it, or somebody else was faster
	Unauthenticated Kind = "unauthenticated" // sign in first
	Limited         Kind = "limited"         // too often or too large; later or smaller
	Unavailable     Kind = "unavailable"     // the store is away for the moment; try again
	Internal        Kind = "internal"        // our mistake
)

// FieldError is a message at one field of a form.
type FieldError struct {
	Field string
	Key   string
	Args  []any
}

// Error is an error that may be shown to a person.
type Error struct {
	Kind   Kind
	Key    string // locale key of the sentence that names the remedy
	Args   []any  // fill {0}, {1} … of the sentence
	Fields []FieldError
	cause  error
}

// New makes an error of kind k; key and args make its sentence.
func New(k Kind, key string, args ...any) *Error { return &Error{Kind: k, Key: key, Args: args} }

// Invalidf is New(Invalid, …), by far the most frequent.
func Invalidf(key string, args ...any) *Error { return New(Invalid, key, args...) }

// Field adds a message at the form field name and returns e.
func (e *Error) Field(name, key string, args ...any) *Error {
	e.Fields = append(e.Fields, FieldError{Field: name, Key: key, Args: args})
	return e
}

// Wrap records the cause for the log and returns e.
func (e *Error) Wrap(cause error) *Error { e.cause = cause; return e }

// OrNil returns e when it has field messages, else nil: the end of a validation.
func (e *Error) OrNil() error {
	if e == nil || len(e.Fields) == 0 {
		return nil
	}
	return e
}

// Both joins the complaints of two checks of one form, so that a person sees them
// together; an error that is no [Invalid] fault comes first.
func Both(a, b error) error {
	x, xok := As(a)
	y, yok := As(b)
	switch {
	case b == nil || a != nil && (!xok || x.Kind != Invalid):
		return a
	case a == nil || !yok || y.Kind != Invalid:
		return b
	}
	both := *x
	both.Fields = append(append([]FieldError(nil), x.Fields...), y.Fields...)
	return &both
}

// Error is for the log; people are shown the sentence behind Key.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Kind, e.Key)
	if len(e.Args) > 0 {
		fmt.Fprintf(&b, " %v", e.Args)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Key)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// As returns the fault in err's chain, if there is one.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// KindOf returns the kind of err: Internal for an error that is no fault, ""
// for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := As(err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is a fault of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
