// Package number gives customers, tickets and whatever else people speak about
// on the telephone their numbers. An administrator writes a template such as
// C{yyyyMMdd}{4}: plain text, parts of the date in the company's time zone, and
// one counter that has at least so many digits and begins anew with every new
// date (CUS-3, TKT-4).
//
// What always holds: a number is given once, however many people register at
// the same time, on either engine; a number of a transaction that failed may be
// given again, so the sequence has no gaps.
package number

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
)

// Zone is where the company's days begin.
var Zone = time.FixedZone("Asia/Shanghai", 8*3600)

const (
	maxLength = 40 // characters of a template
	maxDigits = 9
)

// Template is a parsed template. The zero value is not usable; see Parse.
type Template struct {
	before, after []part
	digits        int
}

type part struct {
	text   string
	layout string // of time.Format; then text is empty
}

// Parse reads a template. The fault says what is wrong with it.
func Parse(s string) (Template, error) {
	var t Template
	if s = strings.TrimSpace(s); s == "" || utf8.RuneCountInString(s) > maxLength {
		return t, fault.Invalidf("number.template.length", maxLength)
	}
	add := func(p part) {
		if t.digits == 0 {
			t.before = append(t.before, p)
		} else {
			t.after = append(t.after, p)
		}
	}
	for rest := s; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if text := rest[:open]; text != "" {
			if strings.ContainsFunc(text, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./", r)
			}) {
				return t, fault.Invalidf("number.template.text", text)
			}
			add(part{text: text})
		}
		if rest = rest[open:]; rest == "" {
			break
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return t, fault.Invalidf("number.template.brace")
		}
		word := rest[1:end]
		rest = rest[end+1:]
		if n, err := strconv.Atoi(word); err == nil {
			if n < 1 || n > maxDigits {
				return t, fault.Invalidf("number.template.digits", maxDigits)
			}
			if t.digits != 0 {
				return t, fault.Invalidf("number.template.counter")
			}
			t.digits = n
			continue
		}
		layout, ok := dateLayout(word)
		if !ok {
			return t, fault.Invalidf("number.template.word", "{"+word+"}")
		}
		add(part{layout: layout})
	}
	if t.digits == 0 {
		return t, fault.Invalidf("number.template.counter")
	}
	return t, nil
}

// dateLayout turns yyyyMMdd, yyMM, yyyy-MM … into a layout of time.Format.
func dateLayout(word string) (string, bool) {
	layout := strings.NewReplacer("yyyy", "2006", "yy", "06", "MM", "01", "dd", "02").Replace(word)
	ok := layout != word && !strings.ContainsFunc(layout, func(r rune) bool {
		return !unicode.IsDigit(r) && !strings.ContainsRune("-_./", r)
	})
	return layout, ok && !strings.ContainsAny(word, "0123456789")
}

// Example returns the first number of the day of at, to be shown while the
// template is typed.
func (t Template) Example(at time.Time) string { return t.format(at, 1) }

func (t Template) format(at time.Time, n int64) string {
	var b strings.Builder
	t.write(&b, t.before, at)
	fmt.Fprintf(&b, "%0*d", t.digits, n)
	t.write(&b, t.after, at)
	return b.String()
}

// series is what numbers of one counter have in common.
func (t Template) series(at time.Time) string {
	var b strings.Builder
	t.write(&b, t.before, at)
	b.WriteByte('#')
	t.write(&b, t.after, at)
	return b.String()
}

func (t Template) write(b *strings.Builder, parts []part, at time.Time) {
	for _, p := range parts {
		if p.layout != "" {
			b.WriteString(at.In(Zone).Format(p.layout))
		} else {
			b.WriteString(p.text)
		}
	}
}

// Next returns the next number of the counter name ("customer") under template.
// On PostgreSQL the counter stays locked until tx ends: take the number late.
func Next(ctx context.Context, tx *db.Tx, name, template string, at time.Time) (string, error) {
	ns, err := Block(ctx, tx, name, template, at, 1)
	if err != nil {
		return "", err
	}
	return ns[0], nil
}

// Block returns the next n numbers with one step of the counter, for imports.
func Block(ctx context.Context, tx *db.Tx, name, template string, at time.Time, n int) ([]string, error) {
	t, err := Parse(template)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, nil
	}
	var last int64
	err = tx.QueryRow(ctx, `
		INSERT INTO counters (name, n) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n
		RETURNING n`, name+":"+t.series(at), n).Scan(&last)
	if err != nil {
		return nil, fmt.Errorf("number: next %s: %w", name, err)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = t.format(at, last-int64(n-1-i))
	}
	return out, nil
}

// Setting returns the template an administrator has set under the name
// ("customer.number_template"), or def when he has not.
func Setting(ctx context.Context, q db.Querier, name, def string) (string, error) {
	var s string
	if err := setting.Read(ctx, q, name, &s); err != nil {
		return "", err
	}
	if s == "" {
		return def, nil
	}
	return s, nil
}
