package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Request is one request with what the product knows about it.
type Request struct {
	*http.Request
	Actor authz.Actor // zero when nobody is signed in
	Lang  i18n.Lang
	Ref   string // reference number, also in the log

	rt   *Router
	w    *response
	opts *routeOptions
	ip   string
}

// NewRequest returns a Request outside of a router, for tests of single pages.
func NewRequest(hr *http.Request, actor authz.Actor, lang i18n.Lang) *Request {
	return &Request{Request: hr, Actor: actor, Lang: lang, Ref: newRef(), rt: New(Config{})}
}

// With returns the request with another context, for what reads beside others.
func (r *Request) With(ctx context.Context) *Request {
	c := *r
	c.Request = r.Request.WithContext(ctx)
	return &c
}

// Now returns the present by the router's clock.
func (r *Request) Now() time.Time { return r.rt.cfg.Clock.Now() }

// Location returns the company's time zone.
func (r *Request) Location() *time.Location { return r.rt.cfg.Location }

// Shell returns the router's Shell, or nil.
func (r *Request) Shell() Shell { return r.rt.cfg.Shell }

// T returns the sentence behind key in the reader's language.
func (r *Request) T(key string, args ...any) string { return i18n.T(r.Lang, key, args...) }

// PathID returns the number in the path wildcard name. An address that has no
// number there is simply not found.
func (r *Request) PathID(name string) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.New(fault.NotFound, "ui.error.not_found")
	}
	return id, nil
}

// IsFragment reports whether the browser asks for a part of a page and not for
// a whole one. The answer must carry "Vary: HX-Request"; package ui sees to it.
func (r *Request) IsFragment() bool {
	return r.Header.Get("HX-Request") == "true" &&
		r.Header.Get("HX-Request-Type") != "full" &&
		r.Header.Get("HX-History-Restore-Request") != "true"
}

// fromScript reports whether htmx sent the request, for a part or a whole page.
func (r *Request) fromScript() bool { return r.Header.Get("HX-Request") == "true" }

// Target returns the id of the element the fragment is meant for, without #,
// "" when it has none.
func (r *Request) Target() string {
	_, id, _ := strings.Cut(r.Header.Get("HX-Target"), "#")
	return id
}

// CurrentURL returns the address the browser shows while it asks for a
// fragment; nil when it does not say. Only path and query are kept.
func (r *Request) CurrentURL() *url.URL {
	u, err := url.Parse(r.Header.Get("HX-Current-URL"))
	if err != nil || u.Path == "" {
		return nil
	}
	return &url.URL{Path: u.Path, RawQuery: u.RawQuery}
}

// SeeOther sends the browser to another page of the product. htmx gets a header
// instead of a 303, which it would follow and put into the old page.
func (r *Request) SeeOther(w http.ResponseWriter, format string, args ...any) error {
	to := format
	if len(args) > 0 {
		to = fmt.Sprintf(format, args...)
	}
	if r.fromScript() {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

// Trigger makes htmx fire a browser event when the answer has arrived. Call it
// before the body.
func (r *Request) Trigger(w http.ResponseWriter, event string) {
	h := w.Header()
	if old := h.Get("HX-Trigger"); old != "" {
		event = old + ", " + event
	}
	h.Set("HX-Trigger", event)
}

// SafeNext returns p when it is a path inside the product, else fallback: the
// "next" of a sign-in form must not lead elsewhere.
func SafeNext(p, fallback string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(p, "/") ||
		strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
		return fallback
	}
	return p
}

// UserAgent is the browser as it names itself, in valid text: it is written into
// the audit trail, and some old programs send GBK.
func (r *Request) UserAgent() string { return validText(r.Request.UserAgent()) }

// IP returns the address the request comes from; behind a trusted proxy the
// one the proxy names.
func (r *Request) IP() string {
	if r.ip != "" {
		return r.ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	r.ip = host
	if !r.rt.trusts(host) {
		return r.ip
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		r.ip = hop
		if !r.rt.trusts(hop) {
			break
		}
	}
	return r.ip
}

func (rt *Router) trusts(host string) bool {
	if len(rt.cfg.TrustedProxies) == 0 {
		return false
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range rt.cfg.TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Secure reports whether the browser came by TLS, to us or to a trusted proxy.
func (r *Request) Secure() bool {
	if r.TLS != nil {
		return true
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return r.rt.trusts(host) && r.Header.Get("X-Forwarded-Proto") == "https"
}

// Flash is one sentence shown on the next page and then forgotten.
type Flash struct {
	Tone string   `json:"t,omitempty"` // green, red, amber; "" is neutral
	Key  string   `json:"k"`
	Args []string `json:"a,omitempty"`
}

// Flash leaves a sentence for the page the browser goes to next.
func (r *Request) Flash(w http.ResponseWriter, tone, key string, args ...any) {
	f := Flash{Tone: tone, Key: key}
	for _, a := range args {
		if k, ok := a.(i18n.Key); ok { // the next page does not know that it is one
			a = r.T(string(k))
		}
		f.Args = append(f.Args, fmt.Sprint(a))
	}
	b, _ := json.Marshal(f)
	http.SetCookie(w, &http.Cookie{Name: "flash", Value: base64.RawURLEncoding.EncodeToString(b), Path: "/",
		MaxAge: 60, HttpOnly: true, Secure: r.Secure(), SameSite: http.SameSiteLaxMode})
}

// TakeFlash returns the sentence left by the request before, and clears it. ok
// is false when there is none. Call it before the body.
func (r *Request) TakeFlash(w http.ResponseWriter) (f Flash, ok bool) {
	c, err := r.Cookie("flash")
	if err != nil || c.Value == "" {
		return f, false
	}
	http.SetCookie(w, &http.Cookie{Name: "flash", Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.Secure(), SameSite: http.SameSiteLaxMode})
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(b, &f) != nil || !i18n.Has(f.Key) {
		return Flash{}, false
	}
	return f, true
}

// SetLang remembers the language on this device.
func (r *Request) SetLang(w http.ResponseWriter, l i18n.Lang) {
	http.SetCookie(w, &http.Cookie{Name: "lang", Value: string(l), Path: "/", MaxAge: 365 * 86400,
		HttpOnly: true, Secure: r.Secure(), SameSite: http.SameSiteLaxMode})
	r.Lang = l
}

// validText drops what is not UTF-8, and NUL: PostgreSQL refuses both.
func validText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
