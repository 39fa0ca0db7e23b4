// Package orgui shows the organisation: signing in, one's own account, and for
// administrators departments, users, roles, the sign-in policy and the audit
// log. It holds no rules; they are in package org.
package orgui

import (
	"embed"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

// Cookies keep a browser signed in; *web.Sessions does.
type Cookies interface {
	SetCookie(w http.ResponseWriter, r *web.Request, token string)
	End(w http.ResponseWriter, r *web.Request) error
}

type pages struct {
	org     *org.Service
	cookies Cookies
	signIns *web.Limiter
}

// Sign-in attempts of one address: an office behind one address signs in within
// minutes in the morning, a guesser goes on for hours. The lock of the account is
// what stops guessing one password; this stops trying many accounts.
const (
	signInBurst = 60
	signInEvery = 3 * time.Second
)

// Routes adds the pages of the organisation.
func Routes(rt *web.Router, s *org.Service, cookies Cookies, c clock.Clock) {
	p := &pages{org: s, cookies: cookies, signIns: web.NewLimiter(c, signInBurst, signInEvery, 20000)}
	rt.Handle("GET  /sign-in", web.Public, p.showSignIn, web.BeforePassword())
	rt.Handle("POST /sign-in", web.Public, p.signIn, web.BeforePassword())
	rt.Handle("POST /sign-out", web.Public, p.signOut, web.BeforePassword())
	rt.Handle("GET  /password", web.SignedIn, p.showPassword, web.BeforePassword())
	rt.Handle("POST /password", web.SignedIn, p.changePassword, web.BeforePassword())

	rt.Handle("GET  /account", web.SignedIn, p.account)
	rt.Handle("POST /account/profile", web.SignedIn, p.editProfile)
	rt.Handle("POST /account/presence", web.SignedIn, p.setPresence)
	rt.Handle("GET  /account/security", web.SignedIn, p.security)
	rt.Handle("POST /account/sessions/{id}/revocation", web.SignedIn, p.revokeSession)
	rt.Handle("POST /account/sessions/revocation", web.SignedIn, p.revokeOthers)
	rt.Handle("POST /account/tokens", web.SignedIn, p.createToken)
	rt.Handle("POST /account/tokens/{id}/revocation", web.SignedIn, p.revokeToken)
	rt.Handle("GET  /account/history", web.SignedIn, p.history)

	rt.Handle("GET  /admin/departments", org.PermView, p.departments)
	rt.Handle("GET  /admin/departments/new", org.PermManage, p.newDepartment)
	rt.Handle("POST /admin/departments", org.PermManage, p.createDepartment)
	rt.Handle("GET  /admin/departments/{id}", org.PermManage, p.department)
	rt.Handle("POST /admin/departments/{id}", org.PermManage, p.editDepartment)
	rt.Handle("POST /admin/departments/{id}/deactivation", org.PermManage, p.deactivateDepartment)
	rt.Handle("POST /admin/departments/{id}/reactivation", org.PermManage, p.reactivateDepartment)

	rt.Handle("GET  /admin/users", org.PermView, p.users)
	rt.Handle("GET  /admin/users/new", org.PermManage, p.newUser)
	rt.Handle("POST /admin/users", org.PermManage, p.createUser)
	rt.Handle("GET  /admin/users/{id}", org.PermView, p.user)
	rt.Handle("POST /admin/users/{id}", org.PermManage, p.editUser)
	rt.Handle("POST /admin/users/{id}/password", org.PermManage, p.resetPassword)
	rt.Handle("POST /admin/users/{id}/unlocking", org.PermManage, p.unlockUser)
	rt.Handle("POST /admin/users/{id}/presence", org.PermManage, p.setUserPresence)
	rt.Handle("POST /admin/users/{id}/deactivation", org.PermManage, p.deactivateUser)
	rt.Handle("POST /admin/users/{id}/reactivation", org.PermManage, p.reactivateUser)

	rt.Handle("GET  /admin/roles", org.PermManage, p.roles)
	rt.Handle("POST /admin/roles", org.PermManage, p.createRole)
	rt.Handle("GET  /admin/roles/{id}", org.PermManage, p.role)
	rt.Handle("POST /admin/roles/{id}", org.PermManage, p.editRole)
	rt.Handle("POST /admin/roles/{id}/deletion", org.PermManage, p.deleteRole)

	rt.Handle("GET  /admin/sign-in", org.PermSettings, p.policy)
	rt.Handle("POST /admin/sign-in", org.PermSettings, p.setPolicy)
	rt.Handle("GET  /admin/company", org.PermSettings, p.company)
	rt.Handle("POST /admin/company", org.PermSettings, p.setCompany)

	rt.Handle("GET  /admin/audit", org.PermAudit, p.audit)
	rt.Handle("POST /admin/audit/verification", org.PermAudit, p.verifyAudit, web.Slow(10*time.Minute))
	rt.Handle("POST /admin/audit/export", org.PermAudit, p.exportAudit, web.Slow(10*time.Minute))
	p.teamRoutes(rt)
}

// Nav returns the entries of the navigation that lead here.
func Nav() []ui.Nav {
	return []ui.Nav{
		{Key: "account", Href: "/account", Icon: "user", LabelKey: "org.account.title", Menu: true},
		{Key: "departments", Href: "/admin/departments", Icon: "sitemap", LabelKey: "org.departments.title", Perm: org.PermView, Group: "org.admin"},
		{Key: "users", Href: "/admin/users", Icon: "users", LabelKey: "org.users.title", Perm: org.PermView, Group: "org.admin"},
		{Key: "roles", Href: "/admin/roles", Icon: "shield", LabelKey: "org.roles.title", Perm: org.PermManage, Group: "org.admin"},
		{Key: "company", Href: "/admin/company", Icon: "building", LabelKey: "org.company.title", Perm: org.PermSettings, Group: "org.admin"},
		{Key: "policy", Href: "/admin/sign-in", Icon: "lock", LabelKey: "org.policy.title", Perm: org.PermSettings, Group: "org.admin"},
		{Key: "audit", Href: "/admin/audit", Icon: "history", LabelKey: "audit.title", Perm: org.PermAudit, Group: "org.admin"},
	}
}

// tab is one of the pages that belong together.
type tab struct {
	Href, Label string
	Current     bool
}

func accountTabs(r *web.Request, current string) []tab {
	var out []tab
	for _, t := range [][2]string{{"/account", "org.account.profile"}, {"/account/notices", "notify.mine.tab"}, {"/account/security", "org.account.security"}, {"/account/history", "org.account.history"}} {
		out = append(out, tab{Href: t[0], Label: r.T(t[1]), Current: t[0] == current})
	}
	return out
}

// adminChrome frames a page of the administration; sub is the title of a page
// below a list, "" for the list itself.
func adminChrome(r *web.Request, key, sub string) ui.Chrome {
	c := ui.Chrome{Nav: key}
	for _, n := range Nav() {
		if n.Key == key {
			c.Title = r.T(n.LabelKey)
			c.Crumbs = []ui.Crumb{{Label: r.T("org.admin")}, {Label: c.Title, Href: n.Href}}
		}
	}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

func accountChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("org.account.title"), Nav: "account"}
}

// departmentOptions lists departments as the tree shows them; inactive ones only
// where chosen already.
func (p *pages) departmentOptions(r *web.Request, keep ...int64) ([]ui.Option, error) {
	nodes, err := p.org.Tree(r.Context())
	if err != nil {
		return nil, err
	}
	var out []ui.Option
	for _, n := range nodes {
		kept := false
		for _, k := range keep {
			kept = kept || k == n.ID
		}
		if !n.Active && !kept {
			continue
		}
		label := strings.Repeat("　", n.Depth) + n.Name
		if !n.Active {
			label += r.T("org.inactive_suffix")
		}
		out = append(out, ui.Option{Value: id(n.ID), Label: label})
	}
	return out, nil
}

// personOptions lists active colleagues, and those kept who have left.
func (p *pages) personOptions(r *web.Request, keep ...int64) ([]ui.Option, error) {
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, "", 0)
	if fault.Is(err, fault.Forbidden) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	var out []ui.Option
	for _, k := range keep {
		if q, ok, err := p.org.Person(r.Context(), nil, k); err == nil && ok && !q.Active {
			out = append(out, ui.Option{Value: id(q.ID), Label: q.Name + r.T("org.inactive_suffix")})
		}
	}
	for _, q := range people {
		out = append(out, ui.Option{Value: id(q.ID), Label: q.Name + "（" + q.Login + " · " + q.Department + "）"})
	}
	return out, nil
}

func langOptions() []ui.Option {
	return []ui.Option{{Value: string(i18n.ZhCN), Label: "中文"}, {Value: string(i18n.En), Label: "English"}}
}

func availabilityOptions(r *web.Request) []ui.Option {
	var out []ui.Option
	for _, a := range org.Availabilities {
		out = append(out, ui.Option{Value: string(a), Label: r.T("org.availability." + string(a))})
	}
	return out
}

func id(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// moment is one line of a history.
type moment struct {
	ID       int64
	At       time.Time
	Kind     string
	Text     string
	Subject  string
	Actor    string
	Changes  []change
	Note     string
	Reason   string
	IP       string
	Device   string
	Tone     string
	Sealed   int64
	Hash     string
	TokenUse bool
}

type change struct{ Field, Old, New string }

func moments(r *web.Request, o *org.Service, rows []org.AuditRow) []moment {
	out := make([]moment, len(rows))
	for i, e := range rows {
		m := moment{ID: e.ID, At: e.Time, Kind: e.Kind, Text: e.Sentence(r.Lang), Actor: e.ActorName, Note: e.Note(r.Lang), Reason: e.Reason,
			IP: e.IP, Device: device(r, e.UserAgent), Sealed: e.Seq, TokenUse: strings.HasPrefix(e.Session, "token:")}
		if e.ActorKind == authz.Worker {
			m.Actor = r.T("audit.actor.system", authz.SystemName(r.Lang, e.ActorName))
		}
		m.Subject = r.T("audit.subject." + e.Subject.Type)
		if !i18n.Has("audit.subject." + e.Subject.Type) {
			m.Subject = e.Subject.Type
		}
		if e.Name != "" {
			m.Subject += " " + e.Name
		} else if e.Subject.ID != 0 {
			m.Subject += " #" + id(e.Subject.ID)
		}
		for _, c := range e.Changes {
			m.Changes = append(m.Changes, change{o.FieldName(r.Context(), r.Lang, c.Field), org.FieldValue(r.Lang, c.Field, c.Old), org.FieldValue(r.Lang, c.Field, c.New)})
		}
		switch e.Kind {
		case org.SignInFailed:
			m.Tone = "amber"
		case org.UserLocked:
			m.Tone = "red"
		}
		if len(e.Hash) > 4 {
			m.Hash = hex(e.Hash[:4])
		}
		out[i] = m
	}
	return out
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func read(evs []event.Stored) []org.AuditRow {
	out := make([]org.AuditRow, len(evs))
	for i, e := range evs {
		out[i] = org.Read(e)
	}
	return out
}

// device says in few words what a browser calls itself in many.
// Device says which browser on which system an agent is.
func Device(r *web.Request, ua string) string { return device(r, ua) }

func device(r *web.Request, ua string) string {
	if ua == "" {
		return ""
	}
	pick := func(pairs ...string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if strings.Contains(ua, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	browser := pick("MicroMessenger", "WeChat", "DingTalk", "DingTalk", "Lark", "Feishu", "Edg", "Edge", "OPR/", "Opera", "Firefox", "Firefox", "Chrome", "Chrome", "Safari", "Safari", "curl", "curl")
	system := pick("HarmonyOS", "HarmonyOS", "Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS", "macOS", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + " · " + system
	case browser+system != "":
		return browser + system
	}
	return r.T("org.device.unknown")
}

// localInput is an instant as a datetime-local field holds it.
func localInput(r *web.Request, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(r.Location()).Format("2006-01-02T15:04")
}
