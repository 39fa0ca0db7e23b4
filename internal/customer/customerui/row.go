package customerui

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/i18n"
	"bihuan/internal/web/ui"
)

// table draws the rows of the list. It is drawn anew with every key that is typed
// into its search, so it is put together here and not by a template.
type table struct {
	strings.Builder
	columns []customer.Column
	tick    bool // rows can be chosen for what is done with many
	lang    i18n.Lang
}

func drawRows(l i18n.Lang, columns []customer.Column, tick bool, found []customer.Found, lines []customer.Line) template.HTML {
	t := table{columns: columns, tick: tick, lang: l}
	t.Grow(1100 * len(found))
	for i := range found {
		t.row(&found[i], &lines[i])
	}
	return template.HTML(t.String())
}

// row draws one customer. A cell that screens without headings show with its name
// has that in data-l.
func (b *table) row(r *customer.Found, line *customer.Line) {
	put := func(ss ...string) {
		for _, s := range ss {
			b.WriteString(s)
		}
	}
	text := func(s string) { b.WriteString(ui.Escape(s)) }
	word := func(prefix, code string) string { return i18n.T(b.lang, prefix+code) }
	id := strconv.FormatInt(r.ID, 10)
	put(`<tr id="c`, id, `">`)
	if b.tick {
		put(`<td><input type="checkbox" name="id" value="`, id, `" aria-label="`, ui.Escape(r.Name), `"></td>`)
	}
	for _, c := range b.columns {
		code := c.Code
		if c.Custom() {
			code = ""
		}
		switch code {
		case "name":
			put(`<td class="wrap"><a href="/customers/`, id, `">`)
			text(r.Name)
			put(`</a>`)
			if r.By != "" {
				put(" ", string(ui.Badge("gray", word("customer.match.", r.By))))
			}
			put(`<p class="mut"><span class="no">`)
			text(r.Number)
			put(`</span> · `)
			text(word("customer.type.", string(r.Type)))
			if r.Source != "" {
				put(` · `)
				text(word("customer.source.", r.Source))
			}
			put(`</p>`)
			if len(r.Tags) > 0 {
				put(`<p class="tags">`, tags(r.Tags), `</p>`)
			}
			put(`</td>`)
		case "contact":
			put(`<td>`)
			if p := r.Primary(); p.ID != 0 {
				text(p.Name)
				if p.Gender != "" {
					put(" ")
					text(word("customer.gender.", p.Gender))
				}
				put(`<p class="mut">`)
				text(p.Phone)
				put(`</p>`)
			}
			put(`</td>`)
		case "level":
			put(`<td>`, string(ui.Level(ui.Tone(string(r.Level)), word("customer.level.", string(r.Level)))), `</td>`)
		case "grade":
			put(`<td>`)
			if r.Grade != "" {
				put(string(ui.Badge(ui.Tone(r.Grade), word("customer.grade.", r.Grade))))
			}
			put(`</td>`)
		case "stage":
			put(`<td>`)
			if r.Stage != "" {
				put(string(ui.State(ui.Tone(r.Stage), word("customer.stage.", r.Stage))))
			}
			put(`</td>`)
		case "tags":
			put(`<td>`)
			if len(r.Tags) > 0 {
				put(`<span class="tags">`, tags(r.Tags), `</span>`)
			}
			put(`</td>`)
		case "owner":
			put(`<td>`)
			text(r.OwnerName)
			put(`<p class="mut">`)
			text(r.DepartmentName)
			put(`</p></td>`)
		case "open_tickets":
			put(`<td class="n" data-l="`, ui.Escape(i18n.T(b.lang, "customer.tickets.open")), `">`, ui.Num(r.OpenTickets), ` / `, ui.Num(r.TotalTickets), `</td>`)
		case "verify":
			b.time(c, ui.DateTag(r.VerifyAt))
		case "planned":
			b.time(c, ui.DateTag(r.PlannedAt))
		default:
			b.cell(line, c)
		}
	}
	put("</tr>\n")
}

func tags(list []customer.Tag) string {
	var b strings.Builder
	for _, t := range list {
		b.WriteString(string(ui.Badge(t.Colour, t.Name)))
	}
	return b.String()
}

func (b *table) time(c customer.Column, tag template.HTML) {
	b.WriteString(`<td data-l="` + ui.Escape(c.Label) + `">` + string(tag) + `</td>`)
}

// cell draws a column that has no look of its own.
func (b *table) cell(line *customer.Line, c customer.Column) {
	var s, href string
	switch v := c.Value(line).(type) {
	case string:
		s = v
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		b.time(c, ui.AgoTag(v))
		return
	}
	if c.Custom() {
		s = c.Text(line)
	}
	if c.Link() {
		href = link(s)
	}
	b.WriteString(`<td`)
	if c.Right {
		b.WriteString(` class="n"`)
	}
	if s != "" {
		b.WriteString(` data-l="` + ui.Escape(c.Label) + `"`)
	}
	b.WriteString(`>`)
	s = ui.Escape(s)
	if href != "" {
		b.WriteString(`<a href="` + ui.Escape(href) + `" rel="noopener noreferrer" target="_blank">` + s + `</a>`)
	} else {
		b.WriteString(`<span class="clipped" title="` + s + `">` + s + `</span>`)
	}
	b.WriteString(`</td>`)
}

// link is s if it leads to a page on the web, else "": what somebody typed must
// not run when it is clicked.
func link(s string) string {
	if low := strings.ToLower(s); strings.HasPrefix(low, "http://") || strings.HasPrefix(low, "https://") {
		return s
	}
	return ""
}
