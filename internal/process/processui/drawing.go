package processui

import (
	"fmt"
	"html/template"
	"strings"
	"unicode/utf8"

	"bihuan/internal/i18n"
	"bihuan/internal/process"
)

// look is how a drawing is meant.
type look struct {
	Lang    i18n.Lang
	Words   process.Words
	Href    func(stage string) string // where a box leads; nil: nowhere
	Current string                    // stage to point out
	Done    map[string]bool           // stages a ticket has been through
	Bad     map[string]bool           // stages with a problem
}

// draw is the definition twice: across for wide screens, downwards for narrow
// ones; the stylesheet shows one of them.
func draw(d *process.Definition, l look) template.HTML {
	if len(d.Stages) == 0 {
		return ""
	}
	return template.HTML(`<div class="pd across xscroll" tabindex="0" role="region" aria-label="` + esc(i18n.T(l.Lang, "process.drawing")) + `">` + l.svg(d, false) + `</div><div class="pd downwards xscroll" tabindex="0" role="region" aria-label="` + esc(i18n.T(l.Lang, "process.drawing")) + `">` + l.svg(d, true) + `</div>`)
}

func esc(s string) string { return template.HTMLEscapeString(s) }

func (l look) svg(d *process.Definition, down bool) string {
	x := d.Draw(down)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%d" height="%d" viewBox="0 0 %d %d" role="group" aria-label="%s">`, x.W, x.H, x.W, x.H, esc(i18n.T(l.Lang, "process.drawing")))
	for _, ln := range x.Lines {
		if ln.Back {
			l.line(&b, ln, down)
		}
	}
	for _, ln := range x.Lines {
		if !ln.Back {
			l.line(&b, ln, down)
		}
	}
	for _, bx := range x.Boxes {
		l.box(&b, d, bx)
	}
	for _, ln := range x.Lines {
		l.label(&b, ln)
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// line is the curve of a step and its head.
func (l look) line(b *strings.Builder, ln process.Line, down bool) {
	class := "ln"
	if ln.Back {
		class += " rev"
	}
	ps := ln.Points
	fmt.Fprintf(b, `<path class="%s" d="M%d %d`, class, ps[0].X, ps[0].Y)
	if ln.Back {
		const r = 8
		for i := 1; i < len(ps); i++ {
			if i == len(ps)-1 {
				fmt.Fprintf(b, ` L%d %d`, ps[i].X, ps[i].Y)
				break
			}
			in, out := towards(ps[i], ps[i-1], r), towards(ps[i], ps[i+1], r)
			fmt.Fprintf(b, ` L%d %d Q%d %d %d %d`, in.X, in.Y, ps[i].X, ps[i].Y, out.X, out.Y)
		}
	} else {
		for i := 1; i < len(ps); i++ {
			p, q := ps[i-1], ps[i]
			switch {
			case i%2 == 0:
				fmt.Fprintf(b, ` L%d %d`, q.X, q.Y)
			case down:
				m := (p.Y + q.Y) / 2
				fmt.Fprintf(b, ` C%d %d %d %d %d %d`, p.X, m, q.X, m, q.X, q.Y)
			default:
				m := (p.X + q.X) / 2
				fmt.Fprintf(b, ` C%d %d %d %d %d %d`, m, p.Y, m, q.Y, q.X, q.Y)
			}
		}
	}
	b.WriteString(`"/>`)
	e := ps[len(ps)-1]
	dx, dy := 1, 0 // the way the head points
	switch {
	case ln.Back && down:
		dx, dy = -1, 0
	case ln.Back:
		dx, dy = 0, -1
	case down:
		dx, dy = 0, 1
	}
	fmt.Fprintf(b, `<path class="hd%s" d="M%d %d L%d %d L%d %d Z"/>`, strings.TrimPrefix(class, "ln"), e.X, e.Y, e.X-8*dx+4*dy, e.Y-8*dy+4*dx, e.X-8*dx-4*dy, e.Y-8*dy-4*dx)
}

// towards is the point r from a on the way to b; the way is straight up, down,
// left or right.
func towards(a, b process.Point, r int) process.Point {
	step := func(from, to int) int {
		switch {
		case to > from:
			return from + min(r, (to-from)/2)
		case to < from:
			return from - min(r, (from-to)/2)
		}
		return from
	}
	return process.Point{X: step(a.X, b.X), Y: step(a.Y, b.Y)}
}

func (l look) label(b *strings.Builder, ln process.Line) {
	name := ln.Move.In(l.Lang)
	fmt.Fprintf(b, `<text class="lb" x="%d" y="%d" text-anchor="middle">%s<title>%s</title></text>`, ln.Label.X, ln.Label.Y+4, esc(fit(name, 98, 11)), esc(name))
}

func (l look) box(b *strings.Builder, d *process.Definition, bx process.Box) {
	s := bx.Stage
	class := "bx"
	switch {
	case s.Code == l.Current:
		class += " cur"
	case l.Done[s.Code]:
		class += " done"
	}
	if l.Bad[s.Code] {
		class += " bad"
	}
	open, end := `<g class="`+class+`">`, `</g>`
	if l.Href != nil {
		open, end = `<a class="`+class+`" href="`+esc(l.Href(s.Code))+`">`, `</a>`
	}
	b.WriteString(open)
	var facts []string
	if s.Department != 0 {
		facts = append(facts, l.Words.Department(s.Department))
	}
	limit := ""
	if s.Minutes > 0 {
		limit = i18n.Duration(l.Lang, s.Limit())
		facts = append(facts, limit)
	}
	fmt.Fprintf(b, `<title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="8"/>`, esc(strings.Join(append([]string{s.In(l.Lang)}, facts...), " · ")), bx.X, bx.Y, bx.W, bx.H)
	if s.Final {
		fmt.Fprintf(b, `<rect class="in" x="%d" y="%d" width="%d" height="%d" rx="5"/>`, bx.X+3, bx.Y+3, bx.W-6, bx.H-6)
	}
	mid := bx.X + bx.W/2
	lines := wrap(s.In(l.Lang), bx.W-22, 13)
	y := bx.Y + 28
	if len(lines) > 1 {
		y = bx.Y + 22
	}
	if len(facts) == 0 {
		y += 9
	}
	for i, t := range lines {
		fmt.Fprintf(b, `<text class="nm" x="%d" y="%d" text-anchor="middle">%s</text>`, mid, y+i*17, esc(t))
	}
	if len(facts) > 0 {
		fmt.Fprintf(b, `<text class="ft" x="%d" y="%d" text-anchor="middle">%s</text>`, mid, y+len(lines)*17+4, esc(fit(strings.Join(facts, " · "), bx.W-18, 11)))
	}
	mark := ""
	switch {
	case s.Code == d.Start && s.Final:
		mark = i18n.T(l.Lang, "process.mark.start") + " · " + i18n.T(l.Lang, "process.mark.final")
	case s.Code == d.Start:
		mark = i18n.T(l.Lang, "process.mark.start")
	case s.Final:
		mark = i18n.T(l.Lang, "process.mark.final")
	}
	if mark != "" {
		w := width(mark, 10) + 10
		fmt.Fprintf(b, `<rect class="mk" x="%d" y="%d" width="%d" height="15" rx="4"/><text class="mt" x="%d" y="%d">%s</text>`, bx.X+8, bx.Y-8, w, bx.X+13, bx.Y+3, esc(mark))
	}
	b.WriteString(end)
}

// width is about how wide text is at a size of font.
func width(text string, size int) (w int) {
	for _, r := range text {
		if r < 0x2e80 {
			w += size * 57 / 100
		} else {
			w += size
		}
	}
	return w
}

// fit cuts text that is wider than room.
func fit(text string, room, size int) string {
	if width(text, size) <= room {
		return text
	}
	for len(text) > 0 && width(text+"…", size) > room {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return strings.TrimSpace(text) + "…"
}

// wrap breaks text into at most two lines.
func wrap(text string, room, size int) []string {
	if width(text, size) <= room {
		return []string{text}
	}
	cut, last := 0, 0
	for i, r := range text {
		if width(text[:i], size) > room {
			break
		}
		last = i
		if r == ' ' || r >= 0x2e80 {
			cut = i
		}
	}
	if cut == 0 {
		cut = last
	}
	return []string{strings.TrimSpace(text[:cut]), fit(strings.TrimSpace(text[cut:]), room, size)}
}
