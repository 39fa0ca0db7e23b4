package knowledge

import (
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Articles are written in a small part of Markdown: headings, lists, quotations,
// tables, code, bold, italic, struck out, links and pictures. Everything else is
// text; nothing that was typed becomes a tag of its own.

// filePath is how a text names a file of the article.
const filePath = "/files/"

var fileRef = regexp.MustCompile(`/files/(\d+)`)

// refers reports whether the body names file id.
func refers(body string, id int64) bool {
	want := strconv.FormatInt(id, 10)
	for _, m := range fileRef.FindAllStringSubmatch(body, -1) {
		if m[1] == want {
			return true
		}
	}
	return false
}

// HTML draws body. Its pictures and files are fetched under base, "" for the
// staff's pages: /help makes /files/7 into /help/files/7.
func HTML(body, base string) template.HTML {
	d := drawing{base: base, level: 1}
	lines := strings.Split(strings.ReplaceAll(body, "\r\n", "\n"), "\n")
	d.top = 4
	for _, l := range lines {
		if m := headingLine.FindStringSubmatch(l); m != nil {
			d.top = min(d.top, len(m[1]))
		}
	}
	d.blocks(lines, 0)
	return template.HTML(d.out.String())
}

type drawing struct {
	out  strings.Builder
	base string
	// The title of the page is h1: the highest headings of a text (top) are h2
	// however many signs they were given, and none is left out below level.
	top, level int
}

var (
	headingLine = regexp.MustCompile(`^(#{1,4})\s+(.+?)\s*#*$`)
	bulletLine  = regexp.MustCompile(`^(\s*)([-*+]|\d{1,3}[.)、])\s+(.*)$`)
	ruleLine    = regexp.MustCompile(`^\s*([-*_])(\s*[-*_]){2,}\s*$`)
	tableRule   = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$`)
	fenceLine   = regexp.MustCompile("^\\s*```")
)

// maxNesting bounds lists and quotations within each other.
const maxNesting = 6

func (d *drawing) blocks(lines []string, depth int) {
	for i := 0; i < len(lines); {
		line := lines[i]
		switch {
		case strings.TrimSpace(line) == "":
			i++
		case fenceLine.MatchString(line):
			end := i + 1
			for end < len(lines) && !fenceLine.MatchString(lines[end]) {
				end++
			}
			d.out.WriteString(`<pre tabindex="0"><code>` + html.EscapeString(strings.Join(lines[i+1:min(end, len(lines))], "\n")) + "</code></pre>\n")
			i = end + 1
		case headingLine.MatchString(line):
			m := headingLine.FindStringSubmatch(line)
			d.level = max(2, min(len(m[1])-d.top+2, d.level+1, 4))
			tag := "h" + strconv.Itoa(d.level)
			d.out.WriteString("<" + tag + ">")
			d.inline(m[2], 0)
			d.out.WriteString("</" + tag + ">\n")
			i++
		case ruleLine.MatchString(line):
			d.out.WriteString("<hr>\n")
			i++
		case strings.HasPrefix(strings.TrimLeft(line, " "), ">") && depth < maxNesting:
			var in []string
			for i < len(lines) && strings.HasPrefix(strings.TrimLeft(lines[i], " "), ">") {
				in = append(in, strings.TrimPrefix(strings.TrimPrefix(strings.TrimLeft(lines[i], " "), ">"), " "))
				i++
			}
			d.out.WriteString("<blockquote>")
			d.blocks(in, depth+1)
			d.out.WriteString("</blockquote>\n")
		case bulletLine.MatchString(line) && depth < maxNesting:
			i = d.list(lines, i, depth)
		case strings.Contains(line, "|") && i+1 < len(lines) && strings.Contains(lines[i+1], "-") && tableRule.MatchString(lines[i+1]):
			i = d.table(lines, i)
		default:
			d.out.WriteString("<p>")
			for first := true; i < len(lines); i++ {
				l := lines[i]
				if strings.TrimSpace(l) == "" || !first && (fenceLine.MatchString(l) || headingLine.MatchString(l) || bulletLine.MatchString(l) || ruleLine.MatchString(l)) {
					break
				}
				if !first {
					d.out.WriteString("<br>")
				}
				d.inline(strings.TrimSpace(l), 0)
				first = false
			}
			d.out.WriteString("</p>\n")
		}
	}
}

func indent(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

// list draws the list that begins at line i and returns the line behind it. What
// is indented under an item belongs to it.
func (d *drawing) list(lines []string, i, depth int) int {
	first := bulletLine.FindStringSubmatch(lines[i])
	level := len(first[1])
	ordered := first[2][0] >= '0' && first[2][0] <= '9'
	tag := "ul"
	if ordered {
		tag = "ol"
	}
	d.out.WriteString("<" + tag)
	if n, err := strconv.Atoi(strings.TrimRight(first[2], ".)、")); ordered && err == nil && n != 1 {
		d.out.WriteString(` start="` + strconv.Itoa(n) + `"`)
	}
	d.out.WriteString(">")
	for i < len(lines) {
		m := bulletLine.FindStringSubmatch(lines[i])
		if m == nil || len(m[1]) < level || len(m[1]) > level+1 || (m[2][0] >= '0' && m[2][0] <= '9') != ordered {
			break
		}
		d.out.WriteString("<li>")
		d.inline(strings.TrimSpace(m[3]), 0)
		i++
		var in []string
		for i < len(lines) {
			if strings.TrimSpace(lines[i]) == "" {
				if i+1 < len(lines) && indent(lines[i+1]) > level+1 && strings.TrimSpace(lines[i+1]) != "" {
					in = append(in, "")
					i++
					continue
				}
				break
			}
			if indent(lines[i]) <= level+1 {
				break
			}
			in = append(in, strings.TrimPrefix(lines[i], strings.Repeat(" ", level+2)))
			i++
		}
		if len(in) > 0 {
			d.blocks(in, depth+1)
		}
		d.out.WriteString("</li>")
		if i+1 < len(lines) && strings.TrimSpace(lines[i]) == "" && bulletLine.MatchString(lines[i+1]) && len(bulletLine.FindStringSubmatch(lines[i+1])[1]) == level {
			i++ // a blank line between two items
		}
	}
	d.out.WriteString("</" + tag + ">\n")
	return i
}

func cells(line string) []string {
	line = strings.TrimSpace(line)
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	var out []string
	for _, c := range strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|") {
		out = append(out, strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|")))
	}
	return out
}

func (d *drawing) table(lines []string, i int) int {
	head := cells(lines[i])
	row := func(tag string, cs []string) {
		d.out.WriteString("<tr>")
		for j := range head {
			d.out.WriteString("<" + tag + ">")
			if j < len(cs) {
				d.inline(cs[j], 0)
			}
			d.out.WriteString("</" + tag + ">")
		}
		d.out.WriteString("</tr>")
	}
	d.out.WriteString(`<div class="xscroll" tabindex="0" role="group"><table><thead>`)
	row("th", head)
	d.out.WriteString("</thead><tbody>")
	for i += 2; i < len(lines) && strings.Contains(lines[i], "|") && strings.TrimSpace(lines[i]) != ""; i++ {
		row("td", cells(lines[i]))
	}
	d.out.WriteString("</tbody></table></div>\n")
	return i
}

var (
	linkAt  = regexp.MustCompile(`^(!?)\[([^\]\n]{0,300})\]\(\s*<?([^\s<>)]{1,1000})>?\s*\)`)
	plainAt = regexp.MustCompile(`^https?://[^\s<>"'，。；：！？、（）《》【】]+`)
	fileAt  = regexp.MustCompile(`^/files/(\d{1,18})$`)
)

// address returns where a link may lead: into the product, to a page outside, or
// to a mailbox or telephone; "" for everything else.
func (d *drawing) address(a string) string {
	low := strings.ToLower(a)
	switch {
	case fileAt.MatchString(a):
		return d.base + a
	case strings.HasPrefix(a, "/") && !strings.HasPrefix(a, "//") && !strings.Contains(a, `\`), strings.HasPrefix(low, "https://"), strings.HasPrefix(low, "http://"), strings.HasPrefix(low, "mailto:"), strings.HasPrefix(low, "tel:"):
		return a
	}
	return ""
}

func (d *drawing) anchor(addr, text string, depth int) {
	d.out.WriteString(`<a href="` + html.EscapeString(addr) + `"`)
	if strings.HasPrefix(strings.ToLower(addr), "http") {
		d.out.WriteString(` target="_blank" rel="noopener noreferrer nofollow"`)
	}
	d.out.WriteString(">")
	if text == "" {
		text = addr
	}
	d.inline(text, depth+1)
	d.out.WriteString("</a>")
}

func (d *drawing) inline(s string, depth int) {
	text := func(t string) { d.out.WriteString(html.EscapeString(t)) }
	if depth > maxNesting {
		text(s)
		return
	}
	plain := 0
	flush := func(i int) { text(s[plain:i]) }
	for i := 0; i < len(s); {
		rest := s[i:]
		switch c := s[i]; {
		case c == '\\' && len(rest) > 1 && strings.IndexByte("\\`*_~[]()#!|>-+.", rest[1]) >= 0:
			flush(i)
			text(rest[1:2])
			i += 2
			plain = i
			continue
		case c == '`':
			n := 1
			for n < len(rest) && rest[n] == '`' {
				n++
			}
			if end := strings.Index(rest[n:], rest[:n]); end > 0 {
				flush(i)
				d.out.WriteString("<code>")
				text(rest[n : n+end])
				d.out.WriteString("</code>")
				i += n + end + n
				plain = i
				continue
			}
			i += n
			continue
		case c == '[' || c == '!':
			if m := linkAt.FindStringSubmatch(rest); m != nil {
				addr := d.address(m[3])
				switch {
				case addr == "":
				case m[1] == "!" && fileAt.MatchString(m[3]):
					flush(i)
					d.out.WriteString(`<img src="` + html.EscapeString(addr) + `" alt="` + html.EscapeString(m[2]) + `" loading="lazy">`)
					i += len(m[0])
					plain = i
					continue
				default: // a picture from elsewhere would tell there who reads this
					flush(i)
					d.anchor(addr, m[2], depth)
					i += len(m[0])
					plain = i
					continue
				}
			}
		case c == 'h':
			if m := plainAt.FindString(rest); m != "" && (i == 0 || !isWord(s[i-1])) {
				m = strings.TrimRight(m, ".,;:!?*_~)")
				flush(i)
				d.out.WriteString(`<a href="` + html.EscapeString(m) + `" target="_blank" rel="noopener noreferrer nofollow">` + html.EscapeString(m) + "</a>")
				i += len(m)
				plain = i
				continue
			}
		case c == '*' || c == '~' || c == '_':
			if n, in, tag := marked(s, i); tag != "" {
				flush(i)
				d.out.WriteString("<" + tag + ">")
				d.inline(in, depth+1)
				d.out.WriteString("</" + tag + ">")
				i += n
				plain = i
				continue
			}
		}
		i++
	}
	flush(len(s))
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// marked reads **bold**, *italic*, _italic_ or ~~struck out~~ at i. Chinese is
// written without blanks around it, so punctuation beside the marks is no matter.
func marked(s string, i int) (length int, in, tag string) {
	for _, m := range []struct{ mark, tag string }{{"**", "strong"}, {"__", "strong"}, {"~~", "s"}, {"*", "em"}, {"_", "em"}} {
		rest, ok := strings.CutPrefix(s[i:], m.mark)
		if !ok || rest == "" || unicode.IsSpace([]rune(rest)[0]) {
			continue
		}
		if m.mark[0] == '_' && i > 0 && isWord(s[i-1]) {
			continue
		}
		for from := 0; ; {
			end := strings.Index(rest[from:], m.mark)
			if end < 0 {
				break
			}
			end += from
			behind := end + len(m.mark)
			good := end > 0 && !strings.HasSuffix(rest[:end], " ") && rest[end-1] != '\\'
			if len(m.mark) == 1 && behind < len(rest) && rest[behind] == m.mark[0] {
				good = false
			}
			if m.mark[0] == '_' && behind < len(rest) && isWord(rest[behind]) {
				good = false
			}
			if good {
				return len(m.mark) + behind, rest[:end], m.tag
			}
			from = behind
		}
	}
	return 0, "", ""
}

var (
	lineMarks = regexp.MustCompile(`(?m)^\s*(#{1,4}\s+|>\s?|[-*+]\s+)`)
	tableLine = regexp.MustCompile(`(?m)^\s*\|?\s*:?-{2,}.*$`)
	anyLink   = regexp.MustCompile(`!?\[([^\]\n]*)\]\(([^)\s]*)\)`)
	softMarks = strings.NewReplacer("**", "", "__", "", "~~", "", "```", "", "`", "")
	manyLines = regexp.MustCompile(`\n{3,}`)
)

// Plain is body without its marks, as it is found and put into a message.
func Plain(body string) string {
	s := anyLink.ReplaceAllStringFunc(body, func(l string) string {
		m := anyLink.FindStringSubmatch(l)
		if strings.HasPrefix(l, "!") || m[2] == "" || strings.HasPrefix(m[2], "/") || m[1] == m[2] {
			if strings.HasPrefix(l, "!") {
				return ""
			}
			return m[1]
		}
		return m[1] + " " + m[2]
	})
	s = tableLine.ReplaceAllString(s, "")
	s = lineMarks.ReplaceAllStringFunc(s, func(m string) string {
		if t := strings.TrimSpace(m); t == "-" || t == "*" || t == "+" {
			return strings.Repeat(" ", indent(m)) + "· "
		}
		return ""
	})
	var lines []string
	for _, l := range strings.Split(softMarks.Replace(s), "\n") {
		if t := strings.TrimSpace(l); strings.HasPrefix(t, "|") {
			l = strings.Join(cells(t), "  ")
		}
		lines = append(lines, strings.TrimRight(l, " "))
	}
	return strings.TrimSpace(manyLines.ReplaceAllString(strings.Join(lines, "\n"), "\n\n"))
}
