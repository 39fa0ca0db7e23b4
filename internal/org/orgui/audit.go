package orgui

import (
	"net/http"

	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type auditView struct {
	Filter   *web.Form
	Kinds    []ui.Option
	People   []ui.Option
	Subjects []ui.Option
	Moments  []moment
	Pager    ui.Pager
	Report   *event.Report
	Head     string
}

type policyView struct {
	Form *web.Form
}

var (
	auditPage = ui.NewPage[auditView](files, "audit.html", "moments.html").Sample(
		auditView{Moments: []moment{aMoment, {}}, Pager: ui.Pager{Next: "/x"}, Report: &event.Report{Events: 12}, Head: "00"},
		auditView{Report: &event.Report{Events: 3, BrokenAt: 4, Why: "missing"}})
	policyPage = ui.NewPage[policyView](files, "policy.html").Sample(policyView{})
)

// auditFilter reads the filter of the page. The day of "to" is included.
func auditFilter(f *web.Form) event.Filter {
	q := event.Filter{Kind: f.String("kind"), ActorID: f.ID("actor"), BeforeID: f.ID("before"), Limit: historyPageSize,
		Subject: event.Subject{Type: f.String("subject"), ID: f.ID("subject_id")}, From: db.Micros(f.Date("from"))}
	if to := f.Date("to"); !to.IsZero() {
		q.To = db.Micros(to.AddDate(0, 0, 1))
	}
	if q.Subject.Type == "" {
		q.Subject.ID = 0
	}
	return q
}

func (p *pages) auditView(r *web.Request, f *web.Form) (v auditView, err error) {
	v = auditView{Filter: f}
	for _, k := range org.AuditKinds() {
		v.Kinds = append(v.Kinds, ui.Option{Value: k, Label: r.T("event." + k)})
	}
	for _, s := range i18n.Keys(r.Lang) {
		if len(s) > 14 && s[:14] == "audit.subject." {
			v.Subjects = append(v.Subjects, ui.Option{Value: s[14:], Label: r.T(s)})
		}
	}
	v.People, err = p.personOptions(r, f.ID("actor"))
	return v, err
}

func (p *pages) audit(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q := auditFilter(f)
	v, err := p.auditView(r, f)
	if err != nil {
		return err
	}
	if err := f.Err(); err != nil {
		return auditPage.Invalid(w, r, err, f, adminChrome(r, "audit", ""), v)
	}
	rows, err := p.org.Audit(r.Context(), r.Actor, q)
	if err != nil {
		return err
	}
	v.Moments = moments(r, p.org, rows)
	query := r.URL.Query()
	query.Del("before")
	if q.BeforeID != 0 {
		v.Pager.Prev = "/admin/audit?" + query.Encode()
	}
	if len(rows) == historyPageSize {
		query.Set("before", id(rows[len(rows)-1].ID))
		v.Pager.Next = "/admin/audit?" + query.Encode()
	}
	return auditPage.Render(w, r, adminChrome(r, "audit", ""), v)
}

func (p *pages) verifyAudit(w http.ResponseWriter, r *web.Request) error {
	report, err := p.org.VerifyAudit(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v, err := p.auditView(r, r.Blank())
	if err != nil {
		return err
	}
	v.Report, v.Head = &report, hex(report.Head)
	rows, err := p.org.Audit(r.Context(), r.Actor, event.Filter{Limit: historyPageSize})
	if err != nil {
		return err
	}
	v.Moments = moments(r, p.org, rows)
	if len(rows) == historyPageSize {
		v.Pager.Next = "/admin/audit?before=" + id(rows[len(rows)-1].ID)
	}
	return auditPage.Render(w, r, adminChrome(r, "audit", ""), v)
}

func (p *pages) exportAudit(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q := auditFilter(f)
	if err := f.Err(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="audit-`+r.Now().In(r.Location()).Format("20060102-1504")+`.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	return p.org.ExportAudit(r.Context(), r.Actor, q, r.Lang, r.Location(), w)
}

func (p *pages) policy(w http.ResponseWriter, r *web.Request) error {
	c, err := p.org.Policy(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank().Set("max_failures", c.MaxFailures).Set("lock_minutes", c.LockMinutes).Set("min_length", c.MinLength).Set("min_kinds", c.MinKinds).Set("max_age_days", c.MaxAgeDays)
	return policyPage.Render(w, r, adminChrome(r, "policy", ""), policyView{f})
}

func (p *pages) setPolicy(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := org.SignInPolicy{MaxFailures: f.Int("max_failures"), LockMinutes: f.Int("lock_minutes"), MinLength: f.Int("min_length"), MinKinds: f.Int("min_kinds"), MaxAgeDays: f.Int("max_age_days")}
	err := f.Err()
	if err == nil {
		err = p.org.SetPolicy(r.Context(), r.Actor, in)
	}
	if err != nil {
		return policyPage.Invalid(w, r, err, f, adminChrome(r, "policy", ""), policyView{f})
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/admin/sign-in")
}
