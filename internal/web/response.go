package web

import (
	"github.com/klauspost/compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// gzipFrom is the size below which compressing costs more than it saves.
const gzipFrom = 1024

// Parts of pages are compressed quickly: there are many. A whole page, which a
// browser asks for once, is an eighth smaller for half a millisecond.
var (
	gzips = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); return w }}
	whole = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(io.Discard, 6); return w }}
)

// response counts, compresses text, and swallows the mux's own error texts. It
// holds back the first gzipFrom bytes until it is clear whether to compress.
type response struct {
	http.ResponseWriter
	accepts bool // the client takes gzip
	plain   bool // never compress
	head    bool // HEAD request

	status     int // 0 before the header
	sent       int64
	buf        []byte
	decided    bool
	part       bool // htmx asks for it
	gz         *gzip.Writer
	awaitRoute bool
	swallowed  int // status of a swallowed answer
}

func newResponse(w http.ResponseWriter, r *http.Request) *response {
	return &response{ResponseWriter: w, head: r.Method == http.MethodHead, part: r.Header.Get("HX-Request") != "",
		accepts: strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == ""}
}

func (w *response) zips() *sync.Pool {
	if w.part {
		return &gzips
	}
	return &whole
}

func (w *response) wrote() bool { return w.status != 0 }

func (w *response) WriteHeader(status int) {
	if w.awaitRoute && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		w.swallowed = status
		return
	}
	if status >= 100 && status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.swallowed != 0 {
		return len(p), nil
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.decided {
		return w.write(p)
	}
	if len(w.buf)+len(p) < gzipFrom {
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	w.decide(true)
	return w.write(p)
}

func (w *response) write(p []byte) (int, error) {
	if w.gz != nil {
		n, err := w.gz.Write(p)
		w.sent += int64(n)
		return n, err
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// decide sends the header and what was held back. large says that there is
// enough of it to be worth compressing.
func (w *response) decide(large bool) {
	w.decided = true
	h := w.Header()
	if h.Get("Content-Type") == "" && len(w.buf) > 0 {
		h.Set("Content-Type", http.DetectContentType(w.buf))
	}
	text := isText(h.Get("Content-Type"))
	if text && h.Get("Content-Encoding") == "" {
		h.Add("Vary", "Accept-Encoding")
	}
	if large && text && w.accepts && !w.plain && !w.head && h.Get("Content-Encoding") == "" &&
		w.status != http.StatusNoContent && w.status != http.StatusNotModified && w.status != http.StatusPartialContent {
		h.Set("Content-Encoding", "gzip")
		h.Del("Content-Length")
		w.gz = w.zips().Get().(*gzip.Writer)
		w.gz.Reset(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(w.status)
	if len(w.buf) > 0 {
		_, _ = w.write(w.buf)
		w.buf = nil
	}
}

func isText(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	switch t = strings.TrimSpace(t); {
	case t == "text/event-stream":
		return false
	case strings.HasPrefix(t, "text/"), strings.HasSuffix(t, "json"), strings.HasSuffix(t, "xml"), t == "application/javascript":
		return true
	}
	return false
}

// FlushError sends what there is at once.
func (w *response) FlushError() error {
	if w.swallowed != 0 {
		return nil
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.decided {
		w.decide(false)
	}
	if w.gz != nil {
		if err := w.gz.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is FlushError for those who look for an http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController reach deadlines and connections.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish sends what is still held back.
func (w *response) finish() {
	if w.status == 0 || w.status == 499 {
		return
	}
	if !w.decided {
		if !w.head && w.Header().Get("Content-Length") == "" && len(w.buf) > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(w.buf)))
		}
		w.decide(false)
	}
	if w.gz != nil {
		_ = w.gz.Close()
		w.zips().Put(w.gz)
		w.gz = nil
	}
}
