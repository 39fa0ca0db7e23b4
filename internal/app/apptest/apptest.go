// Package apptest gives a test the whole product: a fresh store with the
// defaults of a new company, and one person of every built-in role.
package apptest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/org"
	"bihuan/internal/web"
)

// Nobody is the login of a person without any role.
const Nobody = "nobody"

// Password is everybody's.
const Password = "Bihuan-2026-test"

// Logins lists everybody there is: one for each built-in role, named like it,
// and [Nobody].
var Logins = append(append([]string{}, authz.Roles...), Nobody)

// people are the names on the screens and where they work.
var people = map[string]struct{ name, department string }{
	authz.RoleAdmin:      {"郑管理", "客户服务中心"},
	authz.RoleHead:       {"陈总监", "客户服务中心"},
	authz.RoleSupervisor: {"李主管", "售后部"},
	authz.RoleAgent:      {"王小美", "客服部"},
	authz.RoleEngineer:   {"张工", "售后部"},
	authz.RoleSales:      {"刘销售", "销售部"},
	authz.RoleEditor:     {"孙编辑", "客服部"},
	authz.RoleAuditor:    {"周审计", "客户服务中心"},
	Nobody:               {"吴无权", "客服部"},
}

// House is a product under test.
type House struct {
	*app.App
	Users       map[string]int64 // by login
	Departments map[string]int64 // by name
	t           testing.TB
}

// Options of Open; the zero value is a fresh SQLite store at [dbtest.Start].
type Options struct {
	Postgres string      // server to make a database on, as for dbtest
	Clock    clock.Clock // nil: a fake that stands at dbtest.Start
	Log      *slog.Logger
	Business bool // deadlines in business time, as in a fresh install; else around the clock
}

// Open returns a fresh product, closed with the test.
func Open(t testing.TB, o Options) *House {
	t.Helper()
	ctx := context.Background()
	if o.Clock == nil {
		o.Clock = clock.NewFake(dbtest.Start)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cfg := app.Config{Data: t.TempDir(), MaxUpload: 25, Grace: time.Second}
	if o.Postgres != "" {
		d, _ := dbtest.NewPostgres(t, o.Postgres)
		cfg.Database = d.URL()
		d.Close()
	}
	a, err := app.Open(ctx, cfg, app.Options{Clock: o.Clock, Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	h := &House{App: a, Users: map[string]int64{}, Departments: map[string]int64{}, t: t}
	h.populate(ctx, o.Business)
	return h
}

// Each runs f with a fresh product on every engine there is.
func Each(t *testing.T, o Options, f func(t *testing.T, h *House)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t, o)) })
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) {
			o := o
			o.Postgres = server
			f(t, Open(t, o))
		})
	}
}

func (h *House) populate(ctx context.Context, business bool) {
	h.t.Helper()
	hash, err := crypt.HashPassword(ctx, Password)
	if err != nil {
		h.t.Fatal(err)
	}
	roles, err := h.Org.Roles(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	ids := map[string]int64{}
	for _, r := range roles {
		ids[r.Code] = r.ID
	}
	err = h.Run.Do(ctx, authz.System("setup"), "test.populate", func(ctx context.Context, a *action.Action) error {
		for _, login := range Logins {
			d, ok, err := h.Org.DepartmentByName(ctx, a, people[login].department)
			if err != nil || !ok {
				h.t.Fatalf("no department %s: %v", people[login].department, err)
			}
			h.Departments[d.Name] = d.ID
			in := org.UserInput{Login: login, Name: people[login].name, DepartmentID: d.ID, Capacity: org.DefaultCapacity}
			if login == authz.RoleAdmin {
				in.Login = "root" // "admin" is the first administrator
			}
			if in.RoleIDs = []int64{ids[login]}; login == Nobody {
				in.RoleIDs[0] = ids[authz.RoleAgent] // nobody can be made without a role; it is taken away below
			}
			if h.Users[login], err = h.Org.AddUser(ctx, a, in, hash, false); err != nil {
				return err
			}
		}
		if !business {
			if _, err := a.Exec(ctx, `UPDATE service_policies SET calendars = '{}'`); err != nil {
				return err
			}
			if err := calendar.Touch(ctx, a); err != nil {
				return err
			}
		}
		// The supervisor leads the engineers.
		_, err := a.Exec(ctx, `UPDATE departments SET supervisor_id = $1 WHERE id = $2`, h.Users[authz.RoleSupervisor], h.Departments["售后部"])
		if err != nil {
			return err
		}
		if _, err = a.Exec(ctx, `DELETE FROM user_roles WHERE user_id = $1`, h.Users[Nobody]); err != nil {
			return err
		}
		// Work is routed to those who are there; leads hand it out.
		_, err = a.Exec(ctx, `UPDATE users SET availability = 'offline' WHERE login NOT IN ('agent', 'engineer', 'sales')`)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// Login is the sign-in name of the person with that role.
func Login(role string) string {
	if role == authz.RoleAdmin {
		return "root"
	}
	return role
}

// Actor returns the person as services see him.
func (h *House) Actor(login string) authz.Actor {
	h.t.Helper()
	a, err := h.Org.Actor(context.Background(), h.Users[login])
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// Cookie signs the person in on a browser of its own.
func (h *House) Cookie(login string) *http.Cookie {
	h.t.Helper()
	var token string
	err := h.DB.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
		token, err = h.Sessions.Create(ctx, tx, h.Users[login], "192.0.2.1", "test")
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return &http.Cookie{Name: web.SessionCookie, Value: token}
}

// Token returns an API token of the person with all scopes.
func (h *House) Token(login string) string {
	h.t.Helper()
	plain, err := h.Org.CreateToken(context.Background(), authz.System("setup"), Login(login), "test", nil, time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	return plain
}

// Call answers a request without a network. body is sent as a form, or as JSON
// when it begins with a brace.
func (h *House) Call(method, target, body string, credentials any) *httptest.ResponseRecorder {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case method != http.MethodGet:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch c := credentials.(type) {
	case *http.Cookie:
		r.AddCookie(c)
	case string:
		if c != "" {
			r.Header.Set("Authorization", "Bearer "+c)
		}
	}
	w := httptest.NewRecorder()
	h.Router.ServeHTTP(w, r)
	return w
}

// Serve answers on loopback until the test ends, background work included, and
// returns the address.
func (h *House) Serve() string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.App.Serve(ctx, l) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
