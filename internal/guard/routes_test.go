package guard

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/web"
)

// The list of routes with their permissions is what a security review reads; a
// change of it must be seen in the change itself.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := apptest.Open(t, apptest.Options{})
	var b strings.Builder
	for _, r := range h.Router.Routes() {
		b.WriteString(r.String() + "\n")
		if _, ok := authz.Find(r.Perm); !ok && r.Perm != web.Public && r.Perm != web.SignedIn {
			t.Errorf("%s needs %s, which no room declares", r, r.Perm)
		}
	}
	golden(t, "routes.golden", b.String())
}

// Every entry of the navigation leads somewhere.
func TestNavigationLeadsSomewhere(t *testing.T) {
	t.Parallel()
	h := apptest.Open(t, apptest.Options{})
	pages := map[string]bool{}
	for _, r := range h.Router.Routes() {
		if r.Method == http.MethodGet {
			pages[r.Path] = true
		}
	}
	for _, n := range append(h.Shell.Nav, h.Shell.Actions...) {
		if !pages[n.Href] {
			t.Errorf("%s: no page at %s", n.Key, n.Href)
		}
	}
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// Every route answers every role as its table declares (ORG-2): refused before
// anything is looked up where the permission is missing, and never refused,
// never broken where it is there. The records named do not exist, so whatever
// else the service might object to does not come up.
func TestRoutesAnswerEveryRole(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		const outside = "" // not signed in
		browsers, tokens := map[string]*http.Cookie{}, map[string]string{}
		for _, login := range apptest.Logins {
			tokens[login] = h.Token(login)
		}
		calls := 0
		for _, route := range h.Router.Routes() {
			target := strings.TrimSuffix(route.Path, "{$}")
			target = wildcard.ReplaceAllStringFunc(target, func(w string) string {
				if strings.Contains(w, "number") {
					return "T-000000-0000"
				}
				return "987654321"
			})
			method, body := route.Method, ""
			if method == "" {
				method = http.MethodGet
			}
			api := strings.HasPrefix(route.Path, "/api/v1/")
			if api && method != http.MethodGet {
				body = "{}"
			}
			for _, login := range append([]string{outside}, apptest.Logins...) {
				var by any
				may := route.Perm == web.Public
				if login != outside {
					a := h.Actor(login)
					may = may || route.Perm == web.SignedIn || a.Can(route.Perm) && (!api || route.Perm != "org.own_account")
					switch {
					case api:
						by = tokens[login]
					case method == http.MethodGet && browsers[login] != nil:
						by = browsers[login]
					default: // a change may end the session it comes with
						browsers[login] = h.Cookie(login)
						by = browsers[login]
					}
				}
				if may && route.Path == "/live" {
					continue // a stream that does not end
				}
				w := h.Call(method, target, body, by)
				if method != http.MethodGet {
					delete(browsers, login)
				}
				calls++
				name := fmt.Sprintf("%s %s as %q (%s)", method, target, login, route.Perm)
				code := w.Code
				if strings.HasPrefix(route.Path, "/c/") && code == http.StatusForbidden {
					continue // the customer's own pages: staff may look, not write in his name
				}
				signIn := code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/sign-in")
				switch {
				case code >= 500:
					t.Errorf("%s: %d\n%s", name, code, firstWords(w.Body.String()))
				case may && (code == http.StatusUnauthorized || code == http.StatusForbidden || signIn && route.Perm != web.Public):
					t.Errorf("%s: refused with %d, and the permission is there", name, code)
				case !may && login == outside && code != http.StatusUnauthorized && !signIn:
					t.Errorf("%s: %d, and nobody is signed in", name, code)
				case !may && login != outside && code != http.StatusForbidden:
					t.Errorf("%s: %d, and the permission is not there", name, code)
				}
			}
		}
		t.Logf("%d calls", calls)
	})
}

func firstWords(s string) string {
	s = strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(s, " ")), " ")
	if len(s) > 300 {
		s = s[:300]
	}
	return s
}
