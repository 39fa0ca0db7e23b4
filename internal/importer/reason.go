package importer

import (
	"encoding/json"
	"fmt"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Reason is a sentence about a row, kept so that it can be said in any language.
type Reason struct {
	Key  string
	Args []any
}

func because(key string, args ...any) Reason { return Reason{key, args} }

// Say returns the sentence.
func (r Reason) Say(l i18n.Lang) string { return i18n.T(l, r.Key, r.Args...) }

type storedReason struct {
	Key  string      `json:"k"`
	Args []storedArg `json:"a,omitempty"`
}

type storedArg struct {
	Text string `json:"t,omitempty"`
	Key  string `json:"k,omitempty"` // a locale key itself
}

// MarshalJSON implements json.Marshaler.
func (r Reason) MarshalJSON() ([]byte, error) {
	s := storedReason{Key: r.Key}
	for _, a := range r.Args {
		if k, ok := a.(i18n.Key); ok {
			s.Args = append(s.Args, storedArg{Key: string(k)})
		} else {
			s.Args = append(s.Args, storedArg{Text: fmt.Sprint(a)})
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Reason) UnmarshalJSON(b []byte) error {
	var s storedReason
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	r.Key, r.Args = s.Key, nil
	for _, a := range s.Args {
		if a.Key != "" {
			r.Args = append(r.Args, i18n.Key(a.Key))
		} else {
			r.Args = append(r.Args, a.Text)
		}
	}
	return nil
}

// reasonsOf are the sentences of an error meant for people; nil for any other.
func reasonsOf(err error) []Reason {
	e, ok := fault.As(err)
	if !ok {
		return nil
	}
	if len(e.Fields) == 0 {
		return []Reason{{e.Key, e.Args}}
	}
	var out []Reason
	for _, f := range e.Fields {
		out = append(out, Reason{f.Key, f.Args})
	}
	return out
}

// say joins the sentences about a row.
func say(l i18n.Lang, rs []Reason) string {
	var b strings.Builder
	for i, r := range rs {
		if i > 0 {
			b.WriteString(i18n.T(l, "importer.semicolon"))
		}
		b.WriteString(strings.TrimRight(r.Say(l), "。."))
	}
	return b.String()
}

// Result is what became of a row.
type Result string

const (
	Imported Result = "imported"
	Warned   Result = "warned"  // taken in, with something to look at
	Skipped  Result = "skipped" // there already
	Refused  Result = "failed"
)

// Key is the locale key of the result.
func (r Result) Key() string { return "importer.result." + string(r) }

// Line is the outcome of one row of the table.
type Line struct {
	Line    int
	Result  Result
	Reasons []Reason
}

// Say is why, in the reader's language.
func (l Line) Say(lang i18n.Lang) string { return say(lang, l.Reasons) }

// Counts of an import. Imported includes those with a warning.
type Counts struct {
	Rows     int `json:"rows"`
	Imported int `json:"imported"`
	Warned   int `json:"warned,omitempty"`
	Skipped  int `json:"skipped,omitempty"`
	Failed   int `json:"failed,omitempty"`
	Total    int `json:"total,omitempty"` // rows of the table, once it has been read to its end
}

func (c *Counts) add(lines []Line) {
	for _, l := range lines {
		c.Rows++
		switch l.Result {
		case Warned:
			c.Warned++
			c.Imported++
		case Imported:
			c.Imported++
		case Skipped:
			c.Skipped++
		case Refused:
			c.Failed++
		}
	}
}

// Percent is how much of the table is done; 0 while its length is not known.
func (c Counts) Percent() int {
	if c.Total == 0 {
		return 0
	}
	return min(100, c.Rows*100/c.Total)
}
