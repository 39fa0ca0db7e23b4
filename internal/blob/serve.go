package blob

import (
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Serve answers with the content of a file whose reader has been checked (see
// Files.Open). With inline, pictures that can hold no script are shown;
// everything else, SVG and HTML above all, is always downloaded.
func Serve(w http.ResponseWriter, r *http.Request, f File, content io.ReadSeeker, inline bool) {
	h := w.Header()
	kind, disposition := "application/octet-stream", "attachment"
	switch {
	case inline && Inline(f.MIME):
		kind, disposition = f.MIME, "inline"
	case Inline(f.MIME), f.MIME == "application/pdf", f.MIME == "text/plain", f.MIME == "text/csv", strings.HasPrefix(f.MIME, "application/vnd."):
		kind = f.MIME
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", Disposition(disposition, f.Name))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// The permission is asked each time; the content itself never changes.
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+f.SHA256+`"`)
	http.ServeContent(w, r, "", f.CreatedAt, content)
}

// Disposition writes a Content-Disposition header: the name as RFC 5987 says,
// and an ASCII likeness for programs that do not know it.
func Disposition(kind, name string) string {
	var ascii, ext strings.Builder
	for _, r := range name {
		switch {
		case r == '"' || r == '\\' || r == '%' || r == ';' || r < ' ' || r >= utf8.RuneSelf || r == 0x7f:
			ascii.WriteByte('_')
		default:
			ascii.WriteRune(r)
		}
	}
	const hex = "0123456789ABCDEF"
	for _, c := range []byte(name) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			ext.WriteByte(c)
		} else {
			ext.WriteByte('%')
			ext.WriteByte(hex[c>>4])
			ext.WriteByte(hex[c&15])
		}
	}
	return kind + `; filename="` + ascii.String() + `"; filename*=UTF-8''` + ext.String()
}

// ServeFramed answers with a PDF for a frame of the product's own pages. A
// sandbox would keep browsers from showing it at all; instead nothing but the
// document itself may be loaded, and no other site may frame it.
func ServeFramed(w http.ResponseWriter, r *http.Request, f File, content io.ReadSeeker) {
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", Disposition("inline", f.Name))
	h.Set("Content-Security-Policy", "default-src 'none'; object-src 'self'; plugin-types application/pdf; style-src 'unsafe-inline'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+f.SHA256+`"`)
	http.ServeContent(w, r, "", f.CreatedAt, content)
}
