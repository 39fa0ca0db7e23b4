package web

import (
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Form is what a person typed, read into types field by field, together with
// what is wrong with it. Templates draw it again as it was typed, with each
// message at its field. A nil Form is an empty one.
//
//	f := r.Input()
//	in := customer.New{Name: f.Required("name"), Due: f.Date("due")}
//	err := f.Err()
//	if err == nil { err = service.Create(…, in) }
//	if err != nil { return page.Invalid(w, r, err, f, chrome, view) }
type Form struct {
	Values  url.Values
	Errors  map[string]string // by field, in the reader's language
	Summary string            // what is wrong with the whole; "" when only fields are
	Files   map[string][]*multipart.FileHeader

	lang i18n.Lang
	loc  *time.Location
	err  *fault.Error
}

var errMalformed = errors.New("web: malformed form")

// memory a multipart form may take before its files go to disk.
const multipartMemory = 4 << 20

// Input reads the form: the body of a POST, the query of a GET. Each reader of
// a field collects its complaint; [Form.Err] returns them together.
func (r *Request) Input() *Form {
	f := &Form{lang: r.Lang, loc: r.Location()}
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(multipartMemory)
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			f.err = tooLarge(big)
		} else {
			f.err = fault.Invalidf("ui.error.malformed").Wrap(fmt.Errorf("%w: %w", errMalformed, err))
		}
		f.Values = url.Values{}
		return f
	}
	f.Values = r.Request.Form
	if r.MultipartForm != nil {
		f.Files = r.MultipartForm.File
	}
	return f
}

// Blank returns an empty form for a page's first show; pairs are field names
// and the values they begin with.
func (r *Request) Blank(pairs ...string) *Form {
	f := &Form{Values: url.Values{}, lang: r.Lang, loc: r.Location()}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values.Add(pairs[i], pairs[i+1])
	}
	return f
}

// Set puts a value into a form that is about to be shown.
func (f *Form) Set(name string, value any) *Form {
	f.Values.Set(name, fmt.Sprint(value))
	return f
}

// Fail adds a message at a field.
func (f *Form) Fail(name, key string, args ...any) {
	if f.err == nil {
		f.err = fault.Invalidf("ui.form.invalid")
	}
	f.err.Field(name, key, args...)
}

// Err returns nil, or all complaints of the readers as one fault.
func (f *Form) Err() error {
	if f.err == nil {
		return nil
	}
	return f.err
}

// Explain puts what err says at the fields and into the summary. It reports
// false when err is nothing a person could correct in this form.
func (f *Form) Explain(err error) bool {
	e, ok := fault.As(err)
	if !ok || (e.Kind != fault.Invalid && e.Kind != fault.Conflict && e.Kind != fault.Limited) {
		return false
	}
	if f.Errors == nil {
		f.Errors = map[string]string{}
	}
	for _, fe := range e.Fields {
		if f.Errors[fe.Field] == "" {
			f.Errors[fe.Field] = i18n.T(f.lang, fe.Key, fe.Args...)
		}
	}
	if e.Key != "" {
		f.Summary = i18n.T(f.lang, e.Key, e.Args...)
	}
	return true
}

// Has reports whether the field was sent at all.
func (f *Form) Has(name string) bool { return f != nil && f.Values.Has(name) }

// Get returns the field as it was typed.
func (f *Form) Get(name string) string {
	if f == nil {
		return ""
	}
	return f.Values.Get(name)
}

// Error returns the message at the field, "" when there is none.
func (f *Form) Error(name string) string {
	if f == nil {
		return ""
	}
	return f.Errors[name]
}

// String returns the field without blanks around it, full-width ones included.
func (f *Form) String(name string) string { return strings.TrimSpace(f.Get(name)) }

// Text returns a field of several lines: line ends are \n, blanks at the end
// are gone.
func (f *Form) Text(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(f.Get(name), "\r\n", "\n"))
}

// Strings returns all values of the field that are not empty.
func (f *Form) Strings(name string) []string {
	if f == nil {
		return nil
	}
	var out []string
	for _, v := range f.Values[name] {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// Required is String, and complains when the field is empty.
func (f *Form) Required(name string) string {
	v := f.String(name)
	if v == "" {
		f.Fail(name, "ui.form.required")
	}
	return v
}

// Limited is String, and complains when it has more than max characters.
func (f *Form) Limited(name string, max int) string {
	v := f.Text(name)
	if n := utf8.RuneCountInString(v); n > max {
		f.Fail(name, "ui.form.too_long", max, n)
	}
	return v
}

// Int returns a whole number, 0 when the field is empty.
func (f *Form) Int(name string) int { return int(f.Int64(name)) }

// Int64 returns a whole number, 0 when the field is empty.
func (f *Form) Int64(name string) int64 {
	v := f.String(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		f.Fail(name, "ui.form.number")
	}
	return n
}

// IntIn is Int, and complains outside of min..max. An empty field is 0 and
// complained about only if 0 is outside.
func (f *Form) IntIn(name string, min, max int) int {
	n := f.Int(name)
	if (n < min || n > max) && (f.err == nil || !f.failed(name)) {
		f.Fail(name, "ui.form.between", min, max)
	}
	return n
}

func (f *Form) failed(name string) bool {
	for _, fe := range f.err.Fields {
		if fe.Field == name {
			return true
		}
	}
	return false
}

// ID returns the number of a record chosen in a list, 0 when none was.
func (f *Form) ID(name string) int64 {
	v := f.String(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		f.Fail(name, "ui.form.choice")
		return 0
	}
	return n
}

// IDs returns the numbers of all records chosen.
func (f *Form) IDs(name string) []int64 {
	var out []int64
	for _, v := range f.Strings(name) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n <= 0 {
			f.Fail(name, "ui.form.choice")
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Bool reports whether a box was ticked.
func (f *Form) Bool(name string) bool {
	switch f.Get(name) {
	case "", "0", "false", "off":
		return false
	}
	return true
}

// Choice returns the field if it is one of allowed, and complains otherwise. An
// empty field is an error unless "" is allowed.
func (f *Form) Choice(name string, allowed ...string) string {
	v := f.Get(name)
	for _, a := range allowed {
		if v == a {
			return v
		}
	}
	if v == "" {
		f.Fail(name, "ui.form.required")
	} else {
		f.Fail(name, "ui.form.choice")
	}
	return ""
}

// Date returns the beginning of a day in the company's time zone; the zero time
// when the field is empty. 2026-11-21, 2026/11/21 and 2026年11月21日 are read.
func (f *Form) Date(name string) time.Time {
	v := f.String(name)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02", "2006/1/2", "2006.1.2", "2006年1月2日", "20060102"} {
		if t, err := time.ParseInLocation(layout, v, f.zone()); err == nil {
			return t.UTC()
		}
	}
	f.Fail(name, "ui.form.date")
	return time.Time{}
}

// DateTime returns an instant typed in the company's time zone; the zero time
// when the field is empty.
func (f *Form) DateTime(name string) time.Time {
	v := f.String(name)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006/1/2 15:04", "2006年1月2日 15:04"} {
		if t, err := time.ParseInLocation(layout, v, f.zone()); err == nil {
			return t.UTC()
		}
	}
	f.Fail(name, "ui.form.datetime")
	return time.Time{}
}

func (f *Form) zone() *time.Location {
	if f.loc == nil {
		return Shanghai
	}
	return f.loc
}

// Cents returns an amount of money in hundredths, 0 when the field is empty.
// Thousands separators and a ¥ in front are read.
func (f *Form) Cents(name string) int64 {
	v := strings.NewReplacer(",", "", "，", "", "¥", "", "￥", "", " ", "").Replace(f.String(name))
	if v == "" {
		return 0
	}
	neg := strings.HasPrefix(v, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(v, "-"), ".")
	for len(frac) < 2 {
		frac += "0"
	}
	n, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil || len(frac) > 2 || n < 0 {
		f.Fail(name, "ui.form.money")
		return 0
	}
	if neg {
		return -n
	}
	return n
}

// File returns the first file of the field, nil when none was chosen.
func (f *Form) File(name string) *multipart.FileHeader {
	if f == nil || len(f.Files[name]) == 0 || f.Files[name][0].Size == 0 {
		return nil
	}
	return f.Files[name][0]
}
