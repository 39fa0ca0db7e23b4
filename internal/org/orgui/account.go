package orgui

import (
	"net/http"
	"time"

	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type accountView struct {
	Tabs           []tab
	User           org.User
	Department     string
	Teams          []string
	Roles          []string
	Profile        *web.Form
	Presence       *web.Form
	Langs          []ui.Option
	Availabilities []ui.Option
	People         []ui.Option
	HandOver       []org.OpenWork // while he is away
	Week           hoursView
}

type sessionRow struct {
	web.Session
	Device  string
	Current bool
}

type tokenRow struct {
	org.Token
	ScopeNames []string
	Expired    bool
	Revoked    bool
}

type securityView struct {
	Tabs       []tab
	PasswordAt time.Time
	Sessions   []sessionRow
	Others     bool
	Tokens     []tokenRow
	Form       *web.Form
	Scopes     []ui.Option
	Fresh      string // a token that was just made
}

type historyView struct {
	Tabs    []tab
	Mine    bool // what I did, else what happened to my account
	Moments []moment
	Pager   ui.Pager
}

var (
	aTab        = []tab{{Href: "/account", Label: "tab", Current: true}, {Href: "/x", Label: "tab"}}
	aMoment     = moment{ID: 3, At: time.Unix(1, 0), Text: "text", Subject: "subject", Actor: "actor", Changes: []change{{"f", "a", "b"}, {"f", "", "b"}}, Note: "n", Reason: "r", IP: "::1", Device: "d", Tone: "amber", Sealed: 4, Hash: "00", TokenUse: true}
	accountPage = ui.NewPage[accountView](files, "account.html", "tabs.html", "hours.html").Sample(accountView{Week: aWeek, Tabs: aTab, Department: "d", Teams: []string{"t"}, Roles: []string{"r"}, Langs: langOptions(), HandOver: []org.OpenWork{{Name: "common.yes", Count: 1, Page: "/x"}}})
	securityTpl = ui.NewPage[securityView](files, "security.html", "tabs.html").Sample(securityView{Tabs: aTab, PasswordAt: time.Unix(1, 0), Others: true, Fresh: "bht_x",
		Sessions: []sessionRow{{Session: web.Session{ID: 1, IP: "::1", LastSeenAt: time.Unix(1, 0)}, Device: "d", Current: true}, {}},
		Tokens:   []tokenRow{{Token: org.Token{ID: 1, Name: "n"}, ScopeNames: []string{"s"}}, {Expired: true, Token: org.Token{ExpiresAt: time.Unix(1, 0)}}, {Revoked: true}},
		Scopes:   []ui.Option{{Value: "*", Label: "all"}}})
	historyPage = ui.NewPage[historyView](files, "history.html", "tabs.html", "moments.html").Sample(historyView{Tabs: aTab, Moments: []moment{aMoment, {}}, Pager: ui.Pager{Next: "/x"}}, historyView{Mine: true})
)

func (p *pages) accountView(r *web.Request) (v accountView, err error) {
	if v.User, err = p.org.Me(r.Context(), r.Actor); err != nil {
		return v, err
	}
	v.Tabs, v.Langs, v.Availabilities = accountTabs(r, "/account"), langOptions(), availabilityOptions(r)
	if v.People, err = p.personOptions(r, v.User.DelegateID); err != nil {
		return v, err
	}
	v.Department = p.org.DepartmentName(r.Context(), v.User.DepartmentID)
	for _, t := range v.User.Teams {
		v.Teams = append(v.Teams, p.org.DepartmentName(r.Context(), t))
	}
	if v.Roles, err = p.roleNames(r, v.User.RoleIDs); err != nil {
		return v, err
	}
	v.Profile = r.Blank("email", v.User.Email, "phone", v.User.Phone, "lang", string(v.User.Lang))
	v.Presence = presenceForm(r, v.User)
	hours, err := p.org.HoursOf(r.Context(), r.Actor.ID)
	if err != nil {
		return v, err
	}
	v.Week = week(r, hours, nil, "/account/hours")
	v.HandOver, err = p.org.Transferable(r.Context(), r.Actor, v.User)
	return v, err
}

func presenceForm(r *web.Request, u org.User) *web.Form {
	return r.Blank("availability", string(u.Availability), "away_from", localInput(r, u.AwayFrom), "away_until", localInput(r, u.AwayUntil), "delegate", id(u.DelegateID))
}

func readPresence(f *web.Form) org.Presence {
	return org.Presence{Availability: org.Availability(f.Get("availability")), AwayFrom: f.DateTime("away_from"), AwayUntil: f.DateTime("away_until"), DelegateID: f.ID("delegate")}
}

func (p *pages) roleNames(r *web.Request, ids []int64) ([]string, error) {
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, role := range roles {
		for _, x := range ids {
			if x == role.ID {
				out = append(out, role.Title(r.Lang))
			}
		}
	}
	return out, nil
}

func (p *pages) account(w http.ResponseWriter, r *web.Request) error {
	v, err := p.accountView(r)
	if err != nil {
		return err
	}
	return accountPage.Render(w, r, accountChrome(r), v)
}

func (p *pages) editProfile(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := org.ProfileInput{Email: f.String("email"), Phone: f.String("phone"), Lang: i18n.Lang(f.Get("lang"))}
	err := f.Err()
	if err == nil {
		err = p.org.EditProfile(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.accountView(r)
		if verr != nil {
			return verr
		}
		v.Profile = f
		return accountPage.Invalid(w, r, err, f, accountChrome(r), v)
	}
	r.SetLang(w, in.Lang)
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/account")
}

func (p *pages) setPresence(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := readPresence(f)
	err := f.Err()
	if err == nil {
		err = p.org.SetPresence(r.Context(), r.Actor, r.Actor.ID, in)
	}
	if err != nil {
		v, verr := p.accountView(r)
		if verr != nil {
			return verr
		}
		v.Presence = f
		return accountPage.Invalid(w, r, err, f, accountChrome(r), v)
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/account")
}

func (p *pages) securityView(r *web.Request, f *web.Form) (v securityView, err error) {
	u, err := p.org.Me(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	v = securityView{Tabs: accountTabs(r, "/account/security"), PasswordAt: u.PasswordAt, Form: f}
	list, err := p.org.MySessions(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	for _, s := range list {
		row := sessionRow{Session: s, Device: device(r, s.UserAgent), Current: id(s.ID) == r.Actor.Session}
		v.Others = v.Others || !row.Current
		v.Sessions = append(v.Sessions, row)
	}
	tokens, err := p.org.Tokens(r.Context(), r.Actor, r.Actor.ID)
	if err != nil {
		return v, err
	}
	for _, t := range tokens {
		row := tokenRow{Token: t, Revoked: !t.RevokedAt.IsZero()}
		row.Expired = !row.Revoked && !t.Valid(r.Now())
		for _, s := range t.Scopes {
			row.ScopeNames = append(row.ScopeNames, scopeName(r, s))
		}
		v.Tokens = append(v.Tokens, row)
	}
	for _, s := range append(org.TokenScopes(), org.AllScopes) {
		v.Scopes = append(v.Scopes, ui.Option{Value: s, Label: scopeName(r, s), Hint: s})
	}
	return v, nil
}

func scopeName(r *web.Request, s string) string {
	if k := "token.scope." + s; i18n.Has(k) {
		return r.T(k)
	}
	return s
}

func (p *pages) security(w http.ResponseWriter, r *web.Request) error {
	v, err := p.securityView(r, r.Blank())
	if err != nil {
		return err
	}
	return securityTpl.Render(w, r, accountChrome(r), v)
}

func (p *pages) revokeSession(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.org.RevokeSession(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "org.sessions.revoked")
	return r.SeeOther(w, "/account/security")
}

func (p *pages) revokeOthers(w http.ResponseWriter, r *web.Request) error {
	if err := p.org.RevokeOtherSessions(r.Context(), r.Actor); err != nil {
		return err
	}
	r.Flash(w, "green", "org.sessions.revoked_others")
	return r.SeeOther(w, "/account/security")
}

func (p *pages) createToken(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	scopes := f.Strings("scopes")
	if len(scopes) == 0 {
		f.Fail("scopes", "org.token.scope_required")
	}
	expires := f.Date("expires")
	if !expires.IsZero() {
		expires = expires.AddDate(0, 0, 1) // valid through that day
	}
	err := f.Err()
	var plain string
	if err == nil {
		me, merr := p.org.Me(r.Context(), r.Actor)
		if merr != nil {
			return merr
		}
		plain, err = p.org.CreateToken(r.Context(), r.Actor, me.Login, f.String("name"), scopes, expires)
	}
	if err != nil {
		v, verr := p.securityView(r, f)
		if verr != nil {
			return verr
		}
		return securityTpl.Invalid(w, r, err, f, accountChrome(r), v)
	}
	v, err := p.securityView(r, r.Blank())
	if err != nil {
		return err
	}
	v.Fresh = plain // shown in this answer and nowhere again
	return securityTpl.Render(w, r, accountChrome(r), v)
}

func (p *pages) revokeToken(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.org.RevokeToken(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "org.token.revoked")
	return r.SeeOther(w, "/account/security")
}

const historyPageSize = 50

func (p *pages) history(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v := historyView{Tabs: accountTabs(r, "/account/history"), Mine: f.Get("of") == "mine"}
	before := f.ID("before")
	if err := f.Err(); err != nil {
		return err
	}
	list := p.org.SignIns
	if v.Mine {
		list = p.org.Activity
	}
	evs, err := list(r.Context(), r.Actor, before, historyPageSize)
	if err != nil {
		return err
	}
	v.Moments = moments(r, p.org, read(evs))
	base := "/account/history?"
	if v.Mine {
		base += "of=mine&"
	}
	if before != 0 {
		v.Pager.Prev = base
	}
	if len(evs) == historyPageSize {
		v.Pager.Next = base + "before=" + id(evs[len(evs)-1].ID)
	}
	return historyPage.Render(w, r, accountChrome(r), v)
}
