package ticketui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// What several people or tickets share: deferrals, links, merges, splits and
// conferences, as dialogs over the workspace and beside the ticket.

var _ = []struct{}{ui.SetTone("deferral.pending", "amber"), ui.SetTone("deferral.approved", "green"), ui.SetTone("deferral.refused", "red"),
	ui.SetTone("meeting.planned", "amber"), ui.SetTone("meeting.held", "green"), ui.SetTone("meeting.cancelled", "gray")}

// sheetOf is what every dialog about a ticket has.
type sheetOf struct {
	T      ticket.Ticket
	Dialog bool // over the workspace; else a page of its own, whose form needs no script
	Form   *web.Form
	Action string
	Back   string
}

func (p *pages) sheetOf(r *web.Request, t ticket.Ticket, f *web.Form, path string) (sheetOf, error) {
	s, err := p.selected(r)
	return sheetOf{T: t, Dialog: r.IsFragment(), Form: f, Action: address("/tickets/"+t.Number+path, s.keep), Back: address("/tickets/"+t.Number, s.keep)}, err
}

type deferView struct {
	sheetOf
	Due   time.Time
	Clock clockLine
}

type relateView struct {
	sheetOf
	Kinds []ui.Option
	Links []ticket.Link
	Other string // of the one chosen
}

type mergeSide struct {
	ticket.Ticket
	Entries  int
	Parts    int
	Watchers []string
	Labels   []ticket.Tag
}

type mergeView struct {
	sheetOf
	Other     *mergeSide // nil: still to be chosen
	This      mergeSide
	Same      []ticket.Row
	Chosen    string
	Differ    bool // of different customers
	Refusal   string
	Keep      []ui.Option
	Labels    []ticket.Tag // of the one that stays, afterwards
	CompareTo string       // address
}

type splitView struct {
	sheetOf
	Message    line
	Files      []ui.Option
	Types      []ui.Option
	Urgencies  []ui.Option
	Categories []ui.Option
	Parts      []ui.Option // departments
}

type meetingView struct {
	sheetOf
	Meeting *ticket.Meeting // nil: a new one
	People  []ui.Option
	Cancel  *web.Form
	Stale   bool
}

type minutesView struct {
	sheetOf
	Meeting ticket.Meeting
	Stale   bool
}

var (
	sampleSheet = sheetOf{Dialog: true, T: ticket.Ticket{Number: "TASK1", Title: "x", State: ticket.Pending, DeferredFrom: sampleTime, CreatedAt: sampleTime}, Action: "/x", Back: "/y"}
	deferPage   = ui.NewPage[deferView](files, "defer.html").Sample(deferView{sheetOf: sampleSheet, Due: sampleTime, Clock: sampleClock})
	relatePage  = ui.NewPage[relateView](files, "relate.html").Sample(relateView{sheetOf: sampleSheet, Kinds: []ui.Option{{Value: "related", Label: "x"}}, Links: []ticket.Link{{Kind: "related", Row: sampleRow}, {Kind: "split", Row: sampleRow}}})
	mergePage   = ui.NewPage[mergeView](files, "merge.html").Sample(mergeView{sheetOf: sampleSheet, Same: []ticket.Row{sampleRow}, CompareTo: "/x"},
		mergeView{sheetOf: sampleSheet, Other: &mergeSide{Ticket: ticket.Ticket{Number: "TASK2", State: ticket.Pending, DueAt: sampleTime, OpenChildren: 1}, Parts: 2, Watchers: []string{"x"}, Labels: []ticket.Tag{{Name: "x", Colour: "red"}}}, Labels: []ticket.Tag{{Name: "x", Colour: "red"}}, Differ: true, Refusal: "x", Keep: []ui.Option{{Value: "TASK1", Label: "x"}}},
		mergeView{sheetOf: sampleSheet, This: mergeSide{Ticket: ticket.Ticket{State: ticket.Pending}}, Other: &mergeSide{Ticket: ticket.Ticket{State: ticket.Pending}}, Keep: []ui.Option{{Value: "TASK1", Label: "x"}}})
	splitPage   = ui.NewPage[splitView](files, "split.html").Sample(splitView{sheetOf: sampleSheet, Message: line{Kind: "customer", Author: "x", Text: "x", At: sampleTime}, Files: []ui.Option{{Value: "1", Label: "x"}}})
	meetingPage = ui.NewPage[meetingView](files, "meeting.html").Sample(meetingView{sheetOf: sampleSheet, People: []ui.Option{{Value: "1", Label: "x"}}}, meetingView{sheetOf: sampleSheet, Meeting: &ticket.Meeting{ID: 1}, Stale: true})
	minutesPage = ui.NewPage[minutesView](files, "minutes.html").Sample(minutesView{sheetOf: sampleSheet, Meeting: ticket.Meeting{ID: 1, Subject: "x", StartsAt: sampleTime}, Stale: true})
	alikePage   = ui.NewPage[[]ticket.Alike](files, "alike.html").Sample([]ticket.Alike{{Row: sampleRow, Same: true, Percent: 40}, {Row: sampleRow, Percent: 40}})
)

func (p *pages) togetherRoutes(rt *web.Router) {
	rt.Handle("GET  /tickets/{number}/deferral", ticket.PermHandle, p.showDefer)
	rt.Handle("POST /tickets/{number}/deferral", ticket.PermHandle, p.deferTicket)
	rt.Handle("POST /tickets/{number}/deferral/withdrawal", ticket.PermHandle, p.withdrawDeferral)
	rt.Handle("GET  /tickets/{number}/others", ticket.PermView, p.others, web.JSON())
	rt.Handle("GET  /tickets/{number}/links", ticket.PermNote, p.showRelate)
	rt.Handle("POST /tickets/{number}/links", ticket.PermNote, p.relate)
	rt.Handle("POST /tickets/{number}/links/removal", ticket.PermNote, p.unrelate)
	rt.Handle("GET  /tickets/{number}/merge", ticket.PermMerge, p.showMerge)
	rt.Handle("POST /tickets/{number}/merge", ticket.PermMerge, p.merge)
	rt.Handle("GET  /entries/{id}/split", ticket.PermCreate, p.showSplit)
	rt.Handle("POST /entries/{id}/split", ticket.PermCreate, p.split)
	rt.Handle("GET  /tickets/{number}/conferences", ticket.PermNote, p.showMeeting)
	rt.Handle("POST /tickets/{number}/conferences", ticket.PermNote, p.planMeeting)
	rt.Handle("GET  /tickets/{number}/conferences/{id}", ticket.PermNote, p.showMeeting)
	rt.Handle("POST /tickets/{number}/conferences/{id}", ticket.PermNote, p.planMeeting)
	rt.Handle("GET  /tickets/{number}/conferences/{id}/invitation", ticket.PermView, p.invitation)
	rt.Handle("POST /tickets/{number}/conferences/{id}/cancellation", ticket.PermNote, p.cancelMeeting)
	rt.Handle("GET  /tickets/{number}/conferences/{id}/minutes", ticket.PermNote, p.showMinutes)
	rt.Handle("POST /tickets/{number}/conferences/{id}/minutes", ticket.PermNote, p.writeMinutes)
	rt.Handle("POST /tickets/new/similar", ticket.PermCreate, p.alike)
}

// togetherActs are what of this the reader may do with t now.
func (p *pages) togetherActs(r *web.Request, t *ticket.Ticket, query string) []act {
	var out []act
	add := func(key, icon, letter, path string) {
		out = append(out, act{Name: r.T(key), Icon: icon, Key: letter, Ask: true, Drawn: true, To: "/tickets/" + t.Number + path + query})
	}
	if t.MergedInto != 0 {
		if t.InScope(authz.For(r.Actor, ticket.PermMerge)) {
			add("ticket.verb.unmerge", "undo", "", "/moves/unmerge")
		}
		return out
	}
	if p.Tickets.MayDefer(r.Actor, t) == nil {
		add("ticket.deferral.title", "hourglass", "", "/deferral")
	}
	if p.Tickets.MayConfer(r.Actor, t) == nil {
		add("ticket.conference.plan", "users", "", "/conferences")
	}
	if r.Actor.Can(ticket.PermNote) {
		add("ticket.links.add", "link", "", "/links")
	}
	if t.ParentID == 0 && t.InScope(authz.For(r.Actor, ticket.PermMerge)) && slices.Contains([]ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer}, t.State) {
		add("ticket.merge.title", "merge", "", "/merge")
	}
	return out
}

// show answers with a dialog, or with the page it is without the script.
func showSheet[V any](w http.ResponseWriter, r *web.Request, page *ui.Page[V], title string, s sheetOf, v V) error {
	if s.Dialog {
		return page.Fragment(w, r, "dialog", v)
	}
	return page.Render(w, r, sheet(r, r.T(title), ui.Crumb{Label: s.T.Number, Href: s.Back}), v)
}

// failSheet shows a form again with everything typed.
func failSheet[V any](w http.ResponseWriter, r *web.Request, err error, page *ui.Page[V], title string, s sheetOf, v V) error {
	if s.Dialog {
		return page.InvalidFragment(w, r, err, s.Form, "dialog", v)
	}
	return page.Invalid(w, r, err, s.Form, sheet(r, r.T(title), ui.Crumb{Label: s.T.Number, Href: s.Back}), v)
}

// done closes the dialog and shows what has changed.
func (p *pages) done(w http.ResponseWriter, r *web.Request, t ticket.Ticket) error {
	return p.changed(w, r, t, whole, ui.Into("nothing", "#movebox", "innerHTML"))
}

// again reports whether a form has to be shown again because of err: the
// person can mend it. Other errors go on.
func again(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Invalid || k == fault.Conflict || k == fault.Limited
}

func stale(err error) bool {
	fe, ok := fault.As(err)
	return ok && fe.Key == "ticket.changed_meanwhile"
}

// Deferral.

func (p *pages) deferView(r *web.Request, t ticket.Ticket, f *web.Form) (v deferView, err error) {
	if v.sheetOf, err = p.sheetOf(r, t, f, "/deferral"); err != nil {
		return v, err
	}
	c, ok, err := ticket.Resolution(r.Context(), p.Tickets.DB().Read(), t.ID)
	if ok {
		v.Clock = lineOf(c, r.Now())
		v.Due = r.Now().Add(v.Clock.Left)
	}
	return v, err
}

func (p *pages) showDefer(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.Tickets.MayDefer(r.Actor, &t); err != nil {
		return err
	}
	v, err := p.deferView(r, t, r.Blank("version", id(t.Version)))
	if err != nil {
		return err
	}
	return showSheet(w, r, deferPage, "ticket.deferral.title", v.sheetOf, v)
}

func (p *pages) deferTicket(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.DeferralInput{Due: f.DateTime("due"), Reason: f.Limited("reason", 1000)}
	if err = f.Err(); err == nil {
		_, err = p.Tickets.Defer(r.Context(), r.Actor, t.ID, in)
	}
	if again(err) {
		v, verr := p.deferView(r, t, f)
		if verr != nil {
			return verr
		}
		return failSheet(w, r, err, deferPage, "ticket.deferral.title", v.sheetOf, v)
	}
	if err != nil {
		return err
	}
	return p.done(w, r, t)
}

func (p *pages) withdrawDeferral(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if t, err = p.Tickets.WithdrawDeferral(r.Context(), r.Actor, t.ID); err != nil {
		return err
	}
	return p.changed(w, r, t, whole)
}

// Links.

// others suggests tickets beside this one: [{id, label, note}]. Without words,
// those of the same customer.
func (p *pages) others(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	type option struct {
		ID    int64  `json:"id"`
		Label string `json:"label"`
		Note  string `json:"note"`
	}
	f := ticket.Filter{Text: strings.TrimSpace(r.URL.Query().Get("q")), Sort: ticket.ByNewest, Limit: 9}
	if f.Text == "" {
		f.Customer, f.Limit = t.CustomerID, 12
	}
	page, err := p.Tickets.List(r.Context(), ticket.View(r.Actor), f)
	if err != nil {
		return err
	}
	out := []option{}
	if f.Text != "" { // a whole number is found before the index knows it
		x, err := p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), f.Text)
		if err == nil && x.ID != t.ID && !slices.ContainsFunc(page.Rows, func(y ticket.Row) bool { return y.ID == x.ID }) {
			out = append(out, option{x.ID, x.Number + " " + x.Title, x.CustomerName + " · " + r.T("ticket.state."+string(x.State))})
		} else if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	for _, x := range page.Rows {
		if x.ID != t.ID {
			out = append(out, option{x.ID, x.Number + " " + x.Title, x.CustomerName + " · " + r.T("ticket.state."+string(x.State))})
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// numberOf is the number of the ticket chosen in a field: of the one picked, else
// what was typed begins with it.
func (p *pages) numberOf(r *web.Request, f *web.Form, field string) (string, error) {
	if n := f.ID(field); n != 0 {
		t, err := p.Tickets.Get(r.Context(), ticket.View(r.Actor), n)
		if err == nil {
			return t.Number, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return "", err
		}
	}
	typed := strings.Fields(f.String(field + "_text"))
	if len(typed) == 0 {
		return "", nil
	}
	return typed[0], nil
}

func (p *pages) relateView(r *web.Request, t ticket.Ticket, f *web.Form) (v relateView, err error) {
	if v.sheetOf, err = p.sheetOf(r, t, f, "/links"); err != nil {
		return v, err
	}
	v.Kinds = options(r, "ticket.link.", ticket.LinkKinds)
	v.Links, err = p.Tickets.Links(r.Context(), ticket.View(r.Actor), t.ID)
	return v, err
}

func (p *pages) showRelate(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	v, err := p.relateView(r, t, r.Blank("kind", "related"))
	if err != nil {
		return err
	}
	return showSheet(w, r, relatePage, "ticket.links.title", v.sheetOf, v)
}

func (p *pages) relate(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	number, err := p.numberOf(r, f, "other")
	if err != nil {
		return err
	}
	if _, err = p.Tickets.Relate(r.Context(), r.Actor, t.ID, number, f.String("kind")); again(err) {
		v, verr := p.relateView(r, t, f)
		if verr != nil {
			return verr
		}
		return failSheet(w, r, err, relatePage, "ticket.links.title", v.sheetOf, v)
	} else if err != nil {
		return err
	}
	return p.done(w, r, t)
}

func (p *pages) unrelate(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if _, err := p.Tickets.Unrelate(r.Context(), r.Actor, t.ID, f.String("number"), f.String("kind")); err != nil {
		return err
	}
	return p.done(w, r, t)
}

// Merge.

func (p *pages) mergeSide(r *web.Request, t ticket.Ticket) (s mergeSide, err error) {
	ctx := r.Context()
	s.Ticket = t
	if s.Entries, err = journal.Count(ctx, p.Tickets.DB().Read(), t.ID); err != nil {
		return s, err
	}
	parts, err := p.Tickets.Children(ctx, t.ID)
	if err != nil {
		return s, err
	}
	s.Parts = len(parts)
	if s.Labels, err = p.chips(ctx, t.Tags); err != nil {
		return s, err
	}
	ws, err := p.Tickets.Watchers(ctx, t.ID)
	for _, u := range ws {
		s.Watchers = append(s.Watchers, p.Org.Name(ctx, u))
	}
	return s, err
}

// mergeView prepares the choice of the other ticket, or both side by side.
func (p *pages) mergeView(r *web.Request, t ticket.Ticket, with string, f *web.Form) (v mergeView, err error) {
	ctx := r.Context()
	if v.sheetOf, err = p.sheetOf(r, t, f, "/merge"); err != nil {
		return v, err
	}
	v.CompareTo, v.Chosen = "/tickets/"+t.Number+"/merge", with
	if with != "" {
		other, err := p.Tickets.ByNumber(ctx, ticket.View(r.Actor), with)
		switch {
		case fault.Is(err, fault.NotFound):
			f.Fail("with", "ticket.links.unknown", with)
		case err != nil:
			return v, err
		case other.ID == t.ID:
			f.Fail("with", "ticket.links.itself")
		default:
			side, err := p.mergeSide(r, other)
			if err != nil {
				return v, err
			}
			v.Other = &side
			if v.This, err = p.mergeSide(r, t); err != nil {
				return v, err
			}
			if v.Labels, err = p.chips(ctx, t.Tags.With(other.Tags.IDs(), nil)); err != nil {
				return v, err
			}
			for _, x := range [][2]*ticket.Ticket{{&other, &t}, {&t, &other}} {
				// A ticket stays only when the other one may go.
				differ, err := p.Tickets.CheckMerge(r.Actor, x[0], x[1])
				may := slices.Contains(p.Tickets.Allowed(ctx, r.Actor, x[0]), ticket.Merge)
				if err == nil && may {
					v.Differ = differ
					v.Keep = append(v.Keep, ui.Option{Value: x[1].Number, Label: r.T("ticket.merge.keep.this", x[1].Number+" "+x[1].Title)})
				} else if err != nil && v.Refusal == "" {
					v.Refusal = r.Explain(err).Message
				}
			}
			if len(v.Keep) > 0 {
				v.Refusal = ""
			}
			if !f.Has("keep") && len(v.Keep) > 0 {
				f.Set("keep", v.Keep[0].Value)
			}
			return v, nil
		}
	}
	page, err := p.Tickets.List(ctx, ticket.View(r.Actor), ticket.Filter{Customer: t.CustomerID, States: []ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer}, Sort: ticket.ByNewest, Limit: 9})
	if err != nil {
		return v, err
	}
	for _, x := range page.Rows {
		if x.ID != t.ID && x.ParentID == 0 {
			v.Same = append(v.Same, x)
		}
	}
	return v, nil
}

func (p *pages) showMerge(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if !t.InScope(authz.For(r.Actor, ticket.PermMerge)) {
		return authz.Denied(ticket.PermMerge)
	}
	q := r.Blank()
	q.Values = r.URL.Query()
	with, err := p.numberOf(r, q, "with")
	if err != nil {
		return err
	}
	if n := q.String("number"); n != "" {
		with = n
	}
	f := r.Blank()
	if with == "" && q.Has("with") {
		f.Fail("with", "ticket.merge.need_other")
	}
	v, err := p.mergeView(r, t, with, f)
	if err != nil {
		return err
	}
	f.Explain(f.Err())
	return showSheet(w, r, mergePage, "ticket.merge.title", v.sheetOf, v)
}

func (p *pages) merge(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	ctx, f := r.Context(), r.Input()
	with, keep := f.String("with"), f.String("keep")
	other, err := p.Tickets.ByNumber(ctx, ticket.View(r.Actor), with)
	if err != nil {
		return err
	}
	goes, stays := other, t
	if keep == other.Number {
		goes, stays = t, other
	}
	_, err = p.Tickets.Do(ctx, r.Actor, goes.ID, ticket.Merge, ticket.Input{Duplicate: stays.Number, Reason: f.Limited("reason", 1000), OtherToo: f.Bool("other_too")})
	if again(err) {
		v, verr := p.mergeView(r, t, with, f)
		if verr != nil {
			return verr
		}
		return failSheet(w, r, err, mergePage, "ticket.merge.title", v.sheetOf, v)
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.merge.done", goes.Number)
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	return r.SeeOther(w, "%s", address("/tickets/"+stays.Number, s.keep))
}

// led sends the reader of a merged ticket to the one that goes on for it; ok is
// false when he may not see that one.
func (p *pages) led(w http.ResponseWriter, r *web.Request, t ticket.Ticket) (ok bool, err error) {
	to, err := p.Tickets.Holder(r.Context(), p.Tickets.DB().Read(), t)
	if err != nil {
		return false, err
	}
	if to, err = p.Tickets.Get(r.Context(), ticket.View(r.Actor), to.ID); fault.Is(err, fault.NotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	s, err := p.selected(r)
	if err != nil {
		return false, err
	}
	r.Flash(w, "blue", "ticket.merge.led", t.Number)
	return true, r.SeeOther(w, "%s", address("/tickets/"+to.Number, s.keep))
}

// Split.

func (p *pages) splitting(r *web.Request) (journal.Entry, ticket.Ticket, error) {
	n, err := r.PathID("id")
	if err != nil {
		return journal.Entry{}, ticket.Ticket{}, err
	}
	return p.Tickets.Splitting(r.Context(), ticket.View(r.Actor), n)
}

func (p *pages) splitView(r *web.Request, e journal.Entry, t ticket.Ticket, f *web.Form) (v splitView, err error) {
	if v.sheetOf, err = p.sheetOf(r, t, f, ""); err != nil {
		return v, err
	}
	s, err := p.selected(r)
	if err != nil {
		return v, err
	}
	v.Action = address("/entries/"+id(e.ID)+"/split", s.keep)
	v.Message = lineFor(r.Lang, t, e, nil)
	v.Types, v.Urgencies = options(r, "ticket.type.", ticket.Types), options(r, "ticket.urgency.", ticket.Urgencies)
	if v.Categories, err = p.categories(r); err != nil {
		return v, err
	}
	if v.Parts, err = p.departments(r, id); err != nil {
		return v, err
	}
	fs, err := p.Files.OfEntries(r.Context(), p.Tickets.DB().Read(), []int64{e.ID})
	for _, x := range fs[e.ID] {
		v.Files = append(v.Files, ui.Option{Value: id(x.ID), Label: x.Name})
	}
	return v, err
}

// headline is the beginning of a text, for a title.
func headline(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if i := strings.IndexAny(text, "。！？!?"); i > 0 {
		text = text[:i]
	}
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "…"
	}
	return text
}

func (p *pages) showSplit(w http.ResponseWriter, r *web.Request) error {
	e, t, err := p.splitting(r)
	if err != nil {
		return err
	}
	if !ticket.Splittable(e) {
		return fault.New(fault.Conflict, "ticket.split.not_this")
	}
	f := r.Blank("title", headline(e.Body), "description", e.Body, "type", t.Type, "urgency", t.Urgency)
	v, err := p.splitView(r, e, t, f)
	if err != nil {
		return err
	}
	for _, x := range v.Files {
		f.Values.Add("files", x.Value)
	}
	return showSheet(w, r, splitPage, "ticket.split.title", v.sheetOf, v)
}

func (p *pages) split(w http.ResponseWriter, r *web.Request) error {
	e, t, err := p.splitting(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.SplitInput{Title: f.String("title"), Description: f.Limited("description", journal.MaxBody), Type: f.String("type"), Urgency: f.String("urgency"), Class: t.Class,
		CategoryID: f.ID("category"), DepartmentID: f.ID("department"), Files: f.IDs("files")}
	var made ticket.Ticket
	if err = f.Err(); err == nil {
		made, err = p.Tickets.Split(r.Context(), r.Actor, e.ID, in)
	}
	if again(err) {
		v, verr := p.splitView(r, e, t, f)
		if verr != nil {
			return verr
		}
		return failSheet(w, r, err, splitPage, "ticket.split.title", v.sheetOf, v)
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.split.done", made.Number)
	if _, err := p.Tickets.Get(r.Context(), ticket.View(r.Actor), made.ID); fault.Is(err, fault.NotFound) {
		return p.done(w, r, t)
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	return r.SeeOther(w, "%s", address("/tickets/"+made.Number, s.keep))
}

// Conferences.

// meetingOf finds the conference of the address; nil for a new one.
func (p *pages) meetingOf(r *web.Request, t ticket.Ticket) (*ticket.Meeting, error) {
	if r.PathValue("id") == "" {
		return nil, nil
	}
	n, err := r.PathID("id")
	if err != nil {
		return nil, err
	}
	ms, err := ticket.Conferences(r.Context(), p.Tickets.DB().Read(), t.ID)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if m.ID == n {
			return &m, nil
		}
	}
	return nil, fault.New(fault.NotFound, "ticket.conference.unknown")
}

func (p *pages) meetingView(r *web.Request, t ticket.Ticket, m *ticket.Meeting, f *web.Form) (v meetingView, err error) {
	path := "/conferences"
	if m != nil {
		path += "/" + id(m.ID)
	}
	if v.sheetOf, err = p.sheetOf(r, t, f, path); err != nil {
		return v, err
	}
	v.Meeting = m
	if v.People, err = p.people(r, t.DepartmentID, ""); err != nil {
		return v, err
	}
	for i, o := range v.People {
		v.People[i].Label = o.Label + "（" + o.Group + "）"
	}
	chosen := f.Strings("people")
	slices.SortStableFunc(v.People, func(a, b ui.Option) int {
		x, y := slices.Contains(chosen, a.Value), slices.Contains(chosen, b.Value)
		switch {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
	return v, nil
}

func (p *pages) showMeeting(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.Tickets.MayConfer(r.Actor, &t); err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	f := r.Blank("subject", t.Title, "people", id(r.Actor.ID), "starts_at", r.Now().In(r.Location()).Add(25*time.Hour).Truncate(time.Hour).Format("2006-01-02T15:04"), "needed", "1")
	title := "ticket.conference.plan"
	if m != nil {
		if m.State != "planned" {
			return fault.New(fault.Conflict, "ticket.conference.ended")
		}
		title = "ticket.conference.edit"
		f = r.Blank("version", id(m.Version), "subject", m.Subject, "place", m.Place, "starts_at", m.StartsAt.In(r.Location()).Format("2006-01-02T15:04"))
		if t.Conference == ticket.ConferenceNeeded {
			f.Set("needed", "1")
		}
		for _, u := range m.People {
			f.Values.Add("people", id(u))
		}
	}
	v, err := p.meetingView(r, t, m, f)
	if err != nil {
		return err
	}
	return showSheet(w, r, meetingPage, title, v.sheetOf, v)
}

// invitation is the conference as a file that programs for calendars open.
func (p *pages) invitation(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	base, host := p.base(r), r.Host
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	raw, err := p.Tickets.Invitation(r.Context(), t, *m, r.Lang, base, host)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/calendar; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+t.Number+"-"+id(m.ID)+`.ics"`)
	h.Set("Cache-Control", "no-store")
	_, err = w.Write(raw)
	return err
}

func (p *pages) planMeeting(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.MeetingInput{Subject: f.String("subject"), StartsAt: f.DateTime("starts_at"), Place: f.String("place"), People: f.IDs("people"), Needed: f.Bool("needed")}
	title := "ticket.conference.plan"
	if err = f.Err(); err == nil {
		if m == nil {
			_, err = p.Tickets.PlanConference(r.Context(), r.Actor, t.ID, in)
		} else {
			title = "ticket.conference.edit"
			_, err = p.Tickets.MoveConference(r.Context(), r.Actor, t.ID, m.ID, f.Int64("version"), in)
		}
	}
	if again(err) {
		v, verr := p.meetingView(r, t, m, f)
		if verr != nil {
			return verr
		}
		if v.Stale = stale(err); v.Stale && m != nil {
			f.Set("version", m.Version)
		}
		return failSheet(w, r, err, meetingPage, title, v.sheetOf, v)
	}
	if err != nil {
		return err
	}
	return p.done(w, r, t)
}

func (p *pages) cancelMeeting(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	f := r.Input()
	if _, err := p.Tickets.CancelConference(r.Context(), r.Actor, t.ID, m.ID, f.Limited("reason", 500)); err != nil {
		return err
	}
	return p.done(w, r, t)
}

func (p *pages) minutesView(r *web.Request, t ticket.Ticket, m ticket.Meeting, f *web.Form) (v minutesView, err error) {
	v.Meeting = m
	v.sheetOf, err = p.sheetOf(r, t, f, "/conferences/"+id(m.ID)+"/minutes")
	return v, err
}

func (p *pages) showMinutes(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	if !p.Tickets.MayMinute(r.Actor, &t, *m) {
		return fault.New(fault.Forbidden, "ticket.conference.not_there")
	}
	v, err := p.minutesView(r, t, *m, r.Blank("version", id(m.Version), "answer", m.Answer, "minutes", m.Minutes, "open_points", m.OpenPoints))
	if err != nil {
		return err
	}
	return showSheet(w, r, minutesPage, "ticket.conference.minutes", v.sheetOf, v)
}

func (p *pages) writeMinutes(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	m, err := p.meetingOf(r, t)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.MinutesInput{Answer: f.Text("answer"), Minutes: f.Text("minutes"), OpenPoints: f.Text("open_points")}
	if err = f.Err(); err == nil {
		_, err = p.Tickets.WriteMinutes(r.Context(), r.Actor, t.ID, m.ID, f.Int64("version"), in)
	}
	if again(err) {
		v, verr := p.minutesView(r, t, *m, f)
		if verr != nil {
			return verr
		}
		if v.Stale = stale(err); v.Stale {
			f.Set("version", m.Version)
		}
		return failSheet(w, r, err, minutesPage, "ticket.conference.minutes", v.sheetOf, v)
	}
	if err != nil {
		return err
	}
	return p.done(w, r, t)
}

// alike answers with the open tickets that may be what is being written.
func (p *pages) alike(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	of := f.ID("customer")
	if f.String("who") == "new" {
		of = 0
	}
	if of != 0 {
		if _, err := p.Customers.Get(r.Context(), customer.View(r.Actor), of); fault.Is(err, fault.NotFound) {
			of = 0
		} else if err != nil {
			return err
		}
	}
	found, err := p.Tickets.Alike(r.Context(), ticket.View(r.Actor), of, 0, f.String("title"), f.Text("description"), 4)
	if err != nil {
		return err
	}
	return alikePage.Fragment(w, r, "found", found)
}

// together is what of this stands beside a ticket.
type together struct {
	Deferrals []ticket.Deferral
	Deferral  *ticket.Deferral // that waits
	Mine      bool             // the reader's own
	Merged    []merged
	Meetings  []meetingLine
	CanConfer bool
	Follows   string           // number of the ended ticket this one continues
	Followed  string           // of the one that continues this one
	Last      map[int64]spoken // newest entry of each part
	Part      *ticket.Ticket   // main ticket as much as its part shows, whoever reads
	PartOf    string           // department of the main ticket
	Into      string           // number of the ticket this one was merged into
}

type merged struct {
	ticket.Merging
	CanUndo bool
	Files   []attachment
}

type meetingLine struct {
	ticket.Meeting
	Names     []string
	CanMinute bool
	CanEdit   bool
}

type spoken struct {
	Who, Text string
	At        time.Time
}

// togetherOf loads it; of what the ticket's own columns say is not there,
// nothing is asked.
func (p *pages) togetherOf(r *web.Request, v *pane) error {
	ctx, q, t := r.Context(), p.Tickets.DB().Read(), v.T
	x := &v.Side2.Together
	var err error
	if t.DeferralID != 0 || !t.DeferredFrom.IsZero() {
		if x.Deferrals, err = ticket.Deferrals(ctx, q, t.ID); err != nil {
			return err
		}
		slices.Reverse(x.Deferrals)
		for i, d := range x.Deferrals {
			if d.State == "pending" {
				x.Deferral, x.Mine = &x.Deferrals[i], d.RequestedBy == r.Actor.ID
			}
		}
	}
	if t.Conference != ticket.ConferenceNone {
		ms, err := ticket.Conferences(ctx, q, t.ID)
		if err != nil {
			return err
		}
		x.CanConfer = p.Tickets.MayConfer(r.Actor, &t) == nil
		for _, m := range ms {
			l := meetingLine{Meeting: m, CanMinute: p.Tickets.MayMinute(r.Actor, &t, m), CanEdit: x.CanConfer && m.State == "planned"}
			for _, u := range m.People {
				l.Names = append(l.Names, p.Org.Name(ctx, u))
			}
			x.Meetings = append(x.Meetings, l)
		}
	}
	if t.Joined {
		ms, err := p.Tickets.Mergings(ctx, t.ID)
		if err != nil {
			return err
		}
		for _, m := range ms {
			l := merged{Merging: m, CanUndo: m.Undoable && m.Ticket.InScope(authz.For(r.Actor, ticket.PermMerge))}
			x.Merged = append(x.Merged, l)
		}
	}
	if t.MergedInto != 0 {
		to, err := p.Tickets.Holder(ctx, q, t)
		if err != nil {
			return err
		}
		x.Into = to.Number
	}
	for _, l := range v.Side2.Links {
		if l.Kind != "follow_up" {
			continue
		}
		if l.Forward {
			x.Follows = l.Number
		} else if l.State.Open() || x.Followed == "" {
			x.Followed = l.Number
		}
	}
	if t.ParentID != 0 && v.Side2.Parent == nil {
		main, err := p.Tickets.MainOf(ctx, t)
		if err != nil {
			return err
		}
		x.Part, x.PartOf = &main, p.Org.DepartmentName(ctx, main.DepartmentID)
	}
	return nil
}

// lastOf reads the newest entry of each part.
func (p *pages) lastOf(r *web.Request, t ticket.Ticket, parts []ticket.Row) (map[int64]spoken, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, c := range parts {
		ids = append(ids, c.ID)
	}
	es, err := journal.Last(r.Context(), p.Tickets.DB().Read(), ids)
	if err != nil {
		return nil, err
	}
	last := map[int64]spoken{}
	for n, e := range es {
		l := lineFor(r.Lang, t, e, nil)
		last[n] = spoken{l.Author, headline(l.Text), e.CreatedAt}
	}
	return last, nil
}

// Last is the newest entry of part n; nil when there is none.
func (x together) LastOf(n int64) *spoken {
	if s, ok := x.Last[n]; ok {
		return &s
	}
	return nil
}

// causeLine is a part of the answer to "why was this late".
type causeLine struct {
	ticket.Cause
	Text string
	Said string // somebody's words
}

func (p *pages) causes(r *web.Request, t ticket.Ticket) ([]causeLine, error) {
	cs, err := ticket.Why(r.Context(), p.Tickets.DB().Read(), t, r.Now())
	if err != nil {
		return nil, err
	}
	when := func(at time.Time) string { return at.In(r.Location()).Format("01-02 15:04") }
	var out []causeLine
	for _, c := range cs {
		l := causeLine{Cause: c}
		key := "ticket.why." + c.Kind
		switch c.Kind {
		case "missed":
			l.Text = r.T(key, r.T("sla.clock."+string(c.Clock)), span(r, c.Took))
		case "pause":
			if c.Until.IsZero() {
				key += "_open"
			}
			l.Text = r.T(key, span(r, c.Took), r.T("sla.why."+c.Text))
		case "deferred":
			l.Text, l.Said = r.T(key, c.Who, when(c.Old), when(c.New)), c.Text
		case "deferral_refused":
			l.Text, l.Said = r.T(key, c.Who, when(c.New)), c.Text
		case "handed", "second":
			l.Text, l.Said = r.T(key, c.Who, c.Move.Say(r.Lang)), c.Text
		default:
			l.Text, l.Said = r.T(key), c.Text
		}
		out = append(out, l)
	}
	return out, nil
}

// span is a duration in words.
func span(r *web.Request, d time.Duration) string { return i18n.Duration(r.Lang, d.Round(time.Minute)) }

// mergedHead is the description of a ticket that was merged into the one shown.
type mergedHead struct {
	T     ticket.Ticket
	Files []attachment
}

func (p *pages) mergedHeads(r *web.Request, t ticket.Ticket) ([]mergedHead, error) {
	ms, err := p.Tickets.Mergings(r.Context(), t.ID)
	if err != nil {
		return nil, err
	}
	var out []mergedHead
	for _, m := range ms {
		fs, err := p.Files.Of(r.Context(), p.Tickets.DB().Read(), "ticket", m.Ticket.ID)
		if err != nil {
			return nil, err
		}
		fs = slices.DeleteFunc(fs, func(f blob.File) bool { return f.Owner.EntryID != 0 })
		out = append(out, mergedHead{m.Ticket, attachments(fs)})
	}
	return out, nil
}
