package blob

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// sniffLen is how much of a file decides its kind.
const sniffLen = 512

// byExtension names kinds that their first bytes do not tell apart, each under
// what http.DetectContentType makes of them.
var byExtension = map[string]map[string]string{
	"application/zip": {
		".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	},
	"application/octet-stream": {
		".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
		".wps": "application/vnd.ms-works", ".heic": "image/heic", ".amr": "audio/amr", ".7z": "application/x-7z-compressed",
		".mp3": "audio/mpeg", ".mov": "video/quicktime", ".m4a": "audio/mp4", ".mp4": "video/mp4",
	},
	"text/plain": {
		".csv": "text/csv", ".log": "text/plain", ".md": "text/markdown", ".json": "application/json", ".eml": "message/rfc822",
		".txt": "text/plain",
	},
}

// Sniff returns the kind of a file by its first bytes, refined by the
// extension of its name where the bytes leave it open. The name alone decides
// nothing: a program called 照片.jpg is not an image.
func Sniff(head []byte, name string) string {
	head = head[:min(len(head), sniffLen)]
	kind, _, err := mime.ParseMediaType(http.DetectContentType(head))
	if err != nil {
		return "application/octet-stream"
	}
	ext := strings.ToLower(path.Ext(name))
	if strings.HasPrefix(kind, "text/") {
		low := bytes.ToLower(head)
		switch {
		case bytes.Contains(low, []byte("<svg")) || ext == ".svg":
			return "image/svg+xml"
		case ext == ".html" || ext == ".htm" || ext == ".xhtml" || bytes.Contains(low, []byte("<html")) || bytes.Contains(low, []byte("<script")):
			return "text/html"
		}
	}
	if to, ok := byExtension[kind][ext]; ok {
		return to
	}
	return kind
}

// SniffReader is Sniff for a stream; rest still yields all of it.
func SniffReader(r io.Reader, name string) (kind string, rest io.Reader, err error) {
	head := make([]byte, sniffLen)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", nil, err
	}
	head = head[:n]
	return Sniff(head, name), io.MultiReader(bytes.NewReader(head), r), nil
}

// Inline reports whether a browser may show a file of this kind in the page:
// pictures that can hold no script.
func Inline(kind string) bool {
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return false
}

// maxName bounds a file name in characters: three bytes each stay below the
// 255 of file systems.
const maxName = 80

var reserved = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true,
	"com1": true, "com2": true, "com3": true, "com4": true, "com5": true, "com6": true, "com7": true, "com8": true, "com9": true,
	"lpt1": true, "lpt2": true, "lpt3": true, "lpt4": true, "lpt5": true, "lpt6": true, "lpt7": true, "lpt8": true, "lpt9": true}

// CleanName makes an uploaded name safe to show and to save on any system: no
// folders, no control or direction characters (发票‮gpj.exe), nothing Windows
// refuses. Never empty.
func CleanName(name string) string {
	name = strings.ToValidUTF8(name, "")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			return -1
		}
		return r
	}, norm.NFC.String(name))
	name = strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
	ext := path.Ext(name)
	stem := strings.TrimRight(strings.TrimSuffix(name, ext), ". ")
	if utf8.RuneCountInString(ext) > 16 {
		stem, ext = stem+ext, ""
	}
	if stem == "" || reserved[strings.ToLower(stem)] {
		stem = "附件" + stem
	}
	if r := []rune(stem); len(r) > maxName-utf8.RuneCountInString(ext) {
		stem = string(r[:maxName-utf8.RuneCountInString(ext)])
	}
	return stem + ext
}
