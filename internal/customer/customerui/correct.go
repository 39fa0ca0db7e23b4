package customerui

import (
	"net/http"
	"time"

	"bihuan/internal/journal"
	"bihuan/internal/web"
)

// fillCorrection prepares the form of a record with what an own one says.
func (p *pages) fillCorrection(r *web.Request, v *showView, entry int64) error {
	e, err := p.Customers.OwnRecord(r.Context(), r.Actor, v.C.ID, entry)
	if err != nil {
		return err
	}
	rec := e.Record()
	input := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.In(r.Location()).Format("2006-01-02T15:04")
	}
	v.Correcting = e.ID
	v.FollowUp = r.Blank("body", e.Body, "at", input(rec.At), "method", rec.Method, "contact", rec.Contact, "reaction", rec.Reaction, "agreement", rec.Agreement, "next_plan", rec.NextPlan, "next_at", input(rec.NextAt))
	if rec.Done {
		v.FollowUp.Set("done", "1")
	}
	return nil
}

// correct writes the correction; what it corrects stays as it was (FLW-6).
func (p *pages) correct(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	entry, err := r.PathID("entry")
	if err != nil {
		return err
	}
	f := r.Input()
	body, rec := recordOf(f)
	if err = f.Err(); err == nil {
		_, err = p.Customers.Correct(r.Context(), r.Actor, n, entry, body, rec)
	}
	if err != nil {
		return p.again(w, r, n, tabTimeline, err, f, func(v *showView) { v.FollowUp, v.Writing, v.Correcting = f, true, entry })
	}
	r.Flash(w, "green", "customer.follow_up.done")
	return r.SeeOther(w, "/customers/%d", n)
}

// recordOf reads the form of a follow-up record.
func recordOf(f *web.Form) (body string, rec journal.Record) {
	return f.Text("body"), journal.Record{At: f.DateTime("at"), Method: f.Get("method"), Contact: f.Limited("contact", 60), Reaction: f.Limited("reaction", 500),
		Agreement: f.Limited("agreement", 500), NextPlan: f.Limited("next_plan", 500), NextAt: f.DateTime("next_at"), Done: f.Bool("done")}
}
