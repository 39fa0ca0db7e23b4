package api

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/web"

	"github.com/danielgtaylor/huma/v2"
)

// Huma has one error type for the whole process. Ours is the product's Problem
// in the document; at run time errors leave huma and go the router's way, so
// that there is one place that words and logs them.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return &Problem{web.Problem{Status: status}}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		if c, ok := ctx.(*call); ok && c.err == nil {
			c.err = ours(status, msg, errs)
		}
		return &Problem{web.Problem{Status: status}}
	}
}

// Problem is [web.Problem] for huma.
type Problem struct{ web.Problem }

// Error implements error.
func (p *Problem) Error() string { return p.Message }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// call is huma's view of one request. Once it has failed, whatever huma writes
// is thrown away.
type call struct {
	hctx
	err error
}

type hctx huma.Context // embedded under a name that is not its method's

// Unwrap returns the context of the server, for [Send].
func (c *call) Unwrap() huma.Context { return c.hctx }

func (c *call) SetStatus(status int) {
	if c.err == nil {
		c.hctx.SetStatus(status)
	}
}

func (c *call) SetHeader(name, value string) {
	if c.err == nil {
		c.hctx.SetHeader(name, value)
	}
}

func (c *call) AppendHeader(name, value string) {
	if c.err == nil {
		c.hctx.AppendHeader(name, value)
	}
}

func (c *call) BodyWriter() io.Writer {
	if c.err != nil {
		return io.Discard
	}
	return c.hctx.BodyWriter()
}

// withStatus is a fault whose HTTP status does not follow from its kind.
type withStatus struct {
	fault  *fault.Error
	status int
}

// Error implements error.
func (e withStatus) Error() string { return e.fault.Error() }

// HTTPStatus is asked for by web.Status.
func (e withStatus) HTTPStatus() int { return e.status }

// Unwrap returns the fault.
func (e withStatus) Unwrap() error { return e.fault }

func malformed() error {
	return withStatus{fault.Invalidf("api.malformed"), http.StatusBadRequest}
}

// ours turns what huma complains about into the product's errors.
func ours(status int, msg string, errs []error) error {
	e := fault.Invalidf("api.invalid")
	for _, err := range errs {
		var d *huma.ErrorDetail
		if !errors.As(err, &d) {
			return err // of a handler, a body or the network: it says what it is itself
		}
		where, field, _ := strings.Cut(d.Location, ".")
		switch {
		case where == "body":
			return malformed()
		case where == "path": // an address that cannot be one
			return fault.New(fault.NotFound, "ui.error.not_found")
		case d.Message == "unknown query parameter":
			e.Field(field, "api.unknown_parameter", field)
		default:
			e.Field(field, "api.bad_parameter", field)
		}
	}
	if len(e.Fields) == 0 { // no body at all, or one that did not arrive
		return malformed()
	}
	return e
}
