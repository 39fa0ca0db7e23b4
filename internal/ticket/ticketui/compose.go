package ticketui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bihuan/internal/db"
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
	Kinds    []string
	Kind     string
	Form     *web.Form
	Methods  []ui.Option
	People   []ui.Option
	Uploads  map[string][]uploaded // by kind
	Vague    []string              // what the record lacks, in the reader's language; nil: nothing
	Claim    bool                  // nobody handles the ticket: a reply takes it
	Sends    []sendWith            // moves a reply can come with
	Articles bool                  // knowledge articles can be called
	Canned   bool                  // texts under a short code can be called
	Needs    ticket.Verb           // the move whose form asks for more than a text; "" none
	Answer   string                // what a conference agreed to say
	begun    bool                  // something is written already
	actor    int64
}

// sendWith is a move that a reply can come with, so that both are one step.
type sendWith struct {
	Verb ticket.Verb // "": a reply alone
	Icon string
}

// Key makes what nobody has begun to write be drawn once: it is the same for
// every ticket.
func (c composer) Key() any {
	if c.Form == nil || c.begun || len(c.Form.Errors) > 0 || len(c.Uploads) > 0 || len(c.Vague) > 0 {
		return nil
	}
	key := strings.Join(c.Kinds, " ") + " " + c.Kind + " " + id(c.actor) + " " + offered(c.People)
	for _, s := range c.Sends {
		key += " " + string(s.Verb)
	}
	return key + fmt.Sprint(" ", c.Claim, c.Canned, c.Articles)
}

const (
	kindReply    = "reply"
	kindNote     = "note"
	kindFollowUp = "followup"
)

// recordFields are kept with the draft of a follow-up record.
var recordFields = []string{"at", "method", "contact", "reaction", "agreement", "next_plan", "next_owner", "next_at", "done"}

func draftPlace(t int64, kind string) string { return "ticket:" + id(t) + ":" + kind }

// DraftKind is the kind of a draft that an input names; a reply, when it names
// none.
func DraftKind(name string) string {
	if name == kindNote || name == kindFollowUp {
		return name
	}
	return kindReply
}

// kinds are what the reader may write. Who could take the ticket may reply: his
// reply takes it.
func (v *pane) kinds() (ks []string) {
	if v.CanReply || v.Takes() {
		ks = append(ks, kindReply)
	}
	if v.CanWrite {
		ks = append(ks, kindNote, kindFollowUp)
	}
	return ks
}

// colleaguesOf holds whom a record may name, those of the department first.
type colleaguesOf int64

// composerOf prepares the composer; f nil: with the drafts of the reader.
func (p *pages) composerOf(r *web.Request, v *pane, f *web.Form) (composer, error) {
	c := composer{Form: f, begun: f != nil, actor: r.Actor.ID, Uploads: map[string][]uploaded{}, Claim: v.Takes(), Canned: p.Canned != nil && p.Canned(r.Actor), Articles: p.Articles != nil && p.Articles(r.Actor)}
	if c.Kinds = v.kinds(); len(c.Kinds) == 0 {
		return c, nil
	}
	if slices.Contains(c.Kinds, kindReply) {
		var err error
		if c.Answer, err = ticket.UnifiedAnswer(r.Context(), p.Tickets.DB().Read(), v.T); err != nil {
			return c, err
		}
	}
	if c.Claim && v.CanReply {
		c.Sends = append(c.Sends, sendWith{"", "send"})
	}
	for _, verb := range []ticket.Verb{ticket.RequestConfirmation, ticket.Ask, ticket.Acknowledge} {
		if slices.Contains(v.Verbs, verb) {
			c.Sends = append(c.Sends, sendWith{verb, looks[verb].icon})
		}
	}
	c.Methods = options(r, "journal.method.", journal.Methods)
	if r.Actor.Can(org.PermDirectory) {
		// Hundreds of names, the same for everybody of a department.
		people, err := db.Held(r.Context(), p.Tickets.DB().Read(), colleaguesOf(r.Actor.DepartmentID), func() ([]ui.Option, error) { return p.people(r, r.Actor.DepartmentID, "") })
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
			if kept := ticket.ListedFiles(drafts[ticket.FilesPlace(v.T.ID, k)]); len(kept) > 0 {
				for _, n := range kept {
					c.Form.Values.Add("file_"+k, id(n))
				}
				if c.Uploads[k] = p.named(r, kept); len(c.Uploads[k]) > 0 && c.Kind == "" {
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
		for _, k := range c.Kinds {
			if fs := p.named(r, filesOf(f, k)); len(fs) > 0 {
				c.Uploads[k] = fs
			}
		}
	}
	if !slices.Contains(c.Kinds, c.Kind) {
		c.Kind = c.Kinds[0]
	}
	return c, nil
}

// filesOf are the uploads of the form that belong to kind; those under the plain
// name belong to the kind that is being sent.
func filesOf(f *web.Form, kind string) []int64 {
	ids := f.IDs("file_" + kind)
	if f.Get("kind") == kind {
		for _, n := range f.IDs("file") {
			if !slices.Contains(ids, n) {
				ids = append(ids, n)
			}
		}
	}
	return ids
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

// keepDrafts stores the texts and attachments of the form that differ from what is
// stored; the draft of the kind sent is removed.
func (p *pages) keepDrafts(r *web.Request, t ticket.Ticket, f *web.Form, sent string) error {
	ctx := r.Context()
	had, err := p.Tickets.Drafts(ctx, r.Actor, "ticket:"+id(t.ID)+":")
	if err != nil {
		return err
	}
	for _, k := range []string{kindReply, kindNote, kindFollowUp} {
		if !f.Has("body_"+k) && k != sent {
			continue
		}
		var w ticket.Writing
		if k != sent {
			w.Body = f.Text("body_" + k)
			if files := filesOf(f, k); len(files) > 0 {
				for _, x := range p.named(r, files) {
					w.Files = append(w.Files, x.ID)
				}
			}
		}
		if had[draftPlace(t.ID, k)] != w.Body || had[ticket.FilesPlace(t.ID, k)] != ticket.FileList(w.Files) {
			if err := p.Tickets.KeepDraft(ctx, r.Actor, t.ID, k, w); err != nil {
				return err
			}
		}
	}
	record := ""
	if f.Has("method") && sent != kindFollowUp {
		record = recordDraft(f, r.Actor.ID)
	}
	if place := draftPlace(t.ID, "record"); (f.Has("method") || sent == kindFollowUp) && had[place] != record {
		return p.Tickets.SaveDraft(ctx, r.Actor, place, record)
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
	text, then := f.Text("body_"+kind), f.String("then")
	var vague []string
	what := written
	for _, n := range f.IDs("file_" + kind) {
		if !slices.Contains(f.IDs("file"), n) {
			f.Values.Add("file", id(n))
		}
	}
	f.Values.Del("file_" + kind)
	uploads, err := p.received(r, f)
	if err == nil {
		err = f.Err()
	}
	if to := asides[then]; to != "" && err == nil { // not sent: the draft goes elsewhere
		if err := p.keepDrafts(r, t, f, ""); err != nil {
			return err
		}
		return r.SeeOther(w, "/tickets/%s/%s?kind=%s", t.Number, to, kind)
	}
	s, serr := p.selected(r)
	if serr != nil {
		return serr
	}
	var leave string
	if err == nil {
		switch kind {
		case kindReply:
			leave, err = p.reply(r, t, s, text, uploads, ticket.Verb(then))
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
	if leave != "" {
		return r.SeeOther(w, "%s", leave)
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

// asides are the buttons of the composer that send nothing: what is written goes
// on to a page about it.
var asides = map[string]string{"canned": "canned", "share": "shared/new"}

// reply sends words to the customer, with the move that was chosen: at once, or
// after the time in which they can be taken back. leave is where the writer likes
// to go next, "" when he stays.
func (p *pages) reply(r *web.Request, t ticket.Ticket, s selection, text string, uploads []int64, verb ticket.Verb) (leave string, err error) {
	ctx := r.Context()
	if verb != "" && !slices.Contains(ticket.SendVerbs, verb) {
		verb = ""
	}
	prefs, err := p.Tickets.WritingPreferences(ctx, r.Actor)
	if err != nil {
		return "", err
	}
	switch prefs.AfterSend { // asked before: what is answered leaves some lists
	case "list":
		leave = address("/tickets", s.keep)
	case "next":
		_, next, err := p.Tickets.Beside(ctx, ticket.View(r.Actor), s.filter, t)
		if err != nil {
			return "", err
		}
		if leave = address("/tickets", s.keep); next != "" {
			leave = address("/tickets/"+next, s.keep)
		}
	}
	_, err = p.Tickets.Send(ctx, r.Actor, t.ID, ticket.Outgoing{Body: text, Files: uploads, Verb: verb}, prefs.Undo)
	return leave, err
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
			v.Composer.Vague, v.Composer.Needs = vague, needs(f, err)
		})
	}
	v, herr := p.headOf(r, t, s.keep)
	if herr != nil {
		return herr
	}
	if v.Composer, herr = p.composerOf(r, v, f); herr != nil {
		return herr
	}
	if v.Composer.Vague, v.Composer.Needs = vague, needs(f, err); v.Composer.Needs != "" {
		if err := p.keepDrafts(r, t, f, ""); err != nil { // the form begins with it
			return err
		}
	}
	if len(v.Composer.Kinds) == 0 {
		return err
	}
	return workspacePage.InvalidFragment(w, r, err, f, "composer", workspace{Pane: v})
}

// needs is the move a reply was to come with, when the move asks for more than a
// text: its own form does.
func needs(f *web.Form, err error) ticket.Verb {
	verb := ticket.Verb(f.String("then"))
	fe, ok := fault.As(err)
	if !ok || fe.Kind != fault.Invalid || f.Get("kind") != kindReply || verb != ticket.RequestConfirmation && verb != ticket.Ask {
		return ""
	}
	for _, x := range fe.Fields {
		if x.Field != "body_reply" {
			return verb
		}
	}
	return ""
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
