package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/fault"
	"bihuan/internal/web"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Config is what the API needs. The zero value of every field is usable.
type Config struct {
	Auth  web.Authenticator // tells who bears a token; nil refuses everybody
	Clock clock.Clock       // clock.Real() when nil

	// Burst calls of one token pass at once, then one each Every. Zero: 2000 and
	// 2 ms. A negative Every lifts the limit.
	Burst int
	Every time.Duration
}

// API collects operations and serves them.
type API struct {
	rt      *web.Router
	auth    web.Authenticator
	limiter *web.Limiter
	huma    huma.API
	tags    []string
}

// Prefix is where the first version of the API lives.
const Prefix = "/api/v1"

// New returns an API without operations on rt. With a nil rt it only collects
// their documentation.
func New(rt *web.Router, cfg Config) *API {
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Burst == 0 {
		cfg.Burst = 2000
	}
	if cfg.Every == 0 {
		cfg.Every = 2 * time.Millisecond
	}
	a := &API{rt: rt, auth: cfg.Auth}
	if cfg.Every > 0 {
		a.limiter = web.NewLimiter(cfg.Clock, cfg.Burst, cfg.Every, 20000)
	}
	hc := huma.DefaultConfig("Bihuan 闭环客服", "1")
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "", "", ""
	hc.CreateHooks = nil // no $schema members, no Link headers
	hc.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	hc.Info.Description = overview
	hc.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	hc.Servers = []*huma.Server{{URL: "/", Description: "This installation"}}
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "bht_…",
			Description: "An API token, made under “My account” or with `bihuan token create --user NAME --scopes …`. It can do what its owner may do, within its scopes."},
	}
	a.huma = huma.NewAPI(hc, adapter{a})
	if rt != nil {
		rt.Handle("GET /api/openapi.json", web.Public, a.document, web.NoActor())
	}
	return a
}

const overview = `Customers and tickets of a closed-loop customer service, as the people at the screens see them: the same rules, the same data scopes, the same audit trail.

**Authentication.** Send ` + "`Authorization: Bearer bht_…`" + `. Browser sessions are not accepted. What lies outside the data scope of the token's owner does not exist: 404.

**Requests.** JSON in UTF-8. Unknown members and parameters are refused, by name. Times are RFC 3339 with an offset. Customers and tickets are named by their numbers, people by their login, departments by their name.

**Errors** are problems (RFC 9457) in the language of ` + "`Accept-Language`" + ` (zh-CN, en). Compare ` + "`code`" + `, never the texts.

**Idempotency.** POST requests take an ` + "`Idempotency-Key`" + `. The answer is stored together with the change, so the same request sent again gets the same answer, with ` + "`Idempotent-Replayed: true`" + `, and changes nothing; the same key with another request is a 409. Keys last seven days. A request that failed may be sent again under its key.

**Versions.** Every record carries ` + "`version`" + `, also as ` + "`ETag`" + `. A PATCH names the version it started from, in ` + "`If-Match`" + ` or in the body; if somebody was faster it is a 409.

**Pages.** Lists return ` + "`items`" + ` and, when there is more, ` + "`next`" + `: pass it as ` + "`cursor`" + `. A page begins behind the last item of the one before, so new items do not shift it.

**Limits.** Bodies up to 1 MB. Too many requests of one token are a 429 with ` + "`Retry-After`" + ` in seconds.`

// schemaName puts the room before names that rooms share: ticketapi.List is
// TicketList. People belong to all rooms.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	room, ok := strings.CutSuffix(path.Base(t.PkgPath()), "api")
	if !ok || room == "" || room == "org" {
		return name
	}
	if room = strings.ToUpper(room[:1]) + room[1:]; strings.HasPrefix(name, room) {
		return name
	}
	return room + name
}

// Op declares an operation.
type Op struct {
	ID          string // stable name in the document: "create-ticket"
	Method      string
	Path        string // below Prefix: "/tickets/{number}"
	Tag         string // group in the document: "Tickets"
	Summary     string
	Description string
	Perm        authz.Permission // of the caller; the service may ask for more
	Scope       string           // of the token
	Status      int              // of success; 0: 200
	Errors      []int            // statuses beside those every operation has
	Example     string           // of a body, as JSON
	Conflict    reflect.Type     // shape of a 409 that says more than a Problem; nil: a Problem
	File        string           // media type of the file that is sent, see [Send]; "": JSON
}

type route struct {
	perm  authz.Permission
	scope string
	file  bool // a file may take long
}

// Handle adds an operation. In and Out are huma's input and output structs: tags
// path, query and header, and a Body, which for input is a [JSON].
func Handle[In, Out any](a *API, op Op, h func(ctx context.Context, in *In) (*Out, error)) {
	if !slices.Contains(a.tags, op.Tag) {
		a.tags = append(a.tags, op.Tag)
		a.huma.OpenAPI().Tags = append(a.huma.OpenAPI().Tags, &huma.Tag{Name: op.Tag})
	}
	errs := append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, op.Errors...)
	if op.Method != http.MethodGet {
		errs = append(errs, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	slices.Sort(errs)
	o := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: Prefix + op.Path, Tags: []string{op.Tag}, Summary: op.Summary, Description: op.Description,
		Responses:     map[string]*huma.Response{}, // shared with the copy huma makes
		DefaultStatus: op.Status, Errors: slices.Compact(errs),
		Security:                     []map[string][]string{{"bearer": {op.Scope}}},
		Extensions:                   map[string]any{"x-permission": string(op.Perm)},
		Metadata:                     map[string]any{"route": route{op.Perm, op.Scope, op.File != ""}},
		SkipValidateBody:             true, // see JSON
		RejectUnknownQueryParameters: true,
		MaxBodyBytes:                 -1, // the router's limit holds
		BodyReadTimeout:              time.Minute,
	}
	if op.Example != "" {
		o.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: json.RawMessage(op.Example)}}}
	}
	huma.Register(a.huma, o, h)
	if op.File != "" {
		o.Responses["200"].Content = map[string]*huma.MediaType{op.File: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	}
	if op.Conflict != nil {
		r := o.Responses["409"].Content["application/problem+json"]
		r.Schema = a.huma.OpenAPI().Components.Schemas.Schema(op.Conflict, true, "")
	}
}

// OpenAPI returns the document.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// document serves the OpenAPI document. It says nothing secret.
func (a *API) document(w http.ResponseWriter, r *web.Request) error {
	b, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	_, err = w.Write(b)
	return err
}

// adapter makes each operation a route of the router, with its permission, so
// that it is in the list of routes like any page.
type adapter struct{ *API }

// Handle implements huma.Adapter.
func (a adapter) Handle(op *huma.Operation, next func(huma.Context)) {
	if a.rt == nil {
		return
	}
	ro := op.Metadata["route"].(route)
	auth := web.Auth()
	if a.auth != nil {
		auth = web.Auth(a.auth)
	}
	opts := []web.Option{auth, web.CrossOrigin(), web.JSON()}
	if ro.file {
		opts = append(opts, web.Slow(30*time.Minute))
	}
	a.rt.Handle(op.Method+" "+op.Path, ro.perm, func(w http.ResponseWriter, r *web.Request) error {
		if !slices.Contains(r.Actor.Scopes, ro.scope) && !slices.Contains(r.Actor.Scopes, "*") {
			return fault.New(fault.Forbidden, "api.scope", ro.scope)
		}
		if a.limiter != nil {
			if ok, wait := a.limiter.Allow(r.Actor.Session); !ok {
				w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
				return fault.New(fault.Limited, "api.limited")
			}
		}
		if err := readable(r.URL); err != nil {
			return err
		}
		if b := op.RequestBody; b != nil && (b.Required || r.ContentLength != 0) {
			if err := checkType(r.Header.Get("Content-Type")); err != nil {
				return err
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		c := &call{hctx: humago.NewContext(op, r.Request, w)}
		next(c)
		return c.err
	}, opts...)
}

// ServeHTTP implements huma.Adapter; the router serves.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.rt.ServeHTTP(w, r) }

// Actor returns who calls: a person, with no more rights than his token.
func Actor(ctx context.Context) authz.Actor { return web.From(ctx).Actor }

// HasScope reports whether the caller's token holds the scope.
func HasScope(ctx context.Context, scope string) bool {
	s := web.From(ctx).Actor.Scopes
	return slices.Contains(s, scope) || slices.Contains(s, "*")
}

// At returns t as it is sent: in the company's time zone, nil for the zero time.
func At(ctx context.Context, t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.In(web.From(ctx).Location())
	return &t
}
