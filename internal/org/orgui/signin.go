package orgui

import (
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type signInView struct {
	Form *web.Form
	Next string
}

type passwordView struct {
	Form   *web.Form
	Forced bool
	Policy org.SignInPolicy
}

var (
	signInPage   = ui.NewPage[signInView](files, "signin.html").Sample(signInView{Next: "/tickets"})
	passwordPage = ui.NewPage[passwordView](files, "password.html").Sample(passwordView{Forced: true, Policy: org.SignInPolicy{MinLength: 10, MinKinds: 3}})
)

func signInChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("org.sign_in.title"), Layout: ui.Bare}
}

func (p *pages) showSignIn(w http.ResponseWriter, r *web.Request) error {
	next := web.SafeNext(r.FormValue("next"), "/")
	if r.Actor.Kind == authz.User {
		return r.SeeOther(w, "%s", next)
	}
	return signInPage.Render(w, r, signInChrome(r), signInView{Form: r.Blank(), Next: next})
}

func (p *pages) signIn(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	next := web.SafeNext(f.Get("next"), "/")
	err := f.Err()
	if err == nil {
		err = p.signIns.Check(web.Network(r.IP()))
	}
	var in org.SignedIn
	if err == nil {
		in, err = p.org.SignIn(r.Context(), f.Get("login"), f.Get("password"), r.IP(), r.UserAgent())
	}
	if err != nil {
		f.Values.Del("password")
		return signInPage.Invalid(w, r, err, f, signInChrome(r), signInView{Form: f, Next: next})
	}
	if r.Actor.Kind == authz.User { // somebody was still signed in on this browser
		if err := p.org.SignOut(r.Context(), r.Actor); err != nil {
			return err
		}
	}
	p.cookies.SetCookie(w, r, in.Token)
	if in.MustChange {
		return r.SeeOther(w, "/password")
	}
	return r.SeeOther(w, "%s", next)
}

func (p *pages) signOut(w http.ResponseWriter, r *web.Request) error {
	if err := p.org.SignOut(r.Context(), r.Actor); err != nil {
		return err
	}
	if err := p.cookies.End(w, r); err != nil {
		return err
	}
	return r.SeeOther(w, "/sign-in")
}

func passwordChrome(r *web.Request) ui.Chrome {
	c := accountChrome(r)
	c.Title = r.T("org.password.title")
	c.Crumbs = []ui.Crumb{{Label: r.T("org.account.title"), Href: "/account"}, {Label: r.T("org.account.security"), Href: "/account/security"}, {Label: c.Title}}
	if r.Actor.MustChange {
		c = ui.Chrome{Title: c.Title, Layout: ui.Bare}
	}
	return c
}

func (p *pages) passwordView(r *web.Request, f *web.Form) (passwordView, error) {
	policy, err := p.org.Policy(r.Context())
	u, uerr := p.org.Me(r.Context(), r.Actor)
	if err == nil {
		err = uerr
	}
	// Forced for whoever was given his password; whose password is too old still knows it.
	return passwordView{Form: f, Forced: u.MustChange, Policy: policy}, err
}

func (p *pages) showPassword(w http.ResponseWriter, r *web.Request) error {
	v, err := p.passwordView(r, r.Blank())
	if err != nil {
		return err
	}
	return passwordPage.Render(w, r, passwordChrome(r), v)
}

func (p *pages) changePassword(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	err := f.Err()
	if err == nil && f.Get("new") != f.Get("again") {
		err = fault.Invalidf("org.password.refused").Field("again", "org.password.differ")
	}
	if err == nil {
		err = p.org.ChangePassword(r.Context(), r.Actor, f.Get("old"), f.Get("new"))
	}
	if err != nil {
		v, verr := p.passwordView(r, f)
		if verr != nil {
			return verr
		}
		return passwordPage.Invalid(w, r, err, f, passwordChrome(r), v)
	}
	r.Flash(w, "green", "org.password.done")
	if r.Actor.MustChange {
		return r.SeeOther(w, "/")
	}
	return r.SeeOther(w, "/account/security")
}
