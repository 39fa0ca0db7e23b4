package ticketui

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// sending is a message that can still be taken back.
type sending struct {
	ticket.Unsent
	Here bool // on the ticket that is open
}

// At is when it goes out, in milliseconds, for the browser to count down.
func (s sending) At() int64 { return s.SendAt.UnixMilli() }

// sharedLine is a shared draft as the ticket shows it.
type sharedLine struct {
	ticket.Unsent
	By, Last string // who began it, who changed it last
	Href     string
}

// Sending are the reader's messages on their way.
func (w workspace) Sending() (out []sending) {
	from, open := w.Outbox, int64(0)
	if w.Pane != nil {
		from, open = w.Pane.Unsent, w.Pane.T.ID
	}
	for _, u := range from {
		if u.State == ticket.Sending {
			out = append(out, sending{u, u.TicketID == open})
		}
	}
	return out
}

// shared names the people of the drafts that are shared on the ticket.
func (p *pages) shared(r *web.Request, v *pane) {
	for _, u := range v.Unsent {
		if u.State == ticket.Shared {
			v.Shared = append(v.Shared, sharedLine{u, p.Org.Name(r.Context(), u.CreatedBy), p.Org.Name(r.Context(), u.UpdatedBy), "/tickets/" + u.Number + "/shared/" + id(u.ID)})
		}
	}
}

// preferencesView is the form of how somebody likes to write.
type preferencesView struct {
	Form   *web.Form
	Dialog bool
	After  []ui.Option
	Max    int
}

var preferencesPage = ui.NewPage[preferencesView](files, "preferences.html").Sample(preferencesView{Form: &web.Form{}, Max: 30, After: []ui.Option{{Value: "stay", Label: "x"}}}, preferencesView{Dialog: true})

func (p *pages) preferencesView(r *web.Request, f *web.Form) preferencesView {
	return preferencesView{Form: f, Dialog: r.IsFragment(), After: options(r, "ticket.after.", ticket.AfterSends), Max: int(ticket.MaxUndo / time.Second)}
}

func (p *pages) showPreferences(w http.ResponseWriter, r *web.Request) error {
	prefs, err := p.Tickets.WritingPreferences(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v := p.preferencesView(r, r.Blank("undo", id(int64(prefs.Undo/time.Second)), "after", prefs.AfterSend))
	if v.Dialog {
		return preferencesPage.Fragment(w, r, "dialog", v)
	}
	return preferencesPage.Render(w, r, sheet(r, r.T("ticket.prefs")), v)
}

func (p *pages) setPreferences(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	prefs := ticket.Preferences{Undo: time.Duration(f.Int64("undo")) * time.Second, AfterSend: f.String("after")}
	err := f.Err()
	if err == nil {
		err = p.Tickets.SetWritingPreferences(r.Context(), r.Actor, prefs)
	}
	if err != nil {
		v := p.preferencesView(r, f)
		if v.Dialog {
			return preferencesPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return preferencesPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.prefs")), v)
	}
	if r.IsFragment() {
		return workspacePage.Parts(w, r, workspace{}, ui.Into("nothing", "#movebox", "innerHTML"))
	}
	r.Flash(w, "green", "ticket.prefs.saved")
	return r.SeeOther(w, "/tickets")
}

// takeBack stops a message that has not gone out; its text is in the composer
// again, with its attachments.
func (p *pages) takeBack(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	here := shown(r)
	if number := f.String("composer_of"); number != "" && number == here { // what he has begun to write since
		t, err := p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), number)
		if err == nil {
			err = p.keepDrafts(r, t, f, "")
		}
		if err != nil {
			return err
		}
	}
	u, err := p.Tickets.TakeBack(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	if !r.IsFragment() || here != u.Number {
		return r.SeeOther(w, "/tickets/%s#composer", u.Number)
	}
	t, err := p.Tickets.Get(r.Context(), ticket.View(r.Actor), u.TicketID)
	if err != nil {
		return err
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	v, err := p.headOf(r, t, s.keep)
	if err != nil {
		return err
	}
	if v.Composer, err = p.composerOf(r, v, nil); err != nil {
		return err
	}
	parts := []ui.Part{ui.Into("outbox", "#outbox", "innerHTML"), ui.Into("shared", "#shared", "innerMorph")}
	if len(v.Composer.Kinds) > 0 {
		if slices.Contains(v.Composer.Kinds, kindReply) {
			v.Composer.Kind = kindReply
		}
		parts = append(parts, ui.Into("composer", "#composer", "innerHTML"))
	}
	r.Trigger(w, "ticket:taken-back")
	return workspacePage.Parts(w, r, workspace{Pane: v}, parts...)
}

// sendNow sends a message that still waits.
func (p *pages) sendNow(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	u, err := p.Tickets.SendNow(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	if r.IsFragment() && shown(r) == u.Number {
		return p.changed(w, r, ticket.Ticket{ID: u.TicketID, Number: u.Number}, whole)
	}
	if r.IsFragment() {
		left, err := p.Tickets.UnsentOf(r.Context(), r.Actor, 0)
		if err != nil {
			return err
		}
		return workspacePage.Parts(w, r, workspace{Outbox: left}, ui.Into("outbox", "#outbox", "innerHTML"))
	}
	return r.SeeOther(w, "/tickets/%s", u.Number)
}

// draftView is a shared draft, or the text that is to become one.
type draftView struct {
	T        ticket.Ticket
	Form     *web.Form
	Draft    ticket.Unsent // zero: new
	By       string
	Versions []draftVersion
	People   string
	Files    []blob.File
	Uploads  []uploaded
	Sends    []sendWith
	CanSend  bool
	CanDrop  bool
	Theirs   *draftVersion // somebody was faster: what stands there now
}

type draftVersion struct {
	ticket.DraftVersion
	Name string
}

var draftPage = ui.NewPage[draftView](files, "shared.html").Sample(
	draftView{Form: &web.Form{}, Uploads: []uploaded{{1, "x"}}},
	draftView{Form: &web.Form{}, T: ticket.Ticket{Number: "x"}, Draft: ticket.Unsent{ID: 1, Version: 2, UpdatedAt: sampleTime}, By: "x", People: "y", CanSend: true, CanDrop: true, Sends: []sendWith{{ticket.Ask, "help"}},
		Versions: []draftVersion{{ticket.DraftVersion{Version: 2, Body: "b", At: sampleTime}, "n"}}, Files: []blob.File{{ID: 1, Name: "x"}}, Theirs: &draftVersion{ticket.DraftVersion{Version: 2, Body: "b", At: sampleTime}, "n"}})

func (p *pages) draftSheet(r *web.Request, v draftView) ui.Chrome {
	return sheet(r, r.T("ticket.shared"), ui.Crumb{Label: v.T.Number, Href: "/tickets/" + v.T.Number})
}

// newShared begins a shared draft with what the reader has written so far.
func (p *pages) newShared(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	kind := DraftKind(r.URL.Query().Get("kind"))
	d, err := p.Tickets.Draft(r.Context(), r.Actor, t.ID, kind)
	if err != nil {
		return err
	}
	v := draftView{T: t, Form: r.Blank("body", d.Body, "kind", kind), Uploads: p.named(r, d.Files)}
	return draftPage.Render(w, r, p.draftSheet(r, v), v)
}

func (p *pages) share(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	note := f.Limited("note", 2000)
	uploads, err := p.received(r, f)
	if err == nil {
		err = f.Err()
	}
	var people []int64
	if err == nil {
		if people, err = p.mentions(ctx, r, note); err != nil {
			return err
		}
		_, err = p.Tickets.Share(ctx, r.Actor, t.ID, ticket.Writing{Body: f.Text("body"), Files: uploads}, note, people)
	}
	if err != nil {
		v := draftView{T: t, Form: f, Uploads: p.waiting(r, f)}
		return draftPage.Invalid(w, r, moveField(err, "people", "note"), f, p.draftSheet(r, v), v)
	}
	if err := p.Tickets.KeepDraft(ctx, r.Actor, t.ID, DraftKind(f.String("kind")), ticket.Writing{}); err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.shared.done")
	return r.SeeOther(w, "/tickets/%s", t.Number)
}

func (p *pages) draftView(r *web.Request, n int64) (v draftView, err error) {
	ctx := r.Context()
	u, versions, people, err := p.Tickets.SharedDraft(ctx, r.Actor, n)
	if err != nil {
		return v, err
	}
	v = draftView{Draft: u, By: p.Org.Name(ctx, u.CreatedBy)}
	if v.T, err = p.open(r); err != nil {
		return v, err
	}
	if v.T.ID != u.TicketID {
		return v, ui.NoSuchPage()
	}
	for _, x := range versions {
		v.Versions = append(v.Versions, draftVersion{x, p.Org.Name(ctx, x.UserID)})
	}
	var names []string
	for _, x := range people {
		names = append(names, p.Org.Name(ctx, x))
	}
	v.People = strings.Join(names, r.T("ticket.list.comma"))
	if v.Files, err = p.Tickets.UnsentAttachments(ctx, n); err != nil {
		return v, err
	}
	head, err := p.headOf(r, v.T, nil)
	if err != nil {
		return v, err
	}
	v.CanDrop = u.CreatedBy == r.Actor.ID || v.T.AssigneeID == r.Actor.ID
	if v.CanSend = head.CanReply; v.CanSend {
		for _, verb := range []ticket.Verb{ticket.RequestConfirmation, ticket.Ask, ticket.Acknowledge} {
			if slices.Contains(head.Verbs, verb) {
				v.Sends = append(v.Sends, sendWith{verb, looks[verb].icon})
			}
		}
	}
	return v, nil
}

func (p *pages) showShared(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := p.draftView(r, n)
	if err != nil {
		return err
	}
	v.Form = r.Blank("body", v.Draft.Body, "version", id(v.Draft.Version))
	return draftPage.Render(w, r, p.draftSheet(r, v), v)
}

// editShared saves a shared draft, and sends it or throws it away when that was
// the button. A text that somebody else has changed meanwhile comes back beside
// the newer one, and the writer chooses.
func (p *pages) editShared(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := p.draftView(r, n)
	if err != nil {
		return err
	}
	f := r.Input()
	version, note, then := f.Int64("version"), f.Limited("note", 2000), f.String("then")
	uploads, err := p.received(r, f)
	if err == nil {
		err = f.Err()
	}
	done := "ticket.shared.saved"
	if err == nil && then == "drop" {
		err, done = p.Tickets.DropShared(ctx, r.Actor, n, version), "ticket.shared.dropped"
	} else if err == nil {
		var people []int64
		if people, err = p.mentions(ctx, r, note); err != nil {
			return err
		}
		err = p.Tickets.EditShared(ctx, r.Actor, n, version, ticket.Writing{Body: f.Text("body"), Files: uploads}, note, people)
		if verb, ok := strings.CutPrefix(then, "send"); ok && err == nil {
			done = ""
			prefs, perr := p.Tickets.WritingPreferences(ctx, r.Actor)
			if perr != nil {
				return perr
			}
			fresh, _, _, serr := p.Tickets.SharedDraft(ctx, r.Actor, n)
			if serr != nil {
				return serr
			}
			if version == fresh.Version || version+1 == fresh.Version && fresh.UpdatedBy == r.Actor.ID {
				version = fresh.Version
			}
			f.Set("version", version).Set("note", "") // saved, whatever becomes of the sending
			f.Values.Del("file")
			err = p.Tickets.SendShared(ctx, r.Actor, n, version, ticket.Verb(strings.TrimPrefix(verb, "-")), prefs.Undo)
		}
	}
	if err != nil {
		again, verr := p.draftView(r, n)
		if verr != nil {
			return verr
		}
		again.Form, again.Uploads = f, p.waiting(r, f)
		if fe, ok := fault.As(err); ok && fe.Key == "ticket.shared.changed" && len(again.Versions) > 0 {
			again.Theirs = &again.Versions[0]
			f.Set("version", again.Draft.Version)
		}
		return draftPage.Invalid(w, r, err, f, p.draftSheet(r, again), again)
	}
	if done != "" {
		r.Flash(w, "green", done)
	}
	return r.SeeOther(w, "/tickets/%s", v.T.Number)
}
