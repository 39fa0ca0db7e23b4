package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bihuan/internal/fault"
)

// ErrorView is what a person is told when a request fails.
type ErrorView struct {
	Status  int
	Title   string
	Code    string // the locale key, which programs may compare
	Message string // names the remedy where there is one
	Ref     string
	SignIn  string // address of the sign-in page when signing in helps, else ""
	Home    string // address to go on from; "" is the beginning of the staff's pages
	Fields  []FieldView
	Extra   map[string]any // further members of a JSON problem
	Away    *AwayView      // set while the store cannot be reached
}

// AwayView is what helps a person over a time without the store.
type AwayView struct {
	Look  string      // address to look at again; "" after a form was sent
	Send  string      // where the form goes once more; "" when it cannot be sent again from here
	Typed []TypedView // what was typed into it
	Files bool        // files were chosen, which have to be chosen again
}

// TypedView is one value of a form.
type TypedView struct{ Name, Value string }

// comeBack is how many seconds later it is worth trying again.
const comeBack = "5"

// away returns what the reader is helped with: a page is looked at again by
// itself, a form keeps what was typed into it.
func (r *Request) away() *AwayView {
	v := &AwayView{}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		v.Look = r.URL.RequestURI()
		return v
	}
	if r.Method != http.MethodPost || r.wantsJSON() || r.fromScript() {
		return v // the page is still there
	}
	f := r.Input()
	if f.Err() != nil {
		return v
	}
	v.Send = r.URL.RequestURI()
	values := r.PostForm
	if r.MultipartForm != nil {
		values = r.MultipartForm.Value
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, word := range []string{"password", "secret", "token", "key"} {
			if strings.Contains(strings.ToLower(name), word) {
				return &AwayView{} // never written into a page
			}
		}
		for _, value := range values[name] {
			v.Typed = append(v.Typed, TypedView{name, value})
		}
	}
	for _, fs := range f.Files {
		for _, h := range fs {
			v.Files = v.Files || h.Size > 0
		}
	}
	return v
}

// Words are the values worth reading again: not the ids and codes among them.
func (v *AwayView) Words() []string {
	var out []string
	for _, t := range v.Typed {
		if s := strings.TrimSpace(t.Value); strings.ContainsFunc(s, func(c rune) bool { return c > 0x7f || c == ' ' }) {
			out = append(out, s)
		}
	}
	return out
}

// FieldView is a message at one field of a form.
type FieldView struct {
	Field   string `json:"field" doc:"Name of the member or parameter, with dots for nested ones" example:"contacts.0.phone"`
	Code    string `json:"code" doc:"Stable code of the message" example:"customer.phone.invalid"`
	Message string `json:"message" doc:"What is wrong there, in the language of the request"`
}

// Problem is how errors look in JSON (RFC 9457).
type Problem struct {
	Title     string      `json:"title" doc:"Short name of the kind of error" example:"Needs correction"`
	Status    int         `json:"status" doc:"The HTTP status again" example:"422"`
	Code      string      `json:"code" doc:"Stable code of the error; compare this, never the texts" example:"customer.invalid"`
	Message   string      `json:"message" doc:"A sentence for people, in the language of the request; it names the remedy"`
	Detail    string      `json:"detail" doc:"The message again, under the name RFC 9457 gives it"`
	Fields    []FieldView `json:"fields,omitempty" doc:"What is wrong where in the request"`
	Reference string      `json:"reference" doc:"Reference number of this request; the operator finds it in the log" example:"7K2M-94QX"`
}

func tooLarge(cause *http.MaxBytesError) *fault.Error {
	return fault.New(fault.Limited, "ui.error.too_large", size(cause.Limit)).Wrap(cause)
}

func size(n int64) string {
	const mib = 1 << 20
	if n >= mib {
		return itoa(n/mib) + " MB"
	}
	return itoa(max(n/1024, 1)) + " KB"
}

// Status returns the HTTP status of err.
func Status(err error) int {
	var big *http.MaxBytesError
	var own interface{ HTTPStatus() int }
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &own):
		return own.HTTPStatus()
	case errors.As(err, &big):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errMalformed):
		return http.StatusBadRequest
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Explain returns what the reader is told about err.
func (r *Request) Explain(err error) ErrorView { return r.errorView(err) }

func (r *Request) errorView(err error) ErrorView {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		if _, ok := fault.As(err); !ok {
			err = tooLarge(big)
		}
	}
	v := ErrorView{Status: Status(err), Ref: r.Ref}
	v.Title = r.T("ui.error.title." + itoa(int64(v.Status)))
	e, ok := fault.As(err)
	if !ok || e.Kind == fault.Internal {
		v.Code = "ui.error.internal"
		v.Message = r.T(v.Code)
		return v
	}
	v.Code, v.Message = e.Key, r.T(e.Key, e.Args...)
	if e.Kind == fault.Unavailable && e.Key == "db.unavailable" {
		v.Title, v.Away = r.T("ui.away.title"), r.away()
	}
	for _, f := range e.Fields {
		v.Fields = append(v.Fields, FieldView{f.Field, f.Key, r.T(f.Key, f.Args...)})
	}
	var more interface {
		Problem(r *Request) map[string]any
	}
	if errors.As(err, &more) {
		v.Extra = more.Problem(r)
	}
	if e.Kind == fault.Unauthenticated && r.Actor.Kind == "" {
		v.SignIn = r.signIn()
	}
	return v
}

func (r *Request) signIn() string {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet || r.fromScript() {
		next = "/"
		if u := r.CurrentURL(); u != nil {
			next = u.RequestURI()
		}
	}
	if next == "/" {
		return r.rt.cfg.SignInPath
	}
	return r.rt.cfg.SignInPath + "?next=" + url.QueryEscape(next)
}

// fail logs err once if it is ours and tells the person.
func (r *Request) fail(err error) {
	if r.Context().Err() != nil && errors.Is(err, r.Context().Err()) && r.w.status == 0 {
		r.w.status = 499 // the reader has gone; nobody to tell
		return
	}
	switch {
	case fault.Is(err, fault.Unavailable):
		r.rt.cfg.Log.Warn("web: not now", "ref", r.Ref, "route", r.Route(), "actor", r.actorName(), "err", err)
	case Status(err) >= http.StatusInternalServerError:
		r.rt.cfg.Log.Error("web: request failed", "ref", r.Ref, "route", r.Route(), "actor", r.actorName(), "err", err)
	}
	if r.w.wrote() {
		return // too late to say anything else
	}
	r.show(err)
}

func (r *Request) show(err error) { r.render(r.errorView(err)) }

func (r *Request) render(v ErrorView) {
	w := r.w
	w.Header().Set("Cache-Control", "no-store")
	if v.Away != nil {
		w.Header().Set("Retry-After", comeBack)
		if v.Away.Look != "" && !r.fromScript() && strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Refresh", comeBack) // the page comes back by itself
		}
	}
	switch {
	case r.wantsJSON():
		WriteJSONError(w, v)
	case v.SignIn != "" && r.fromScript():
		w.Header().Set("HX-Redirect", v.SignIn)
		w.WriteHeader(http.StatusUnauthorized)
	case v.SignIn != "" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r.Request, v.SignIn, http.StatusSeeOther)
	case r.rt.cfg.Shell != nil && !strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		r.rt.cfg.Shell.RenderError(w, r, v)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(v.Status)
		_, _ = w.Write([]byte(v.Title + "\n" + v.Message + "\n" + v.Ref + "\n"))
	}
}

func (r *Request) wantsJSON() bool {
	if r.opts != nil && r.opts.json || strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	a := r.Header.Get("Accept")
	return strings.Contains(a, "application/json") && !strings.Contains(a, "text/html")
}

// WriteJSONError answers with v as a [Problem].
func WriteJSONError(w http.ResponseWriter, v ErrorView) {
	if v.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(v.Status)
	p := Problem{v.Title, v.Status, v.Code, v.Message, v.Message, v.Fields, v.Ref}
	if len(v.Extra) == 0 {
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	m := map[string]any{}
	b, _ := json.Marshal(p)
	_ = json.Unmarshal(b, &m)
	for k, x := range v.Extra {
		m[k] = x
	}
	_ = json.NewEncoder(w).Encode(m)
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
	return nil
}
