package eml

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is a mail as far as it could be read.
type Message struct {
	From     Address   // who wrote it; of a mail that was sent on by a program, whoever it names
	Sender   Address   // who handed it in, when that is somebody else
	ReplyTo  []Address // where answers are wanted
	To, Cc   []Address
	Original Address // real sender of a mail that a colleague forwarded, as its text says; empty: not forwarded

	Subject    string
	Date       time.Time // zero: none that could be read
	MessageID  string    // without brackets; "" when there is none
	InReplyTo  []string
	References []string

	Text  string // plain text; made of the HTML when there is no other
	Plain bool   // Text was sent as such
	HTML  string // as it was sent, in UTF-8: a stranger's, see [Safe]
	Files []File

	Kind      Kind
	Quiet     bool     // must not be answered by a program
	Why       string   // the field that said so
	Reports   []Report // of a bounce: what became of whom
	About     []string // Message-IDs of the mail that a bounce or a notice is about
	Protected string   // "smime", "smime-signed", "pgp", "pgp-signed"; "" for none
	Events    []Event  // of calendar parts
	Notes     []string // what was wrong with it
	Header    Header
}

// File is a part that is no body.
type File struct {
	Name      string // "" when it has none
	Title     string // of a mail within the mail: its subject
	Type      string // as the mail says, in lower case
	ContentID string
	Inline    bool // shown within the text
	Data      []byte
}

// Call is the name under which f is kept: its own, or one made of what it is.
func (f File) Call() string {
	switch {
	case f.Name != "":
		return f.Name
	case f.Type == "message/rfc822":
		return fileName(firstOf(cut(f.Title, 80), "mail") + ".eml")
	case f.Type == "text/calendar":
		return "invite.ics"
	case f.Type == "message/delivery-status":
		return "delivery-status.txt"
	case strings.HasPrefix(f.Type, "text/rfc822") || strings.HasPrefix(f.Type, "message/"):
		return "headers.txt"
	}
	ext := ""
	switch f.Type {
	case "image/png", "image/gif", "image/jpeg", "application/pdf", "text/plain", "text/html", "image/webp":
		_, ext, _ = strings.Cut(f.Type, "/")
		ext = "." + strings.NewReplacer("jpeg", "jpg", "plain", "txt").Replace(ext)
	}
	if strings.HasPrefix(f.Type, "image/") {
		return "image" + ext
	}
	return "file" + ext
}

// SHA256 is the content's digest, hexadecimal.
func (f File) SHA256() string {
	s := sha256.Sum256(f.Data)
	return hex.EncodeToString(s[:])
}

// Bounds of what is read of one mail.
const (
	maxDepth = 30
	maxParts = 500
	maxTotal = 80 << 20 // of everything decoded
	maxText  = 2 << 20  // of one body
)

type reader struct {
	m          *Message
	parts      int
	total      int
	text, html []string
	bodies     int
}

// Parse reads a mail.
func Parse(raw []byte) *Message {
	m := &Message{}
	r := &reader{m: m}
	func() {
		defer func() { // bounded, but written by strangers: what is wrong here must not stop the next mail
			if x := recover(); x != nil {
				r.note(fmt.Sprintf("panic: %v", x))
			}
		}()
		r.read(raw)
	}()
	return m
}

func (r *reader) note(s string) {
	if s != "" && len(r.m.Notes) < 20 {
		r.m.Notes = append(r.m.Notes, s)
	}
}

func (r *reader) read(raw []byte) {
	m := r.m
	if !bytes.Contains(raw, []byte{'\n'}) && bytes.Contains(raw, []byte{'\r'}) {
		raw = bytes.ReplaceAll(raw, []byte{'\r'}, []byte{'\n'}) // old Macs
	}
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) < len(raw) {
		if line, _ := cutLine(t); isField(line) {
			raw = t // empty lines before the first field
		}
	}
	h, body, note := splitHeader(raw)
	r.note(note)
	m.Header = h
	m.Subject = OneLine(h.Text("subject"))
	m.To, m.Cc, m.ReplyTo = r.addresses(h, "to"), r.addresses(h, "cc"), r.addresses(h, "reply-to")
	if from := r.addresses(h, "from"); len(from) > 0 {
		m.From = from[0]
	}
	if s := r.addresses(h, "sender"); len(s) > 0 && !strings.EqualFold(s[0].Addr, m.From.Addr) {
		m.Sender = s[0]
	}
	if m.From.Addr == "" {
		if m.Sender.Addr != "" {
			m.From = m.Sender
		}
		r.note("from")
	}
	if x := ids(h.Raw("message-id")); len(x) > 0 {
		m.MessageID = x[0]
	}
	m.InReplyTo, m.References = ids(h.Raw("in-reply-to")), ids(h.Raw("references"))
	m.Date = when(h.Raw("date"))
	r.part(h, body, 0, "text/plain", false)
	m.Text, m.Plain = strings.TrimSpace(strings.Join(r.text, "\n\n")), len(r.text) > 0
	m.HTML = strings.Join(r.html, "\n<hr>\n")
	if m.Text == "" && m.HTML != "" {
		m.Text, m.Plain = TextOf(m.HTML), false
	}
	m.classify()
	m.findOriginal()
}

func (r *reader) addresses(h Header, name string) []Address {
	var all []string
	for _, f := range h {
		if f.name == name {
			all = append(all, string(f.value))
		}
	}
	return Addresses(strings.Join(all, ", "))
}

// part reads one part. fallback is the type of a part that names none; alt says
// that it is one of several versions of the same.
func (r *reader) part(h Header, body []byte, depth int, fallback string, alt bool) {
	m := r.m
	if r.parts++; r.parts > maxParts || depth > maxDepth {
		r.note("parts")
		return
	}
	ct, cp := value(h.Raw("content-type"))
	if !strings.Contains(ct, "/") {
		if ct != "" && ct != "text" {
			r.note("type")
		}
		if cp["name"] != "" && ct != "text" {
			ct = "application/octet-stream"
		} else {
			ct = fallback
		}
		if ct == "" {
			ct = "text/plain"
		}
	}
	cd, dp := value(h.Raw("content-disposition"))
	if strings.HasPrefix(ct, "multipart/") {
		r.multipart(ct, cp, h, body, depth, alt)
		return
	}
	name := dp["filename"]
	if name == "" {
		name = cp["name"]
	}
	name = fileName(name)
	data := r.decode(h.Raw("content-transfer-encoding"), body, &name)
	cid := ""
	if x := ids(h.Raw("content-id")); len(x) > 0 {
		cid = x[0]
	} else if s := strings.Trim(strings.TrimSpace(h.Raw("content-id")), "<>"); s != "" && len(s) < 300 {
		cid = s
	}
	switch {
	case ct == "application/ms-tnef" || ct == "application/vnd.ms-tnef" || strings.EqualFold(name, "winmail.dat"):
		if t, ok := readTNEF(data); ok {
			r.tnef(t)
			return
		}
		r.note("tnef")
	case ct == "message/delivery-status" || ct == "message/global-delivery-status":
		m.Reports = append(m.Reports, readReports(data)...)
		r.file(File{Name: name, Type: ct, Data: data})
		return
	case ct == "message/rfc822" || ct == "message/global" || ct == "text/rfc822-headers" || ct == "message/rfc822-headers" || ct == "message/global-headers":
		oh, _, _ := splitHeader(data)
		if x := ids(oh.Raw("message-id")); len(x) > 0 {
			m.About = append(m.About, x[0])
		}
		r.file(File{Name: name, Title: OneLine(oh.Text("subject")), Type: ct, Data: data})
		return
	case ct == "text/calendar" || ct == "application/ics":
		m.Events = append(m.Events, readEvents(Decode(cp["charset"], data))...)
	case ct == "application/pkcs7-mime" || ct == "application/x-pkcs7-mime":
		m.Protected = "smime"
		if cp["smime-type"] == "signed-data" {
			m.Protected = "smime-signed"
		}
	case ct == "application/pgp-encrypted":
		m.Protected = "pgp"
	case strings.HasPrefix(ct, "text/") && cd != "attachment" && (name == "" || alt || depth == 0 && r.bodies == 0 && cd == ""):
		if len(data) > maxText {
			r.note("long")
			r.file(File{Name: firstOf(name, "text.txt"), Type: ct, Data: data})
			data = data[:maxText]
		}
		s := Decode(cp["charset"], data)
		if ct == "text/html" && cp["charset"] == "" {
			s = Decode(metaCharset(data), data)
		}
		s = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\x00", "")
		switch {
		case ct == "text/html" || ct == "text/xhtml":
			r.html = append(r.html, s)
		case ct == "text/plain" || ct == "text/enriched" || ct == "text/richtext" || !alt:
			if ct == "text/enriched" || ct == "text/richtext" {
				if alt && len(r.text) > 0 {
					return
				}
				s = enriched(s)
			}
			if strings.Contains(s, "-----BEGIN PGP MESSAGE-----") {
				m.Protected = "pgp"
			} else if strings.Contains(s, "-----BEGIN PGP SIGNED MESSAGE-----") {
				m.Protected = "pgp-signed"
			}
			if strings.Contains(s, "\nbegin ") || strings.HasPrefix(s, "begin ") {
				if d, n := unuu([]byte(s)); len(d) > 0 {
					i := strings.Index("\n"+s, "\nbegin ")
					end := strings.Index(s[i:], "\nend")
					rest := ""
					if end >= 0 {
						rest = s[i+end+4:]
					}
					s = s[:max(0, i-1)] + rest
					r.file(File{Name: fileName(n), Type: typeOf(n), Data: d})
				}
			}
			if flowed := strings.EqualFold(cp["format"], "flowed"); flowed {
				s = unflow(s, strings.EqualFold(cp["delsp"], "yes"))
			}
			r.text = append(r.text, s)
		default:
			r.file(File{Name: name, Type: ct, ContentID: cid, Data: data})
		}
		r.bodies++
		return
	}
	r.file(File{Name: name, Type: ct, ContentID: cid, Inline: cd == "inline" || cd == "" && cid != "" && strings.HasPrefix(ct, "image/"), Data: data})
}

func (r *reader) file(f File) {
	if r.total += len(f.Data); r.total > maxTotal {
		r.note("size")
		return
	}
	r.m.Files = append(r.m.Files, f)
}

// multipart reads the parts between the boundaries; those that are missing, cut
// off or written with blanks are forgiven.
func (r *reader) multipart(ct string, cp Params, h Header, body []byte, depth int, alt bool) {
	b := strings.TrimSpace(cp["boundary"])
	var parts [][]byte
	if b != "" {
		parts = split(body, b)
	}
	if len(parts) == 0 {
		r.note("boundary")
		// Nothing to part: what there is is read as text.
		if len(bytes.TrimSpace(body)) > 0 {
			if b == "" {
				if g := guessBoundary(body); g != "" {
					parts = split(body, g)
				}
			}
		}
		if len(parts) == 0 {
			if t := bytes.TrimSpace(body); len(t) > 0 {
				r.text = append(r.text, strings.ReplaceAll(Decode("", t), "\r\n", "\n"))
			}
			return
		}
	}
	switch ct {
	case "multipart/encrypted":
		r.m.Protected = "pgp"
	case "multipart/signed":
		r.m.Protected = "pgp-signed"
		if strings.Contains(cp["protocol"], "pkcs7") {
			r.m.Protected = "smime-signed"
		}
	}
	fallback := "text/plain"
	if ct == "multipart/digest" {
		fallback = "message/rfc822"
	}
	texts := len(r.text)
	for i, p := range parts {
		ph, pb, note := splitHeader(p)
		r.note(note)
		if ct == "multipart/alternative" && i > 0 && len(r.text) > texts {
			if t, _ := value(ph.Raw("content-type")); t == "text/plain" || t == "" {
				keep := r.text
				r.part(ph, pb, depth+1, fallback, true)
				r.text = keep // the same once more
				continue
			}
		}
		r.part(ph, pb, depth+1, fallback, alt || ct == "multipart/alternative")
	}
}

func split(body []byte, boundary string) (parts [][]byte) {
	delim := []byte("--" + boundary)
	var start = -1
	for at := 0; at < len(body); {
		end := bytes.IndexByte(body[at:], '\n')
		next := len(body)
		line := body[at:]
		if end >= 0 {
			next = at + end + 1
			line = body[at : at+end]
		}
		if bytes.HasPrefix(line, delim) {
			rest := bytes.TrimRight(line[len(delim):], " \t\r")
			closing := bytes.HasPrefix(rest, []byte("--"))
			if len(rest) == 0 || closing && len(bytes.TrimSpace(rest[2:])) == 0 {
				if start >= 0 {
					parts = append(parts, trimEnd(body[start:at]))
				}
				start = next
				if closing {
					return parts
				}
				if len(parts) > maxParts {
					return parts
				}
			}
		}
		at = next
	}
	if start >= 0 && start <= len(body) {
		parts = append(parts, body[start:])
	}
	return parts
}

func trimEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}

func guessBoundary(body []byte) string {
	for b := body; len(b) > 0; {
		var line []byte
		line, b = cutLine(b)
		if len(line) > 4 && line[0] == '-' && line[1] == '-' && !bytes.ContainsAny(line, " \t") {
			next, _ := cutLine(b)
			if isField(next) {
				return string(line[2:])
			}
		}
	}
	return ""
}

func (r *reader) decode(enc string, body []byte, name *string) []byte {
	enc = strings.ToLower(strings.Trim(strings.TrimSpace(enc), "\"'"))
	if i := strings.IndexAny(enc, " ;\t("); i >= 0 {
		enc = enc[:i]
	}
	switch enc {
	case "base64", "b":
		return unbase64(body)
	case "quoted-printable", "qp", "quoted":
		return unquote(body, false)
	case "x-uuencode", "x-uue", "uuencode", "uue":
		d, n := unuu(body)
		if *name == "" {
			*name = fileName(n)
		}
		return d
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit":
	default:
		r.note("encoding")
	}
	return body
}

func (r *reader) tnef(t tnef) {
	m := r.m
	if m.Subject == "" {
		m.Subject = OneLine(t.subject)
	}
	if len(r.text) == 0 && strings.TrimSpace(t.text) != "" {
		r.text = append(r.text, t.text)
	}
	if len(r.html) == 0 && t.html != "" {
		r.html = append(r.html, t.html)
	}
	for _, f := range t.files {
		if f.Type == "" {
			f.Type = typeOf(f.Name)
		}
		f.Name = fileName(f.Name)
		r.file(f)
	}
}

func typeOf(name string) string {
	t := mime.TypeByExtension(strings.ToLower(path.Ext(name)))
	if t == "" {
		return "application/octet-stream"
	}
	t, _, _ = strings.Cut(t, ";")
	return t
}

// fileName makes a name a name: no path, no control characters, no marks that
// turn the direction of writing around so that exe looks like txt.
func fileName(s string) string {
	s = OneLine(s)
	if i := strings.LastIndexAny(s, `/\`); i >= 0 && i+1 < len(s) {
		s = s[i+1:]
	}
	s = strings.Trim(s, ` "`)
	if s == "." || s == ".." {
		return ""
	}
	if utf8.RuneCountInString(s) > 200 {
		ext := path.Ext(s)
		if utf8.RuneCountInString(ext) > 20 {
			ext = ""
		}
		s = cut(strings.TrimSuffix(s, ext), 200-utf8.RuneCountInString(ext)) + ext
	}
	return s
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// unflow joins the lines of RFC 3676.
func unflow(s string, delsp bool) string {
	lines := strings.Split(s, "\n")
	var out []string
	join := false
	depth := 0
	for _, l := range lines {
		d := 0
		for d < len(l) && l[d] == '>' {
			d++
		}
		text := l[d:]
		text = strings.TrimPrefix(text, " ")
		soft := strings.HasSuffix(text, " ") && text != "-- "
		if soft && delsp {
			text = strings.TrimSuffix(text, " ")
		}
		mark := ""
		if d > 0 {
			mark = strings.Repeat(">", d) + " "
		}
		if join && d == depth && text != "-- " {
			out[len(out)-1] += text
		} else {
			out = append(out, mark+text)
		}
		join, depth = soft, d
	}
	for i := range out {
		if out[i] != "-- " {
			out[i] = strings.TrimRight(out[i], " ")
		}
	}
	return strings.Join(out, "\n")
}

// enriched takes the commands of text/enriched (RFC 1896) out.
func enriched(s string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '<' && i+1 < len(s) && s[i+1] == '<':
			b.WriteByte('<')
			i++
		case s[i] == '<':
			if j := strings.IndexByte(s[i:], '>'); j > 0 && j < 60 {
				if strings.EqualFold(s[i:i+j+1], "<param>") {
					depth++
				} else if strings.EqualFold(s[i:i+j+1], "</param>") && depth > 0 {
					depth--
				}
				i += j
				continue
			}
			b.WriteByte('<')
		case depth > 0:
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
