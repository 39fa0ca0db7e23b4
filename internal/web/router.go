package web

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/prometheus/client_golang/prometheus"
)

// Routes that need no permission of their own say so with one of these.
const (
	Public   authz.Permission = "@public"    // anybody, signed in or not
	SignedIn authz.Permission = "@signed-in" // any member of the staff
)

// DefaultMaxBody is how many bytes a request may carry unless its route says
// otherwise with [MaxBody].
const DefaultMaxBody int64 = 1 << 20

// Handler answers a request. It returns an error before it has written
// anything, or nil.
type Handler func(w http.ResponseWriter, r *Request) error

// Authenticator finds out who asks. ok is false when the request carries no
// valid credentials of this kind and the next authenticator may look; an error
// ends the request.
type Authenticator interface {
	Authenticate(r *http.Request) (actor authz.Actor, ok bool, err error)
}

// Shell is the face of the product: it draws what the router must say itself,
// and package ui keeps there what all pages share.
type Shell interface {
	// RenderError writes status line and body for e.
	RenderError(w http.ResponseWriter, r *Request, e ErrorView)
}

// Config is what a Router needs. The zero value of every field is usable.
type Config struct {
	Clock          clock.Clock // clock.Real() when nil
	Log            *slog.Logger
	Auth           []Authenticator // asked in this order
	Metrics        prometheus.Registerer
	Shell          Shell
	SignInPath     string         // "/sign-in" when empty
	PasswordPath   string         // where a person must choose a new password; "/password" when empty
	Location       *time.Location // the company's time zone; Asia/Shanghai when nil
	TrustedProxies []netip.Prefix // whose X-Forwarded-* headers are believed
	TrustedOrigins []string       // foreign origins that may post, e.g. "https://www.example.cn"
	HSTS           bool           // tell browsers to come back by TLS only
	// Attend is told of each request somebody waits for, and calls back when it is
	// answered; nil: nobody is told.
	Attend func() (done func())
}

// Router sends requests to handlers and does for each of them what must not be
// forgotten. Routes are added before the first request.
type Router struct {
	cfg     Config
	mux     *http.ServeMux
	csrf    *http.CrossOriginProtection
	routes  []Route
	seconds *prometheus.HistogramVec
}

// Route is one entry of the route list, for the golden file and the tests that
// try every role on every route.
type Route struct {
	Method string // "" for any
	Path   string // as given, with its {wildcards}
	Perm   authz.Permission
}

// String returns the route as a line of the golden file.
func (r Route) String() string {
	m := r.Method
	if m == "" {
		m = "ANY"
	}
	return fmt.Sprintf("%-6s %s  %s", m, r.Path, r.Perm)
}

type routeOptions struct {
	maxBody int64
	slow    time.Duration
	noActor bool
	noCSRF  bool
	auth    []Authenticator
	stream  bool
	json    bool
	early   bool
}

// Option changes how one route is treated.
type Option func(*routeOptions)

// MaxBody lets the body have up to n bytes, and ten minutes to arrive when n is
// larger than the default.
func MaxBody(n int64) Option {
	return func(o *routeOptions) {
		o.maxBody = n
		if n > DefaultMaxBody {
			o.slow = 10 * time.Minute
		}
	}
}

// Slow lets reading the body and writing the answer take d each: exports and
// large downloads. The default is one minute.
func Slow(d time.Duration) Option { return func(o *routeOptions) { o.slow = d } }

// NoActor skips authentication: static files, health checks.
func NoActor() Option { return func(o *routeOptions) { o.noActor = true } }

// CrossOrigin lets other sites post here. Only for routes that believe no
// cookie: webhooks, token APIs, the chat window on the customer's own site.
func CrossOrigin() Option { return func(o *routeOptions) { o.noCSRF = true } }

// Auth replaces the router's authenticators for this route.
func Auth(a ...Authenticator) Option { return func(o *routeOptions) { o.auth = a } }

// JSON makes errors of this route JSON, whatever the client accepts.
func JSON() Option { return func(o *routeOptions) { o.json = true } }

// BeforePassword opens the route also to a person who must choose a new
// password first: signing out, and the page where he does it.
func BeforePassword() Option { return func(o *routeOptions) { o.early = true } }

// stream is for event streams: never compressed, no deadline, not measured.
func stream() Option { return func(o *routeOptions) { o.stream = true } }

// New returns a router without routes.
func New(cfg Config) *Router {
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.SignInPath == "" {
		cfg.SignInPath = "/sign-in"
	}
	if cfg.PasswordPath == "" {
		cfg.PasswordPath = "/password"
	}
	if cfg.Location == nil {
		cfg.Location = Shanghai
	}
	rt := &Router{cfg: cfg, mux: http.NewServeMux(), csrf: http.NewCrossOriginProtection()}
	for _, o := range cfg.TrustedOrigins {
		if err := rt.csrf.AddTrustedOrigin(o); err != nil {
			panic(fmt.Sprintf("web: trusted origin %q: %v", o, err))
		}
	}
	rt.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "bihuan_http_request_seconds",
		Help:    "Time to answer a request, by route and class of status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "status"})
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(rt.seconds)
	}
	return rt
}

// Shanghai is the company's time zone unless the configuration names another.
var Shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// Handle adds a route. pattern is "METHOD /path" as for http.ServeMux, with any
// number of blanks between.
func (rt *Router) Handle(pattern string, perm authz.Permission, h Handler, opts ...Option) {
	if perm == "" {
		panic("web: route " + pattern + " has no permission; say web.Public if it needs none")
	}
	var method, path string
	switch f := strings.Fields(pattern); len(f) {
	case 1:
		path = f[0]
	case 2:
		method, path = f[0], f[1]
	default:
		panic("web: bad route pattern " + strconv.Quote(pattern))
	}
	o := &routeOptions{maxBody: DefaultMaxBody, auth: rt.cfg.Auth}
	for _, opt := range opts {
		opt(o)
	}
	rt.routes = append(rt.routes, Route{Method: method, Path: path, Perm: perm})
	rt.mux.HandleFunc(strings.TrimSpace(method+" "+path), func(w http.ResponseWriter, hr *http.Request) {
		rt.serve(w, hr, perm, h, o)
	})
}

// Mount adds an http.Handler, for the parts that come from elsewhere (the JSON
// API, metrics). The handler finds the actor with [From].
func (rt *Router) Mount(pattern string, perm authz.Permission, h http.Handler, opts ...Option) {
	rt.Handle(pattern, perm, func(w http.ResponseWriter, r *Request) error {
		h.ServeHTTP(w, r.Request)
		return nil
	}, opts...)
}

// Routes returns all routes by path, then method.
func (rt *Router) Routes() []Route {
	rs := append([]Route(nil), rt.routes...)
	sort.Slice(rs, func(i, j int) bool {
		if rs[i].Path != rs[j].Path {
			return rs[i].Path < rs[j].Path
		}
		return rs[i].Method < rs[j].Method
	})
	return rs
}

// Clock returns the router's clock.
func (rt *Router) Clock() clock.Clock { return rt.cfg.Clock }

type ctxKey struct{}

// From returns the Request behind the context of a handler reached through
// [Router.Mount], or nil outside of a request.
func From(ctx context.Context) *Request {
	r, _ := ctx.Value(ctxKey{}).(*Request)
	return r
}

// ContentSecurityPolicy is sent with every answer.
const ContentSecurityPolicy = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// ServeHTTP answers a request.
func (rt *Router) ServeHTTP(hw http.ResponseWriter, hr *http.Request) {
	start := time.Now() // a measurement, not a business time
	w := newResponse(hw, hr)
	r := &Request{rt: rt, Ref: newRef(), w: w}
	r.Request = hr.WithContext(context.WithValue(hr.Context(), ctxKey{}, r))
	r.Lang = rt.language(r)
	h := w.Header()
	h.Set("X-Request-Id", r.Ref)
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	if rt.cfg.HSTS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			rt.cfg.Log.Error("web: panic", "ref", r.Ref, "route", r.Route(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if !w.wrote() {
				r.show(fault.New(fault.Internal, "ui.error.internal"))
			}
		}
		w.finish()
		rt.log(r, w, time.Since(start))
	}()

	w.awaitRoute = true // until a route takes over, the mux's own plain texts are swallowed
	rt.mux.ServeHTTP(w, r.Request)
	if w.awaitRoute && w.swallowed != 0 {
		status := w.swallowed
		w.awaitRoute, w.swallowed = false, 0
		h.Del("Content-Type")
		h.Del("Content-Length")
		if r.Actor.Kind == "" {
			r.identify(rt.cfg.Auth) // so that the page has its navigation; errors do not matter here
		}
		e := r.errorView(fault.New(fault.NotFound, "ui.error.not_found"))
		if status == http.StatusMethodNotAllowed {
			e.Status, e.Title = status, r.T("ui.error.title."+strconv.Itoa(status))
		}
		r.render(e)
	}
}

func (rt *Router) serve(w http.ResponseWriter, hr *http.Request, perm authz.Permission, h Handler, o *routeOptions) {
	r := From(hr.Context())
	r.Request = hr // carries the path values
	r.w.awaitRoute = false
	r.opts = o
	if o.stream {
		r.w.plain = true
	} else if !o.noActor && rt.cfg.Attend != nil {
		defer rt.cfg.Attend()()
	}
	if !o.noCSRF {
		if err := rt.csrf.Check(hr); err != nil {
			r.fail(fault.New(fault.Forbidden, "ui.error.cross_origin").Wrap(err))
			return
		}
	}
	if hr.ContentLength > o.maxBody {
		r.fail(tooLarge(&http.MaxBytesError{Limit: o.maxBody}))
		return
	}
	hr.Body = http.MaxBytesReader(r.w, hr.Body, o.maxBody)
	if o.slow > 0 {
		c, until := http.NewResponseController(r.w), time.Now().Add(o.slow)
		_ = c.SetReadDeadline(until) // not every ResponseWriter has deadlines
		_ = c.SetWriteDeadline(until)
	}
	if !o.noActor {
		if err := r.identify(o.auth); err != nil {
			r.fail(err)
			return
		}
		if err := r.allowed(perm); err != nil {
			r.fail(err)
			return
		}
		if r.Actor.MustChange && perm != Public && !o.early {
			if r.wantsJSON() || o.stream {
				r.fail(fault.New(fault.Forbidden, "ui.error.must_change"))
			} else {
				_ = r.SeeOther(r.w, "%s", rt.cfg.PasswordPath)
			}
			return
		}
	}
	if err := h(r.w, r); err != nil {
		r.fail(err)
	}
}

func (r *Request) identify(auth []Authenticator) error {
	for _, a := range auth {
		actor, ok, err := a.Authenticate(r.Request)
		if err != nil {
			return err
		}
		if ok {
			actor.IP, actor.UserAgent = r.IP(), r.UserAgent()
			r.Actor = actor
			r.Lang = r.rt.language(r)
			break
		}
	}
	return nil
}

func (r *Request) allowed(perm authz.Permission) error {
	switch {
	case perm == Public:
		return nil
	case r.Actor.Kind == "":
		return fault.New(fault.Unauthenticated, "ui.error.unauthenticated")
	case perm == SignedIn && r.Actor.Kind == authz.User:
		return nil
	case perm != SignedIn && r.Actor.Can(perm):
		return nil
	}
	return fault.New(fault.Forbidden, "ui.error.forbidden")
}

// language is the person's own setting, else what he chose on this device, else
// what his browser asks for, else Chinese.
func (rt *Router) language(r *Request) i18n.Lang {
	if r.Actor.Lang != "" {
		return r.Actor.Lang
	}
	if c, err := r.Cookie("lang"); err == nil {
		if l, ok := i18n.Parse(c.Value); ok {
			return l
		}
	}
	l, _ := i18n.Parse(r.Header.Get("Accept-Language"))
	return l
}

// log writes one line without personal data: the pattern instead of the path,
// no query, no address.
func (rt *Router) log(r *Request, w *response, d time.Duration) {
	route, status := r.Route(), w.status
	if status == 0 {
		status = http.StatusOK
	}
	if r.opts == nil || !r.opts.stream {
		rt.seconds.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Observe(d.Seconds())
	}
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	} else if r.opts != nil && r.opts.noActor {
		level = slog.LevelDebug
	}
	rt.cfg.Log.Log(r.Context(), level, "http", "method", r.Method, "route", route, "status", status,
		"bytes", w.sent, "ms", float64(d.Microseconds())/1000, "actor", r.actorName(), "ref", r.Ref)
}

// Route returns the pattern that matched, "" when none did.
func (r *Request) Route() string { return r.Request.Pattern }

func (r *Request) actorName() string {
	if r.Actor.Kind == "" {
		return ""
	}
	return fmt.Sprintf("%v:%d", r.Actor.Kind, r.Actor.ID)
}

// newRef returns a reference number a customer can read out on the phone:
// eight characters without I, L, O and U.
func newRef() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	n, b := rand.Uint64(), make([]byte, 9)
	for i := range b {
		if i == 4 {
			b[i] = '-'
			continue
		}
		b[i] = alphabet[n&31]
		n >>= 5
	}
	return string(b)
}
