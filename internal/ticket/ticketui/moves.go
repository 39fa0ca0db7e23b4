package ticketui

import (
	"html/template"
	"net/http"
	"slices"

	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// moveView is the form of one move.
type moveView struct {
	T      ticket.Ticket
	Dialog bool // over the workspace; else a page of its own, whose form needs no script
	Verb   ticket.Verb
	Query  string
	Form   *web.Form
	Action string
	Back   string

	People, Departments, Codes []ui.Option
	Uploads                    []uploaded
	Sub                        bool // between departments
	Complaint                  bool
	Missed                     bool // a promise was missed: the reason is asked for
	BadStars                   int
	Question                   string // what the customer was asked
	State, Department          string
	Stale                      bool            // somebody was faster: what is new is shown
	Open                       int             // sub-tickets still open
	Notes                      []template.HTML // of other rooms
}

func (p *pages) moveView(r *web.Request, t ticket.Ticket, v ticket.Verb, f *web.Form) (m moveView, err error) {
	ctx := r.Context()
	s, err := p.selected(r)
	if err != nil {
		return m, err
	}
	m = moveView{T: t, Dialog: r.IsFragment(), Verb: v, Form: f, Query: address("", s.keep), Action: address("/tickets/"+t.Number+"/moves/"+string(v), s.keep), Back: address("/tickets/"+t.Number, s.keep),
		Sub: t.ParentID != 0, Complaint: t.Type == "complaint" && t.ParentID == 0, State: r.T("ticket.state." + string(t.State)), Open: t.OpenChildren,
		Department: p.Org.DepartmentName(ctx, t.DepartmentID), Uploads: p.waiting(r, f)}
	for _, note := range p.MoveNotes {
		html, err := note(r, &t, v)
		if err != nil {
			return m, err
		}
		if html != "" {
			m.Notes = append(m.Notes, html)
		}
	}
	switch v {
	case ticket.Assign, ticket.Reassign:
		if m.People, err = p.people(r, t.DepartmentID, ticket.PermHandle); err != nil {
			return m, err
		}
		m.Departments, err = p.departments(r, id)
	case ticket.RequestHelp:
		m.Departments, err = p.departments(r, id)
		m.Departments = slices.DeleteFunc(m.Departments, func(o ui.Option) bool { return o.Value == id(t.DepartmentID) })
	case ticket.RequestConfirmation:
		missed, merr := sla.MissedPromise(ctx, p.Tickets.DB().Read(), t.ID, r.Now())
		m.Missed, err = missed, merr
	case ticket.Confirm, ticket.Dispute:
		cfg, cerr := p.Tickets.Config(ctx)
		m.BadStars, err = cfg.BadStars, cerr
	case ticket.Answer:
		es, _, jerr := journal.Of(ctx, p.Tickets.DB().Read(), journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{journal.Question}, Limit: 1})
		if err = jerr; len(es) > 0 {
			m.Question = es[0].Body
		}
	case ticket.Cancel:
		m.Codes = options(r, "ticket.cancel.", ticket.CancelReasons)
	}
	return m, err
}

// begin fills the form the way the move usually ends.
func begin(r *web.Request, t ticket.Ticket, v ticket.Verb) *web.Form {
	f := r.Blank("version", id(t.Version))
	switch v {
	case ticket.RequestConfirmation:
		f.Set("solution", t.Solution).Set("body", t.Summary).Set("cause", t.Cause).Set("corrective", t.Corrective).Set("delay_reason", t.DelayReason)
	case ticket.RequestHelp:
		f.Set("title", t.Title)
	case ticket.Dispute:
		f.Set("unsolved", "1")
	}
	return f
}

// allowed returns the verb of the address, or the refusal in the words of the
// ticket's state and the person's part in it.
func (p *pages) allowed(r *web.Request, t *ticket.Ticket) (ticket.Verb, error) {
	v := ticket.Verb(r.PathValue("verb"))
	if !slices.Contains(ticket.Verbs, v) {
		return v, ui.NoSuchPage()
	}
	if slices.Contains(p.Tickets.Allowed(r.Context(), r.Actor, t), v) {
		return v, nil
	}
	return v, fault.New(fault.Conflict, "ticket.move.not_now")
}

func (p *pages) showMove(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	v, err := p.allowed(r, &t)
	if err != nil {
		return err
	}
	if v == ticket.Merge {
		return r.SeeOther(w, "/tickets/%s/merge", t.Number)
	}
	f := begin(r, t, v)
	if r.URL.Query().Get("from") == kindReply { // written in the composer, where there was no room for the rest
		d, err := p.Tickets.Draft(r.Context(), r.Actor, t.ID, kindReply)
		if err != nil {
			return err
		}
		f.Set("from", kindReply).Set("body", d.Body)
		if f.Get("solution") == "" {
			f.Set("solution", d.Body)
		}
		for _, n := range d.Files {
			f.Values.Add("file", id(n))
		}
	}
	if v == ticket.RequestConfirmation && f.Get("body") == "" {
		answer, err := ticket.UnifiedAnswer(r.Context(), p.Tickets.DB().Read(), t)
		if err != nil {
			return err
		}
		f.Set("body", answer)
	}
	m, err := p.moveView(r, t, v, f)
	if err != nil {
		return err
	}
	return p.showDialog(w, r, m)
}

func (p *pages) showDialog(w http.ResponseWriter, r *web.Request, m moveView) error {
	if r.IsFragment() {
		return movePage.Fragment(w, r, "dialog", m)
	}
	return movePage.Render(w, r, sheet(r, r.T("ticket.verb."+string(m.Verb)), ui.Crumb{Label: m.T.Number, Href: m.Back}), m)
}

// move makes the move of the address.
func (p *pages) move(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	v := ticket.Verb(r.PathValue("verb"))
	f := r.Input()
	in := ticket.Input{Version: f.Int64("version"), AssigneeID: f.ID("assignee"), DepartmentID: f.ID("department"), Reason: f.Limited("reason", 1000), Code: f.String("code"),
		Duplicate: f.String("duplicate"), Title: f.Limited("title", 200), Body: f.Limited("body", journal.MaxBody), Solution: f.Limited("solution", journal.MaxBody),
		Cause: f.Limited("cause", 2000), Corrective: f.Limited("corrective", 2000), DelayReason: f.Limited("delay_reason", 2000)}
	if v == ticket.RequestHelp {
		in.Due = f.DateTime("due")
	}
	if v == ticket.Confirm || v == ticket.Dispute {
		rating := ticket.Rating{Stars: f.IntIn("stars", 0, 5), Speed: f.IntIn("speed", 0, 5), Quality: f.IntIn("quality", 0, 5), Attitude: f.IntIn("attitude", 0, 5), Handling: f.IntIn("handling", 0, 5),
			Comment: f.Limited("comment", 2000), Solved: v == ticket.Confirm || !f.Bool("unsolved")}
		if rating.Stars > 0 || v == ticket.Dispute {
			in.Rating = &rating
		}
	}
	if in.Files, err = p.received(r, f); err == nil {
		err = f.Err()
	}
	if err == nil {
		_, err = p.Tickets.Do(r.Context(), r.Actor, t.ID, v, in)
	}
	if err != nil {
		return p.notMoved(w, r, t, v, f, err)
	}
	if f.Get("from") == kindReply { // what was written there has been sent
		if err := p.Tickets.KeepDraft(r.Context(), r.Actor, t.ID, kindReply, ticket.Writing{}); err != nil {
			return err
		}
		s, err := p.selected(r)
		if err != nil {
			return err
		}
		return r.SeeOther(w, "%s", address("/tickets/"+t.Number, s.keep))
	}
	if v == ticket.Unmerge {
		r.Flash(w, "green", "ticket.merge.undone", t.Number)
		return r.SeeOther(w, "/tickets/%s", t.Number)
	}
	what := whole
	if slices.Contains(inside, v) {
		what = middle
	}
	return p.changed(w, r, t, what, ui.Into("nothing", "#movebox", "innerHTML"))
}

// inside are the moves that change nothing of what stands beside the timeline:
// neither what is known of the ticket, nor its customer, relations or ratings.
var inside = []ticket.Verb{ticket.Acknowledge, ticket.Take, ticket.Assign, ticket.Reassign, ticket.Decline, ticket.Ask, ticket.Answer, ticket.Resume, ticket.Withdraw}

// notMoved shows the form again with everything typed. When somebody else was
// faster it shows what is new and lets the person send it again.
func (p *pages) notMoved(w http.ResponseWriter, r *web.Request, t ticket.Ticket, v ticket.Verb, f *web.Form, err error) error {
	fe, ok := fault.As(err)
	if !ok || !slices.Contains(ticket.Verbs, v) || fe.Kind != fault.Invalid && fe.Kind != fault.Conflict && fe.Kind != fault.Limited {
		return err
	}
	if slices.Contains(plain, v) {
		return err // there is no form: a word is enough
	}
	fresh, gerr := p.Tickets.Get(r.Context(), ticket.View(r.Actor), t.ID)
	if gerr != nil {
		return gerr
	}
	m, merr := p.moveView(r, fresh, v, f)
	if merr != nil {
		return merr
	}
	if fe.Key == "ticket.changed_meanwhile" {
		m.Stale = true
		f.Set("version", fresh.Version)
	}
	if r.IsFragment() {
		return movePage.InvalidFragment(w, r, err, f, "dialog", m)
	}
	return movePage.Invalid(w, r, err, f, sheet(r, r.T("ticket.verb."+string(v)), ui.Crumb{Label: t.Number, Href: m.Back}), m)
}

// editView is the form of what describes a ticket.
type editView struct {
	T      ticket.Ticket
	Dialog bool // as of a moveView
	Form   *web.Form
	Action string
	Back   string
	Stale  bool
	Theirs []theirs     // what differs from what he wants, when somebody else was faster
	Fields []ui.Control // the company's own

	Types, Classes, Categories, Urgencies, Priorities []ui.Option
}

func (p *pages) editView(r *web.Request, t ticket.Ticket, f *web.Form) (v editView, err error) {
	s, err := p.selected(r)
	if err != nil {
		return v, err
	}
	v = editView{T: t, Dialog: r.IsFragment(), Form: f, Action: address("/tickets/"+t.Number+"/edit", s.keep), Back: address("/tickets/"+t.Number, s.keep),
		Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes),
		Urgencies: options(r, "ticket.urgency.", ticket.Urgencies), Priorities: options(r, "ticket.priority.", ticket.Priorities)}
	if v.Categories, err = p.categories(r); err != nil {
		return v, err
	}
	defs, have, err := p.fields(r, t.ID)
	v.Fields = fieldui.Inputs(r, defs, "", "", "type", have)
	return v, err
}

// fields are the company's own fields of tickets, and what ticket id has in them;
// nothing more is asked when there are none.
func (p *pages) fields(r *web.Request, id int64) ([]field.Def, map[int64]field.Value, error) {
	defs, err := p.Tickets.FieldDefs(r.Context(), r.Lang)
	if err != nil || len(defs) == 0 || id == 0 {
		return defs, nil, err
	}
	have, err := p.Tickets.FieldValues(r.Context(), p.Tickets.DB().Read(), id)
	return defs, have, err
}

func (p *pages) showEdit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Blank("version", id(t.Version), "title", t.Title, "type", t.Type, "class", t.Class, "urgency", t.Urgency, "priority_reason", t.PriorityReason)
	if t.CategoryID != 0 {
		f.Set("category", t.CategoryID)
	}
	if t.PriorityReason != "" {
		f.Set("priority", t.Priority)
	}
	defs, have, err := p.fields(r, t.ID)
	if err != nil {
		return err
	}
	fieldui.Fill(f, defs, "", have)
	v, err := p.editView(r, t, f)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return editPage.Fragment(w, r, "dialog", v)
	}
	return editPage.Render(w, r, sheet(r, r.T("ticket.edit.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.Edit{Version: f.Int64("version"), Title: f.String("title"), Type: f.String("type"), Class: f.String("class"), CategoryID: f.ID("category"),
		Urgency: f.String("urgency"), Priority: f.String("priority"), PriorityReason: f.Limited("priority_reason", 500)}
	defs, _, err := p.fields(r, 0)
	if err != nil {
		return err
	}
	in.Fields = fieldui.Read(f, defs, "")
	if err = f.Err(); err == nil {
		_, err = p.Tickets.Edit(r.Context(), r.Actor, t.ID, in)
	}
	if err != nil {
		fresh, gerr := p.Tickets.Get(r.Context(), ticket.View(r.Actor), t.ID)
		if gerr != nil {
			return gerr
		}
		v, verr := p.editView(r, fresh, f)
		if verr != nil {
			return verr
		}
		if fe, ok := fault.As(err); ok && fe.Key == "ticket.changed_meanwhile" {
			v.Stale = true
			f.Set("version", fresh.Version)
			if v.Theirs, verr = p.differing(r, fresh, f, v); verr != nil {
				return verr
			}
		}
		if r.IsFragment() {
			return editPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return editPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.edit.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
	}
	return p.changed(w, r, t, whole, ui.Into("nothing", "#movebox", "innerHTML"))
}
