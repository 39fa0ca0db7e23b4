package ticketui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// composer is where somebody writes: a reply, a note or a follow-up record,
// each with a text of its own, so that changing one's mind loses nothing.
type composer struct {
	Kinds   []string
	Kind    string
	Form    *web.Form
	Methods []ui.Option
	People  []ui.Option
	Uploads []uploaded
	Vague   []string // what the record lacks, in the reader's language; nil: nothing
	begun   bool     // something is written already
	actor   int64
}

// Key makes what nobody has begun to write be drawn once: it is the same for
// every ticket.
func (c composer) Key() any {
	if c.Form == nil || c.begun || len(c.Form.Errors) > 0 || len(c.Uploads) > 0 || len(c.Vague) > 0 {
		return nil
	}
	return strings.Join(c.Kinds, " ") + " " + c.Kind + " " + id(c.actor) + " " + offered(c.People)
}

const (
	kindReply    = "reply"
	kindNote     = "note"
	kindFollowUp = "followup"
)

// recordFields are kept with the draft of a follow-up record.
var recordFields = []string{"at", "method", "contact", "reaction", "agreement", "next_plan", "next_owner", "next_at", "done"}

func draftPlace(t int64, kind string) string { return "ticket:" + id(t) + ":" + kind }

// kinds are what the reader may write.
func (v *pane) kinds() (ks []string) {
	if v.CanReply {
		ks = append(ks, kindReply)
	}
	if v.CanWrite {
		ks = append(ks, kindNote, kindFollowUp)
	}
	return ks
}

// composerOf prepares the composer; f nil: with the drafts of the reader.
func (p *pages) composerOf(r *web.Request, v *pane, f *web.Form) (composer, error) {
	c := composer{Form: f, begun: f != nil, actor: r.Actor.ID}
	if c.Kinds = v.kinds(); len(c.Kinds) == 0 {
		return c, nil
	}
	c.Methods = options(r, "journal.method.", journal.Methods)
	if r.Actor.Can(org.PermDirectory) {
		people, err := p.people(r, r.Actor.DepartmentID, "")
		if err != nil {
			return c, err
		}
		c.People = people
	}
	if f == nil {
		c.Form = r.Blank("method", "phone", "next_owner", id(r.Actor.ID))
		drafts, err := p.Tickets.Drafts(r.Context(), r.Actor, "ticket:"+id(v.T.ID)+":")
		if err != nil {
			return c, err
		}
		for _, k := range c.Kinds {
			if text := drafts[draftPlace(v.T.ID, k)]; text != "" {
				c.begun = true
				c.Form.Set("body_"+k, text)
				if c.Kind == "" {
					c.Kind = k
				}
			}
		}
		if more, err := url.ParseQuery(drafts[draftPlace(v.T.ID, "record")]); err == nil {
			for _, n := range recordFields {
				if more.Get(n) != "" {
					c.begun = true
					c.Form.Set(n, more.Get(n))
				}
			}
		}
	} else {
		c.Kind = f.Get("kind")
		c.Uploads = p.waiting(r, f)
	}
	if !slices.Contains(c.Kinds, c.Kind) {
		c.Kind = c.Kinds[0]
	}
	return c, nil
}

// recordDraft is what of the form belongs to a follow-up beside its text, ""
// when it is as the form began.
func recordDraft(f *web.Form, actor int64) string {
	q := url.Values{}
	for _, n := range recordFields {
		v := f.String(n)
		if v != "" && !(n == "method" && v == "phone") && !(n == "next_owner" && v == id(actor)) {
			q.Set(n, v)
		}
	}
	return q.Encode()
}

// saveDraft keeps what is being written. Nothing else changes.
func (p *pages) saveDraft(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	if err := p.keepDrafts(r, t, f, ""); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keepDrafts stores the texts of the form that differ from what is stored; the
// draft of the kind sent is removed.
func (p *pages) keepDrafts(r *web.Request, t ticket.Ticket, f *web.Form, sent string) error {
	had, err := p.Tickets.Drafts(r.Context(), r.Actor, "ticket:"+id(t.ID)+":")
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, k := range []string{kindReply, kindNote, kindFollowUp} {
		if f.Has("body_"+k) || k == sent {
			want[k] = f.Text("body_" + k)
		}
	}
	if f.Has("method") {
		want["record"] = recordDraft(f, r.Actor.ID)
	}
	if sent != "" {
		want[sent] = ""
		if sent == kindFollowUp {
			want["record"] = ""
		}
	}
	for k, text := range want {
		if place := draftPlace(t.ID, k); had[place] != text {
			if err := p.Tickets.SaveDraft(r.Context(), r.Actor, place, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// write sends what was written. A vague record is pointed out first and saved
// when its writer insists (FLW-3).
func (p *pages) write(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	ctx, f := r.Context(), r.Input()
	kind := f.Choice("kind", kindReply, kindNote, kindFollowUp)
	text := f.Text("body_" + kind)
	var vague []string
	what := written
	uploads, err := p.received(r, f)
	if err == nil {
		err = f.Err()
	}
	if err == nil {
		switch kind {
		case kindReply:
			_, err = p.Tickets.Reply(ctx, r.Actor, t.ID, text, uploads)
		case kindNote:
			var named []int64
			if named, err = p.mentions(ctx, r, text); err == nil {
				if len(named) > 0 {
					what = whole // they watch it now
				}
				_, err = p.Tickets.Note(ctx, r.Actor, t.ID, text, named, uploads)
			}
		case kindFollowUp:
			rec := journal.Record{At: f.DateTime("at"), Method: f.String("method"), Contact: f.Limited("contact", 100), Reaction: f.Limited("reaction", 500),
				Agreement: f.Limited("agreement", 500), NextPlan: f.Limited("next_plan", 500), NextAt: f.DateTime("next_at"), Done: f.Bool("done")}
			if rec.NextPlan != "" || !rec.NextAt.IsZero() {
				rec.NextOwnerID = f.ID("next_owner")
			}
			if err = f.Err(); err != nil {
				break
			}
			cfg, cerr := p.Tickets.Config(ctx)
			if cerr != nil {
				return cerr
			}
			if err = journal.CheckFollowUp(r.Now(), text, rec, false); err == nil && !cfg.RefuseVague && !f.Bool("anyway") {
				for _, k := range journal.Vague(text) {
					vague = append(vague, r.T(k))
				}
			}
			if err == nil && vague == nil {
				_, err = p.Tickets.FollowUp(ctx, r.Actor, t.ID, text, rec, uploads)
			}
		}
	}
	if vague != nil {
		err = fault.Invalidf("journal.vague.warn", strings.Join(vague, r.T("ticket.list.comma"))).Field("body_followup", "journal.vague.warn", strings.Join(vague, r.T("ticket.list.comma")))
	}
	if err != nil {
		return p.notWritten(w, r, t, f, moveField(err, "body", "body_"+kind), vague)
	}
	if err := p.keepDrafts(r, t, f, kind); err != nil {
		return err
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	if !r.IsFragment() {
		return r.SeeOther(w, "%s", address("/tickets/"+t.Number, s.keep))
	}
	if t, err = p.Tickets.Get(ctx, ticket.View(r.Actor), t.ID); err != nil {
		return err
	}
	v, err := p.refreshed(r, t, s.keep, what)
	if err != nil {
		return err
	}
	if v.Composer, err = p.composerOf(r, v, nil); err != nil {
		return err
	}
	v.Composer.Kind = kind
	if !slices.Contains(v.Composer.Kinds, kind) {
		v.Composer.Kind = v.Composer.Kinds[0]
	}
	r.Trigger(w, "ticket:written")
	return workspacePage.Fragment(w, r, "composer", workspace{Pane: v}, parts(r, v, what)...)
}

// moveField renames a field of a fault: the room speaks of "body", this form
// has one for each kind.
func moveField(err error, from, to string) error {
	if e, ok := fault.As(err); ok {
		for i := range e.Fields {
			if e.Fields[i].Field == from {
				e.Fields[i].Field = to
			}
		}
	}
	return err
}

func (p *pages) notWritten(w http.ResponseWriter, r *web.Request, t ticket.Ticket, f *web.Form, err error, vague []string) error {
	s, serr := p.selected(r)
	if serr != nil {
		return serr
	}
	if fe, ok := fault.As(err); ok && fe.Kind == fault.Forbidden {
		// What he wrote must not be lost because the ticket has just been passed on.
		fe.Kind = fault.Conflict
	}
	if !r.IsFragment() {
		if !f.Explain(err) {
			return err
		}
		w.Header().Set("Cache-Control", "no-store")
		return p.renderStatus(w, r, err, f, t, func(v *pane) {
			v.Composer, _ = p.composerOf(r, v, f)
			v.Composer.Vague = vague
		})
	}
	v, herr := p.headOf(r, t, s.keep)
	if herr != nil {
		return herr
	}
	if v.Composer, herr = p.composerOf(r, v, f); herr != nil {
		return herr
	}
	v.Composer.Vague = vague
	if len(v.Composer.Kinds) == 0 {
		return err
	}
	return workspacePage.InvalidFragment(w, r, err, f, "composer", workspace{Pane: v})
}

// renderStatus is renderTicket for a form that failed.
func (p *pages) renderStatus(w http.ResponseWriter, r *web.Request, err error, f *web.Form, t ticket.Ticket, change func(*pane)) error {
	ws, s, lerr := p.lists(r, t.Number, true)
	if lerr != nil {
		return lerr
	}
	if ws.Pane, lerr = p.paneOf(r, t, s.keep); lerr != nil {
		return lerr
	}
	change(ws.Pane)
	return workspacePage.Invalid(w, r, err, f, chrome(r, t.Number+" "+t.Title, true), ws)
}
