package ticketui

import (
	"net/http"
	"strings"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// corrections marks the lines of tl that correct others or are corrected, and
// offers the reader to correct his own. Only a stretch of the past has to be
// asked about: what corrects a line is newer than it.
func (p *pages) corrections(r *web.Request, t ticket.Ticket, es []journal.Entry, tl *timeline) error {
	place := func(entry int64, here bool) string {
		if here {
			return "#e" + id(entry)
		}
		return "/tickets/" + t.Number + "?entry=" + id(entry) + "#e" + id(entry)
	}
	shown, by := map[int64]bool{}, map[int64]int64{}
	var asked []int64
	for _, e := range es {
		shown[e.ID] = true
		if e.CorrectsID != 0 {
			by[e.CorrectsID] = e.ID
		}
		if e.Kind == journal.FollowUp || e.Kind == journal.Note {
			asked = append(asked, e.ID)
		}
	}
	if tl.Later && len(asked) > 0 {
		later, err := journal.CorrectedBy(r.Context(), p.Tickets.DB().Read(), asked)
		if err != nil {
			return err
		}
		for of, n := range later {
			by[of] = n
		}
	}
	open := t.State != ticket.Closed && r.Actor.Can(ticket.PermNote)
	for i, e := range es {
		l := &tl.Lines[i]
		if e.CorrectsID != 0 {
			l.Corrects = place(e.CorrectsID, shown[e.CorrectsID])
		}
		if n := by[e.ID]; n != 0 {
			l.CorrectedBy = place(n, shown[n])
		} else if open && e.Correctable(r.Actor) {
			l.Correct = "/tickets/" + t.Number + "/entries/" + id(e.ID) + "/correction"
		}
	}
	return nil
}

// correctView is the form of a correction.
type correctView struct {
	T       ticket.Ticket
	Dialog  bool
	Form    *web.Form
	Action  string
	Back    string
	Record  bool // of a follow-up record; else of a note
	Was     string
	Methods []ui.Option
	People  []ui.Option
	Vague   []string
}

var correctPage = ui.NewPage[correctView](files, "correct.html").Sample(
	correctView{Dialog: true, Form: &web.Form{}, Record: true, Was: "x", Methods: []ui.Option{{Value: "phone", Label: "x"}}, People: []ui.Option{{Value: "1", Label: "x"}}, Vague: []string{"x"}}, correctView{Form: &web.Form{}})

// corrected loads the entry of the address, if the reader may correct it.
func (p *pages) corrected(r *web.Request) (t ticket.Ticket, e journal.Entry, err error) {
	if t, err = p.open(r); err != nil {
		return t, e, err
	}
	n, err := r.PathID("entry")
	if err != nil {
		return t, e, err
	}
	if e, err = journal.Get(r.Context(), p.Tickets.DB().Read(), n); err != nil {
		return t, e, err
	}
	switch {
	case e.TicketID != t.ID:
		return t, e, ui.NoSuchPage()
	case e.Kind.Public():
		return t, e, fault.New(fault.Conflict, "journal.correct.public")
	case !e.Correctable(r.Actor):
		return t, e, fault.New(fault.Forbidden, "journal.correct.not_yours")
	}
	return t, e, nil
}

func (p *pages) correctView(r *web.Request, t ticket.Ticket, e journal.Entry, f *web.Form) (v correctView, err error) {
	s, err := p.selected(r)
	if err != nil {
		return v, err
	}
	v = correctView{T: t, Dialog: r.IsFragment(), Form: f, Record: e.Kind == journal.FollowUp, Was: e.Body, Methods: options(r, "journal.method.", journal.Methods),
		Action: address("/tickets/"+t.Number+"/entries/"+id(e.ID)+"/correction", s.keep), Back: address("/tickets/"+t.Number, s.keep)}
	if v.Record && r.Actor.Can(org.PermDirectory) {
		v.People, err = p.people(r, r.Actor.DepartmentID, "")
	}
	return v, err
}

func (p *pages) showCorrection(w http.ResponseWriter, r *web.Request) error {
	t, e, err := p.corrected(r)
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
	f := r.Blank("body", e.Body, "at", input(rec.At), "method", rec.Method, "contact", rec.Contact, "reaction", rec.Reaction, "agreement", rec.Agreement, "next_plan", rec.NextPlan, "next_at", input(rec.NextAt))
	if rec.NextOwnerID != 0 {
		f.Set("next_owner", rec.NextOwnerID)
	}
	if rec.Done {
		f.Set("done", "1")
	}
	v, err := p.correctView(r, t, e, f)
	if err != nil {
		return err
	}
	if v.Dialog {
		return correctPage.Fragment(w, r, "dialog", v)
	}
	return correctPage.Render(w, r, sheet(r, r.T("ticket.correct.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
}

// correct writes the correction; what it corrects stays as it was (FLW-6).
func (p *pages) correct(w http.ResponseWriter, r *web.Request) error {
	t, e, err := p.corrected(r)
	if err != nil {
		return err
	}
	f := r.Input()
	body := f.Limited("body", journal.MaxBody)
	var rec journal.Record
	var vague []string
	if e.Kind == journal.FollowUp {
		rec = journal.Record{At: f.DateTime("at"), Method: f.String("method"), Contact: f.Limited("contact", 100), Reaction: f.Limited("reaction", 500),
			Agreement: f.Limited("agreement", 500), NextPlan: f.Limited("next_plan", 500), NextAt: f.DateTime("next_at"), Done: f.Bool("done")}
		if rec.NextPlan != "" || !rec.NextAt.IsZero() {
			rec.NextOwnerID = f.ID("next_owner")
		}
		cfg, cerr := p.Tickets.Config(r.Context())
		if cerr != nil {
			return cerr
		}
		if !cfg.RefuseVague && !f.Bool("anyway") && strings.TrimSpace(body) != "" {
			for _, k := range journal.Vague(body) {
				vague = append(vague, r.T(k))
			}
		}
	}
	if err = f.Err(); err == nil && vague != nil {
		words := strings.Join(vague, r.T("ticket.list.comma"))
		err = fault.Invalidf("journal.vague.warn", words).Field("body", "journal.vague.warn", words)
	}
	if err == nil {
		_, err = p.Tickets.Correct(r.Context(), r.Actor, t.ID, e.ID, body, rec)
	}
	if err != nil {
		v, verr := p.correctView(r, t, e, f)
		if verr != nil {
			return verr
		}
		v.Vague = vague
		if v.Dialog {
			return correctPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return correctPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.correct.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
	}
	return p.changed(w, r, t, whole, ui.Into("nothing", "#movebox", "innerHTML"))
}
