// Package ticketui is where agents spend their day: the workspace with its
// views, queue, ticket and customer; the form that registers a request; the
// supervisor's desk; and the files of tickets.
//
// A handler holds no rule: it reads the form, calls one method of the room and
// answers with a page, or with the parts of it that have changed. Everything
// works before the script has loaded, more slowly.
package ticketui

import (
	"context"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css *.js
var files embed.FS

var _ = ui.AddAssets(files, "ticketui.css", "ticketui.js", "desk.js", "supervise.js")

// assets are those of the workspace.
var assets = []string{"ticketui.css", "ticketui.js"}

// The colours of levels and of what clocks say.
var _, _, _, _, _ = ui.SetTone("normal", "gray"), ui.SetTone("vip", "violet"), ui.SetTone("strategic", "amber"), ui.SetTone("running", "blue"), ui.SetTone("stopped", "gray")

// Rooms are the services behind the pages.
type Rooms struct {
	Tickets   *ticket.Service
	Customers *customer.Service
	Org       *org.Service
	Files     *blob.Files
	PublicURL string // where customers reach the product, for their links; "": as the request came
	Panels    []Panel
	Menu      []MenuEntry
	New       []NewPart
	MoveNotes []MoveNote
	// Canned reports whether an actor may call texts under a short code, at
	// /tickets/{number}/canned; nil: there are none.
	Canned func(actor authz.Actor) bool
	// Articles reports whether an actor may call knowledge articles behind ??, at
	// /tickets/{number}/articles; nil: there are none.
	Articles func(actor authz.Actor) bool
	// Stages are what the queue can be narrowed to; nil: there are no processes.
	Stages func(r *web.Request) ([]ui.Option, error)
	// StageName names a stage of a version of a process; nil: as it was stored.
	StageName func(ctx context.Context, l i18n.Lang, version int64, code string) string
	Blocks    []func(r *web.Request) (*DeskBlock, error) // on the supervisor's desk; nil: nothing to show there
}

// NewPart is what another room asks for in the form that registers a request.
type NewPart struct {
	// Draw is the controls, with what the form f holds.
	Draw func(r *web.Request, f *web.Form) (template.HTML, error)
	// Read takes them in; what it returns is done in the step that makes the ticket, nil: nothing.
	Read func(f *web.Form) func(ctx context.Context, a *action.Action, t *ticket.Ticket) error
}

// MoveNote is what another room has to say above the form of a move; "" nothing.
// It asks the store only when the ticket's own columns say that there may be
// something.
type MoveNote func(r *web.Request, t *ticket.Ticket, v ticket.Verb) (template.HTML, error)

// Panel is what another room shows beside a ticket. It returns "" for a ticket
// it has nothing to say about, and asks the store only when the ticket's own
// columns say that there is something.
type Panel func(r *web.Request, t ticket.Ticket) (template.HTML, error)

// MenuEntry is a page of another room about a ticket, offered in its menu.
type MenuEntry struct {
	Href     string // {number} stands for the ticket's
	Icon     string
	LabelKey string
	Key      string // letter; "" none
	// Offered reports whether the reader may use it on t now; it does not ask the store.
	Offered func(actor authz.Actor, t *ticket.Ticket) bool
}

type pages struct {
	Rooms
	counts counted
}

// Routes adds the pages. Moves stand under PermView: which permission a move
// needs depends on the verb and on who the person is to the ticket, and the
// room's table decides.
func Routes(rt *web.Router, rooms Rooms) {
	rooms.Panels = append([]Panel{whyPanel}, rooms.Panels...)
	rooms.Menu = append([]MenuEntry{{Href: "/tickets/{number}/nudge", Icon: "bell", LabelKey: "ticket.nudge", Offered: rooms.Tickets.CanNudge}}, rooms.Menu...)
	p := &pages{Rooms: rooms}
	upload := web.MaxBody(rooms.Files.MaxBytes() + 1<<20)
	rt.Handle("GET  /tickets", ticket.PermView, p.list)
	rt.Handle("POST /tickets", ticket.PermCreate, p.register, upload)
	rt.Handle("GET  /tickets/new", ticket.PermCreate, p.showNew)
	rt.Handle("GET  /tickets/new/customer", ticket.PermCreate, p.newCustomer)
	rt.Handle("POST /tickets/new/duplicates", ticket.PermCreate, p.duplicates)
	rt.Handle("GET  /tickets/colleagues", ticket.PermNote, p.colleagues, web.JSON())
	rt.Handle("GET  /tickets/columns", ticket.PermView, p.showColumns)
	rt.Handle("POST /tickets/columns", ticket.PermView, p.setColumns)
	rt.Handle("GET  /views", ticket.PermView, p.showViews)
	rt.Handle("POST /views", ticket.PermView, p.saveView)
	rt.Handle("POST /views/{id}", ticket.PermView, p.changeView)
	rt.Handle("POST /views/{id}/place", ticket.PermView, p.placeView)
	rt.Handle("POST /views/{id}/deletion", ticket.PermView, p.deleteView)
	rt.Handle("GET  /tickets/{number}", ticket.PermView, p.show)
	rt.Handle("GET  /tickets/{number}/live", ticket.PermView, p.live)
	rt.Handle("GET  /tickets/{number}/timeline", ticket.PermView, p.showTimeline)
	rt.Handle("GET  /tickets/{number}/clocks", ticket.PermView, p.showClocks)
	rt.Handle("POST /tickets/{number}/knowledge", ticket.PermNote, p.know)
	rt.Handle("POST /tickets/{number}/entries", ticket.PermNote, p.write, upload)
	rt.Handle("GET  /tickets/{number}/entries/{entry}/correction", ticket.PermNote, p.showCorrection)
	rt.Handle("POST /tickets/{number}/entries/{entry}/correction", ticket.PermNote, p.correct)
	rt.Handle("POST /tickets/{number}/draft", ticket.PermNote, p.saveDraft)
	rt.Handle("GET  /tickets/preferences", ticket.PermHandle, p.showPreferences)
	rt.Handle("POST /tickets/preferences", ticket.PermHandle, p.setPreferences)
	rt.Handle("POST /outbox/{id}/withdrawal", ticket.PermHandle, p.takeBack)
	rt.Handle("POST /outbox/{id}/sending", ticket.PermHandle, p.sendNow)
	rt.Handle("GET  /tickets/{number}/shared/new", ticket.PermNote, p.newShared)
	rt.Handle("POST /tickets/{number}/shared", ticket.PermNote, p.share, upload)
	rt.Handle("GET  /tickets/{number}/shared/{id}", ticket.PermNote, p.showShared)
	rt.Handle("POST /tickets/{number}/shared/{id}", ticket.PermNote, p.editShared, upload)
	rt.Handle("GET  /tickets/{number}/moves/{verb}", ticket.PermView, p.showMove)
	rt.Handle("POST /tickets/{number}/moves/{verb}", ticket.PermView, p.move, upload)
	rt.Handle("GET  /tickets/{number}/routing", ticket.PermView, p.showWhy)
	rt.Handle("GET  /tickets/{number}/edit", ticket.PermEdit, p.showEdit)
	rt.Handle("POST /tickets/{number}/edit", ticket.PermEdit, p.edit)
	rt.Handle("POST /tickets/{number}/told", ticket.PermNote, p.told)
	rt.Handle("POST /tickets/{number}/watch", ticket.PermView, p.watch)
	rt.Handle("POST /tickets/{number}/contacts/{contact}/values", customer.PermReveal, p.reveal)
	p.deskRoutes(rt)
	p.togetherRoutes(rt)
	p.tagRoutes(rt)
	rt.Handle("GET  /tickets/{number}/nudge", ticket.PermView, p.showNudge)
	rt.Handle("POST /tickets/{number}/nudge", ticket.PermView, p.nudge)
	rt.Handle("GET  /desk", ticket.PermSupervise, p.desk)
	rt.Handle("GET  /desk/assignment", ticket.PermAssign, p.showGive)
	rt.Handle("POST /desk/assignment", ticket.PermAssign, p.give)
	rt.Handle("GET  /desk/handover", ticket.PermPassOn, p.showHandover)
	rt.Handle("POST /desk/handovers", ticket.PermPassOn, p.handOver)
	rt.Handle("GET  /desk/handovers/{id}", ticket.PermView, p.showHandoverState)
	rt.Handle("POST /files", ticket.PermNote, p.upload, upload, web.JSON())
	rt.Handle("GET  /files/{id}", web.SignedIn, p.download, web.Slow(10*time.Minute))
}

// Nav are the entries of the navigation.
var Nav = []ui.Nav{
	{Key: "tickets", Href: "/tickets", Icon: "ticket", LabelKey: "ticket.nav", Perm: ticket.PermView, Letter: "t"},
	{Key: "desk", Href: "/desk", Icon: "flag", LabelKey: "ticket.desk.nav", Perm: ticket.PermSupervise, Letter: "d"},
}

// Actions are what the command palette offers beside pages.
var Actions = []ui.Nav{{Key: "tickets", Href: "/tickets/new", Icon: "plus", LabelKey: "ticket.new.title", Perm: ticket.PermCreate, Letter: "n"}}

// chrome is the frame of the workspace; a phone shows the ticket when one is
// open.
func chrome(r *web.Request, title string, open bool) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: "tickets", Class: "ws", Assets: append(slices.Clone(assets), "desk.js")}
	if open {
		c.Class = "ws open"
	}
	return c
}

// sheet is the frame of a page of its own.
func sheet(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	return ui.Chrome{Title: title, Nav: "tickets", Assets: assets,
		Crumbs: append([]ui.Crumb{{Label: r.T("ticket.nav"), Href: "/tickets"}}, append(crumbs, ui.Crumb{Label: title})...)}
}

// open loads the ticket of the address in the reader's scope.
func (p *pages) open(r *web.Request) (ticket.Ticket, error) {
	return p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
}

// options translates codes into choices.
func options[C ~string](r *web.Request, prefix string, codes []C) []ui.Option {
	out := make([]ui.Option, len(codes))
	for i, c := range codes {
		out[i] = ui.Option{Value: string(c), Label: r.T(prefix + string(c))}
	}
	return out
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

// address adds the reader's place in the queue to a path, so that going on and
// going back lead where he was.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func (p *pages) departments(r *web.Request, value func(int64) string) ([]ui.Option, error) {
	nodes, err := p.Org.Tree(r.Context())
	if err != nil {
		return nil, err
	}
	var out []ui.Option
	for _, n := range nodes {
		if n.Active {
			out = append(out, ui.Option{Value: value(n.ID), Label: n.Path})
		}
	}
	return out, nil
}

func (p *pages) categories(r *web.Request) ([]ui.Option, error) {
	cs, err := ticket.Categories(r.Context(), p.Tickets.DB().Read())
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	var out []ui.Option
	for _, c := range cs {
		names[c.ID] = c.Name
		o := ui.Option{Value: id(c.ID), Label: c.Name}
		if c.ParentID != 0 {
			o.Label = names[c.ParentID] + " / " + c.Name
		}
		out = append(out, o)
	}
	return out, nil
}

// people are who may handle tickets, with their load and whether they are on
// duty; those of the department come first. perm "" asks, by name only, for
// everybody who sees tickets.
func (p *pages) people(r *web.Request, department int64, perm authz.Permission) ([]ui.Option, error) {
	if !r.Actor.Can(org.PermDirectory) {
		return nil, nil
	}
	of := perm
	if of == "" {
		of = ticket.PermView
	}
	all, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, of, 500)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(all))
	for i, x := range all {
		ids[i] = x.ID
	}
	load := map[int64]int64{}
	if len(ids) > 0 && perm != "" {
		if load, err = ticket.Load(r.Context(), p.Tickets.DB().Read(), ids); err != nil {
			return nil, err
		}
	}
	option := func(x org.Person) ui.Option {
		o := ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department}
		if perm != "" {
			duty := string(x.Availability)
			if x.Away {
				duty = "away"
			}
			o.Label = r.T("ticket.assignee.option", x.Name, r.T("ticket.duty."+duty), load[x.ID], x.Capacity)
			o.Disabled = x.Availability != org.Online || x.Away || load[x.ID] >= x.Capacity
		}
		return o
	}
	var order []int64
	by := map[int64][]ui.Option{}
	for _, x := range all {
		if by[x.DepartmentID] == nil {
			order = append(order, x.DepartmentID)
		}
		by[x.DepartmentID] = append(by[x.DepartmentID], option(x))
	}
	out := by[department]
	for _, d := range order {
		if d != department {
			out = append(out, by[d]...)
		}
	}
	return out, nil
}

// maxFiles bounds the files of one form.
const maxFiles = 20

// received saves files sent with the form itself, before the script was there,
// and returns them with those it sent ahead.
func (p *pages) received(r *web.Request, f *web.Form) ([]int64, error) {
	ids := f.IDs("file")
	if len(ids)+len(f.Files["upload"]) > maxFiles {
		return nil, fault.Invalidf("ticket.files.many", maxFiles).Field("upload", "ticket.files.many", maxFiles)
	}
	for _, h := range f.Files["upload"] {
		if h.Size == 0 && h.Filename == "" {
			continue
		}
		c, err := h.Open()
		if err != nil {
			return nil, err
		}
		file, err := p.Files.Upload(r.Context(), r.Actor, h.Filename, c)
		c.Close()
		if err != nil {
			return nil, err
		}
		ids = append(ids, file.ID)
		f.Values.Add("file", id(file.ID))
	}
	return ids, nil
}

// uploaded is a file that waits in a form.
type uploaded struct {
	ID   int64
	Name string
}

// waiting names the files a form that failed brings back, so that none has to
// be chosen again.
func (p *pages) waiting(r *web.Request, f *web.Form) []uploaded { return p.named(r, f.IDs("file")) }

// named names uploads that wait for the reader; other ids are left out.
func (p *pages) named(r *web.Request, ids []int64) []uploaded {
	var out []uploaded
	for _, n := range ids[:min(len(ids), maxFiles)] {
		x, err := p.Files.Get(r.Context(), p.Tickets.DB().Read(), n)
		if err == nil && x.WaitsFor(r.Actor) {
			out = append(out, uploaded{x.ID, x.Name})
		}
	}
	return out
}

// upload takes one file while its sender still writes.
func (p *pages) upload(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	h := f.File("file")
	if h == nil {
		return fault.Invalidf("ticket.files.none").Field("file", "ticket.files.none")
	}
	c, err := h.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	x, err := p.Files.Upload(r.Context(), r.Actor, h.Filename, c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}{x.ID, x.Name})
}

// download answers with a file; the room it belongs to decides who reads it.
func (p *pages) download(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, c, err := p.Files.Open(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	defer c.Close()
	blob.Serve(w, r.Request, f, c, r.URL.Query().Get("download") == "")
	return nil
}
