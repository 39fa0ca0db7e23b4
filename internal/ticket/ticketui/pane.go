package ticketui

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/calendar"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// pane is one open ticket: its head, its timeline, its customer.
type pane struct {
	T          ticket.Ticket
	Query      string // the reader's place in the queue: "", or "?view=…"
	Department string
	Category   string
	Supervisor string
	Prev, Next string
	Main       *act // the next step
	Side       []act
	More       []act
	CanEdit    bool
	CanWrite   bool
	CanReply   bool
	CanReveal  bool
	Watching   bool
	Registered bool // a moment ago, by the reader

	Clock    *clockLine // the nearest deadline; nil: none
	Ack      *clockLine // how the ticket was taken up in this round
	SubDone  int
	SubAll   int
	Tell     *tell
	Timeline timeline
	Composer composer
	Verbs    []ticket.Verb   // moves the reader may make now
	Unsent   []ticket.Unsent // his messages on their way, and drafts of this ticket that are shared with him
	Shared   []sharedLine
	Side2    side
	Chips    []ticket.Tag
	CanTag   bool
}

// Takes reports whether the ticket is nobody's and the reader may make it his.
func (v *pane) Takes() bool { return v.T.AssigneeID == 0 && slices.Contains(v.Verbs, ticket.Take) }

// act is a move as a button.
type act struct {
	Verb  ticket.Verb // "" for what is no move
	Name  string
	Icon  string
	Key   string // letter
	Ask   bool   // it needs a form
	Bad   bool   // it takes something away
	Class string
	Drawn bool   // with its picture
	To    string // path
}

// Draw is the button: a link to the form of the move, or the move itself. A
// ticket has up to ten, and as a template they would be a third of its page.
func (a act) Draw() template.HTML {
	name, path, key := template.HTMLEscapeString(a.Name), template.HTMLEscapeString(a.To), ""
	if a.Key != "" {
		key = ` data-key="` + template.HTMLEscapeString(a.Key) + `"`
	}
	class := a.Class
	if a.Ask && a.Bad {
		class += " danger"
	}
	text := name
	if a.Drawn {
		text = string(ui.Icon(a.Icon)) + name
	}
	if a.Ask {
		return template.HTML(`<a class="` + class + `" href="` + path + `" hx-get="` + path + `" hx-target="#movebox" hx-swap="innerHTML"` + key + ` title="` + name + `">` + text + `</a>`)
	}
	return template.HTML(`<form method="post" action="` + path + `" hx-post="` + path + `" hx-include=".tlkeep" hx-swap="none"><button class="` + class + `" type="submit"` + key + ` title="` + name + `">` + text + `</button></form>`)
}

// InMenu is the button as an entry of the menu.
func (a act) InMenu() template.HTML {
	a.Class, a.Drawn = "", true
	return a.Draw()
}

// to is an address as attributes; written here once, because the template would
// escape it part by part in both.
func to(path string, attributes ...string) template.HTMLAttr {
	path = template.HTMLEscapeString(path)
	var b strings.Builder
	for _, a := range attributes {
		b.WriteString(a + `="` + path + `" `)
	}
	return template.HTMLAttr(strings.TrimSuffix(b.String(), " "))
}

// order of prominence: what brings the ticket forward stands first.
var order = []ticket.Verb{ticket.Acknowledge, ticket.Take, ticket.RequestConfirmation, ticket.Answer, ticket.Confirm, ticket.Assign, ticket.Ask, ticket.RequestHelp,
	ticket.Reassign, ticket.Dispute, ticket.Resume, ticket.Decline, ticket.Withdraw, ticket.Close, ticket.Reopen, ticket.Cancel}

var looks = map[ticket.Verb]struct{ icon, key string }{
	ticket.Acknowledge: {"ok", "a"}, ticket.Take: {"ok", "t"}, ticket.RequestConfirmation: {"ok", "c"}, ticket.Answer: {"message", "y"}, ticket.Confirm: {"ok", "y"},
	ticket.Assign: {"user", "s"}, ticket.Reassign: {"transfer", "s"}, ticket.Ask: {"help", "q"}, ticket.RequestHelp: {"subtask", "h"}, ticket.Dispute: {"thumb-down", "b"},
	ticket.Resume: {"play", "u"}, ticket.Decline: {"undo", "d"}, ticket.Withdraw: {"undo", "u"}, ticket.Close: {"archive", "z"}, ticket.Reopen: {"refresh", "o"}, ticket.Cancel: {"x", ""},
}

// plain are the moves that need no words.
var plain = []ticket.Verb{ticket.Take, ticket.Acknowledge, ticket.Close}

func (p *pages) acts(r *web.Request, t *ticket.Ticket, query string) []act {
	allowed := p.Tickets.Allowed(r.Context(), r.Actor, t)
	var out []act
	for _, v := range order {
		if !slices.Contains(allowed, v) {
			continue
		}
		a := act{Verb: v, Name: r.T("ticket.verb." + string(v)), Icon: looks[v].icon, Key: looks[v].key, Ask: !slices.Contains(plain, v), Bad: v == ticket.Cancel, Drawn: true}
		a.To = "/tickets/" + t.Number + "/moves/" + string(v) + query
		out = append(out, a)
	}
	return out
}

// clockLine is a clock in words.
type clockLine struct {
	sla.Clock
	Percent  int // of its time used
	Left     time.Duration
	Spent    time.Duration
	Late     bool
	Hours    string // name of its calendar
	Segments []sla.Segment
	Said     []saidLine // what it has said
	Next     []saidLine // what it will say if nobody does anything
}

func lineOf(c sla.Clock, now time.Time) clockLine {
	l := clockLine{Clock: c, Left: c.Target - c.UsedAt(now), Spent: c.UsedAt(now)}
	if c.Target > 0 {
		l.Percent = int(min(100, c.UsedAt(now)*100/c.Target))
	}
	l.Late = c.Missed || c.State == sla.Running && l.Left < 0
	return l
}

// tell is what the customer has yet to be told, and how he is let in.
type tell struct {
	Deliveries []ticket.Delivery
	Link, Code string
	Message    string // ready to be sent: the newest of them in the company's words
	Confirm    bool   // record his word by phone
	Answer     bool
	Dispute    bool
}

// side is what stands beside the ticket.
type side struct {
	Customer  customer.Customer
	Contact   customer.Contact
	Values    []value // of that contact
	Others    []other
	Gone      bool // the profile cannot be read any more
	Recent    []ticket.Brief
	Children  []ticket.Row
	Parent    *ticket.Ticket // nil: out of scope or none
	IsChild   bool
	Links     []ticket.Link
	Fields    []ownField // the company's own
	Checks    []ticket.Check
	CheckDone int
	Watchers  []string
	Ratings   []ticket.Rating
	CanOpen   bool // the customer's own page
	Reveal    map[string]string
	NeedsWhy  bool
	RevealURL string
	Panels    []template.HTML // of other rooms
	Together  together
}

// other is a further contact of the customer.
type other struct {
	customer.Contact
	Values []value
}

// value is a sensitive value of a contact, masked.
type value struct {
	Field, Label, Masked string
	URL                  template.HTMLAttr // where it is shown in clear; "" for who may not
}

func values(r *web.Request, t ticket.Ticket, c customer.Contact, reveal bool) (out []value) {
	for _, x := range []struct {
		field  customer.Field
		masked string
	}{{customer.Phone, c.Phone}, {customer.Email, c.Email}, {customer.Wechat, c.Wechat}} {
		if x.masked == "" {
			continue
		}
		v := value{Field: string(x.field), Label: r.T("ticket.cust." + string(x.field)), Masked: x.masked}
		if reveal {
			v.URL = to("/tickets/"+t.Number+"/contacts/"+id(c.ID)+"/values", "action", "hx-post")
		}
		out = append(out, v)
	}
	return out
}

// paneOf loads an open ticket with everything around it.
func (p *pages) paneOf(r *web.Request, t ticket.Ticket, keep url.Values) (*pane, error) {
	v := p.frameOf(r, t, keep)
	loads := append(p.head(v), p.beside(v)...)
	loads = append(loads,
		func(r *web.Request) (err error) { v.Timeline, err = p.timelineOf(r, t, place{}); return err },
		func(r *web.Request) (err error) { v.Composer, err = p.composerOf(r, v, nil); return err })
	return v, p.loadAll(r, loads)
}

// load reads a part of a pane into it. Loads run side by side: each writes what
// no other reads or writes.
type load func(r *web.Request) error

// loadAll runs loads, in as few round trips to the store as may be.
func (p *pages) loadAll(r *web.Request, loads []load) error {
	fs := make([]func(ctx context.Context) error, len(loads))
	for i, l := range loads {
		fs[i] = func(ctx context.Context) error { return l(r.With(ctx)) }
	}
	return p.Tickets.DB().Together(r.Context(), fs...)
}

// headOf loads what stands above the timeline.
func (p *pages) headOf(r *web.Request, t ticket.Ticket, keep url.Values) (*pane, error) {
	v := p.frameOf(r, t, keep)
	return v, p.loadAll(r, p.head(v))
}

// frameOf is a pane with what needs no asking beside the ticket.
func (p *pages) frameOf(r *web.Request, t ticket.Ticket, keep url.Values) *pane {
	ctx := r.Context()
	v := &pane{T: t, Query: address("", keep), Department: p.Org.DepartmentName(ctx, t.DepartmentID)}
	if t.SupervisorID != 0 {
		v.Supervisor = p.Org.Name(ctx, t.SupervisorID)
	}
	as := p.acts(r, &t, v.Query)
	for _, a := range as {
		v.Verbs = append(v.Verbs, a.Verb)
	}
	if len(as) > 0 {
		as[0].Class = "btn ok"
		v.Main, as = &as[0], as[1:]
		for _, x := range as {
			if n := len(v.Side); n < 2 && !x.Bad {
				x.Class, x.Drawn = "btn side side"+id(int64(n)), false
				v.Side = append(v.Side, x)
			} else {
				v.More = append(v.More, x)
			}
		}
	}
	for _, m := range p.Menu {
		if m.Offered(r.Actor, &t) {
			v.More = append(v.More, act{Name: r.T(m.LabelKey), Icon: m.Icon, Key: m.Key, Ask: true, Drawn: true, To: strings.ReplaceAll(m.Href, "{number}", t.Number) + v.Query})
		}
	}
	v.More = append(v.More, p.togetherActs(r, &t, v.Query)...)
	live := t.State != ticket.Closed && t.State != ticket.Cancelled
	v.CanEdit = canEdit(r, t)
	v.CanTag = t.MergedInto == 0 && r.Actor.Can(ticket.PermEdit) && (t.AssigneeID == r.Actor.ID || t.InScope(authz.For(r.Actor, ticket.PermEdit)))
	v.CanWrite = r.Actor.Can(ticket.PermNote) && t.MergedInto == 0
	v.CanReply = live && r.Actor.Can(ticket.PermHandle) && (t.AssigneeID == r.Actor.ID || t.InScope(authz.For(r.Actor, ticket.PermSupervise)))
	v.CanReveal = mayReveal(r, t)
	return v
}

// head is what headOf loads.
func (p *pages) head(v *pane) []load {
	t := v.T
	loads := []load{
		func(r *web.Request) (err error) {
			v.Chips, err = p.chips(r.Context(), t.Tags) // none, or held
			return err
		},
		func(r *web.Request) (err error) {
			v.Unsent, err = p.Tickets.UnsentOf(r.Context(), r.Actor, t.ID)
			p.shared(r, v)
			return err
		},
		func(r *web.Request) error {
			clocks, err := sla.Of(r.Context(), p.Tickets.DB().Read(), t.ID)
			now := r.Now()
			for _, c := range clocks {
				l := lineOf(c, now)
				switch {
				case c.State == sla.Running && (v.Clock == nil || v.Clock.State != sla.Running || c.DueAt.Before(v.Clock.DueAt)):
					v.Clock = &l
				case c.State == sla.Paused && v.Clock == nil:
					v.Clock = &l
				}
				if c.Kind == sla.Acknowledge && c.Round == t.Round {
					v.Ack = &l
				}
			}
			return err
		},
		func(r *web.Request) (err error) {
			if v.Side2.Children, err = p.Tickets.Children(r.Context(), t.ID); err != nil {
				return err
			}
			for _, c := range v.Side2.Children {
				v.SubAll++
				if !c.State.Open() {
					v.SubDone++
				}
			}
			v.Side2.Together.Last, err = p.lastOf(r, t, v.Side2.Children)
			return err
		},
		func(r *web.Request) error {
			watchers, err := p.Tickets.Watchers(r.Context(), t.ID)
			for _, w := range watchers {
				v.Watching = v.Watching || w == r.Actor.ID
				v.Side2.Watchers = append(v.Side2.Watchers, p.Org.Name(r.Context(), w))
			}
			return err
		},
	}
	if t.ParentID == 0 {
		loads = append(loads, func(r *web.Request) (err error) { v.Tell, err = p.tellOf(r, t); return err })
	}
	return loads
}

// base is where the product is reached from outside.
func (p *pages) base(r *web.Request) string {
	if base := strings.TrimSuffix(p.PublicURL, "/"); base != "" {
		return base
	}
	if r.Secure() {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (p *pages) tellOf(r *web.Request, t ticket.Ticket) (*tell, error) {
	ds, err := p.Tickets.Waiting(r.Context(), t.ID)
	fresh := r.URL.Query().Get("new") != "" && t.CreatedBy == r.Actor.ID
	if err != nil || len(ds) == 0 && !fresh {
		return nil, err
	}
	base := p.base(r)
	var once []ticket.Delivery // two reminders are one thing to say
	for _, d := range ds {
		if !slices.ContainsFunc(once, func(o ticket.Delivery) bool { return o.Purpose == d.Purpose }) {
			once = append(once, d)
		}
	}
	x := &tell{Deliveries: once, Link: base + "/c/" + p.Tickets.Link(t), Code: p.Tickets.LookupCode(t)}
	purpose, text := "received", ""
	if len(ds) > 0 {
		last := ds[len(ds)-1]
		purpose = last.Purpose
		if text, err = journal.Body(r.Context(), p.Tickets.DB().Read(), last.EntryID); err != nil {
			return nil, err
		}
	}
	words, err := ticket.MessageTemplates(r.Context(), p.Tickets.DB().Read(), r.Lang)
	if err != nil {
		return nil, err
	}
	x.Message = words.Say(purpose, t, text, x.Code, x.Link)
	allowed := p.Tickets.Allowed(r.Context(), r.Actor, &t)
	x.Confirm, x.Dispute, x.Answer = slices.Contains(allowed, ticket.Confirm), slices.Contains(allowed, ticket.Dispute), slices.Contains(allowed, ticket.Answer)
	return x, nil
}

// beside loads the customer's side.
func (p *pages) beside(v *pane) []load {
	s, t := &v.Side2, v.T
	s.IsChild = t.ParentID != 0
	loads := []load{
		func(r *web.Request) error {
			card, err := p.Customers.Card(r.Context(), p.Tickets.DB().Read(), t.CustomerID)
			switch {
			case fault.Is(err, fault.NotFound):
				s.Gone = true
			case err != nil:
				return err
			}
			s.Customer = card
			for _, c := range card.Contacts {
				if c.ID == t.ContactID || t.ContactID == 0 && s.Contact.ID == 0 {
					s.Contact = c
				} else {
					s.Others = append(s.Others, other{c, values(r, t, c, v.CanReveal)})
				}
			}
			s.Values = values(r, t, s.Contact, v.CanReveal)
			s.CanOpen = !s.Gone && customer.View(r.Actor).Matches([]int64{card.OwnerID, card.CreatedBy}, card.DepartmentID)
			return nil
		},
		func(r *web.Request) (err error) {
			s.Recent, err = p.Tickets.OfCustomer(r.Context(), ticket.View(r.Actor), t.CustomerID, 7)
			s.Recent = slices.DeleteFunc(s.Recent, func(x ticket.Brief) bool { return x.ID == t.ID })
			return err
		},
		func(r *web.Request) (err error) {
			if s.Links, err = p.Tickets.Links(r.Context(), ticket.View(r.Actor), t.ID); err != nil {
				return err
			}
			if s.IsChild {
				parent, err := p.Tickets.Get(r.Context(), ticket.View(r.Actor), t.ParentID)
				if err == nil {
					s.Parent = &parent
				} else if !fault.Is(err, fault.NotFound) {
					return err
				}
			}
			return p.togetherOf(r, v)
		},
		func(r *web.Request) error {
			defs, have, err := p.fields(r, t.ID)
			if err == nil {
				s.Fields = ownFields(r.Lang, defs, have, t.Type, v.CanEdit)
			}
			return err
		},
		func(r *web.Request) (err error) {
			s.Checks, err = ticket.Checks(r.Context(), p.Tickets.DB().Read(), t.ID)
			for _, c := range s.Checks {
				if !c.DoneAt.IsZero() {
					s.CheckDone++
				}
			}
			return err
		},
		func(r *web.Request) (err error) { v.Category, err = p.categoryName(r, t.CategoryID); return err },
	}
	s.Panels = make([]template.HTML, len(p.Panels))
	for i, show := range p.Panels {
		loads = append(loads, func(r *web.Request) (err error) { s.Panels[i], err = show(r, t); return err })
	}
	if t.Rating > 0 || t.Round > 1 {
		loads = append(loads, func(r *web.Request) (err error) {
			s.Ratings, err = ticket.Ratings(r.Context(), p.Tickets.DB().Read(), t.ID)
			return err
		})
	}
	return loads
}

// ownField is one of the company's own fields as it stands beside a ticket.
type ownField struct {
	Name              string // of its form; "" when it cannot be changed
	Label, Text, Link string
}

// emptyFields is how many fields that hold nothing are offered to be filled in
// where they stand; of more the form of the whole ticket shows all.
const emptyFields = 8

// ownFields are those that belong to the type of the ticket. What is empty is
// there only to be filled in.
func ownFields(l i18n.Lang, defs []field.Def, have map[int64]field.Value, typ string, edit bool) (out []ownField) {
	empty := 0
	for _, d := range defs {
		v := have[d.ID]
		if v.Empty() && (!edit || !d.Applies(typ)) {
			continue
		}
		if v.Empty() {
			if empty++; empty > emptyFields {
				continue
			}
		}
		x := ownField{Label: d.Label, Text: v.Text(l)}
		if edit && d.Applies(typ) {
			x.Name = d.Name()
		}
		if d.Kind == field.Link {
			x.Link = v.Raw()
		}
		out = append(out, x)
	}
	return out
}

// factsOf are the company's own fields of ticket id in words.
func (p *pages) factsOf(r *web.Request, id int64) ([]ui.Fact, error) {
	defs, have, err := p.fields(r, id)
	return fieldui.Facts(r.Lang, defs, have), err
}

// timeline is a stretch of what was said and done.
type timeline struct {
	T       ticket.Ticket
	Query   string
	Lines   []line
	Files   []attachment // of the description
	Merged  []mergedHead // descriptions of those merged into this one
	From    int64        // id of the first line shown
	Last    int64
	Earlier bool // there is older
	Later   bool // there is newer
}

// line is one entry as it is read.
type line struct {
	ID      int64
	Kind    string // css: customer, reply, note, followup, sys
	Name    string // of the kind, in the reader's language
	Author  string
	Text    string
	Reason  string
	At      time.Time
	Via     string // who wrote it down for the customer
	Record  *journal.Record
	Private bool
	Files   []attachment
	Origin  string // number of the ticket it was written on, when that was merged
	Split   string // number of the ticket made of it
	CanCut  bool   // a ticket may be made of it

	Corrects    string // where the line stands that this one corrects; "" none
	CorrectedBy string // where the line stands that corrects this one; "" none
	Correct     string // where the reader adds a correction; "" he may not
}

// Key makes lines be drawn once; one with files is drawn anew, for a file may be
// taken away.
func (l line) Key() any {
	if len(l.Files) > 0 {
		return nil
	}
	k := lineKey{id: l.ID, kind: l.Kind, name: l.Name, author: l.Author, text: l.Text, reason: l.Reason, via: l.Via, at: l.At, private: l.Private, origin: l.Origin, split: l.Split, cut: l.CanCut, corrects: l.Corrects, correctedBy: l.CorrectedBy, correct: l.Correct}
	if l.Record != nil {
		k.record = *l.Record
	}
	return k
}

type lineKey struct {
	id                                    int64
	kind, name, author, text, reason, via string
	origin, split                         string
	cut                                   bool
	at                                    time.Time
	private                               bool
	corrects, correctedBy, correct        string
	record                                journal.Record
}

type attachment struct {
	ID      int64
	Name    string
	Size    int64
	Picture bool
}

// place says which stretch: before or after an entry, from an entry on, around
// one; the zero place is the newest.
type place struct{ Before, After, From, Around int64 }

const stretch = 30

func (p *pages) timelineOf(r *web.Request, t ticket.Ticket, at place) (timeline, error) {
	ctx, q := r.Context(), p.Tickets.DB().Read()
	tl := timeline{T: t}
	pg := journal.Page{Limit: stretch, Before: at.Before}
	switch {
	case at.After > 0:
		pg.After = at.After
	case at.From > 0:
		pg.After, pg.Limit = at.From-1, 500
	case at.Around > 0:
		pg.Before = at.Around + stretch/2
	}
	where := journal.Place{Ticket: t.ID}
	if t.MergedInto != 0 {
		where = journal.Place{Origin: t.ID}
	}
	es, more, err := journal.Of(ctx, q, where, pg)
	if err != nil {
		return tl, err
	}
	if pg.After > 0 {
		tl.Later = more
		if at.From > 0 {
			before, _, err := journal.Of(ctx, q, where, journal.Page{Before: at.From, Limit: 1})
			if err != nil {
				return tl, err
			}
			tl.Earlier = len(before) > 0
		}
	} else {
		tl.Earlier = more
		if at.Around > 0 && len(es) > 0 {
			after, _, err := journal.Of(ctx, q, where, journal.Page{After: es[len(es)-1].ID, Limit: 1})
			if err != nil {
				return tl, err
			}
			tl.Later = len(after) > 0
		}
	}
	ids := make([]int64, len(es))
	var named, foreign []int64 // tickets the lines name; entries of merged ones
	for i, e := range es {
		ids[i] = e.ID
		if e.OriginID != 0 {
			named, foreign = append(named, e.OriginID), append(foreign, e.ID)
		}
		if e.SplitTo != 0 {
			named = append(named, e.SplitTo)
		}
	}
	numbers, err := ticket.Numbers(ctx, q, named)
	if err != nil {
		return tl, err
	}
	var fs map[int64][]blob.File
	if at.Before == 0 && at.After == 0 { // those of the description too: all there are
		fs = map[int64][]blob.File{}
		all, err := p.Files.Of(ctx, q, "ticket", t.ID)
		if err != nil {
			return tl, err
		}
		for _, f := range all {
			fs[f.Owner.EntryID] = append(fs[f.Owner.EntryID], f)
		}
		tl.Files = attachments(fs[0])
		theirs, err := p.Files.OfEntries(ctx, q, foreign)
		if err != nil {
			return tl, err
		}
		for n, f := range theirs {
			fs[n] = f
		}
		if t.Joined && !tl.Earlier {
			if tl.Merged, err = p.mergedHeads(r, t); err != nil {
				return tl, err
			}
		}
	} else if fs, err = p.Files.OfEntries(ctx, q, ids); err != nil {
		return tl, err
	}
	cut := r.Actor.Can(ticket.PermCreate) && t.MergedInto == 0
	for _, e := range es {
		l := lineFor(r.Lang, t, e, attachments(fs[e.ID]))
		l.CanCut = cut && ticket.Splittable(e)
		if t.MergedInto == 0 {
			l.Origin = numbers[e.OriginID]
		}
		l.Split = numbers[e.SplitTo]
		tl.Lines = append(tl.Lines, l)
	}
	if err := p.corrections(r, t, es, &tl); err != nil {
		return tl, err
	}
	if n := len(es); n > 0 {
		tl.From, tl.Last = es[0].ID, es[n-1].ID
	}
	return tl, nil
}

func attachments(fs []blob.File) []attachment {
	var out []attachment
	for _, f := range fs {
		out = append(out, attachment{f.ID, f.Name, f.Size, blob.Inline(f.MIME)})
	}
	return out
}

func lineFor(l i18n.Lang, t ticket.Ticket, e journal.Entry, fs []attachment) line {
	x := line{ID: e.ID, Kind: string(e.Kind), Name: i18n.T(l, "journal.kind."+string(e.Kind)), Author: e.AuthorName, Text: e.Body, At: e.CreatedAt, Files: fs}
	if e.AuthorKind == authz.Worker {
		x.Author = i18n.T(l, "journal.kind.system")
		if name := authz.SystemName(l, e.AuthorName); name != e.AuthorName {
			x.Author = name
		}
		if e.Kind == journal.Reply {
			x.Name = i18n.T(l, "journal.automatic") // nobody is answerable for these words but the rule
		}
	}
	switch e.Kind {
	case journal.Customer:
		if e.AuthorKind == authz.User {
			x.Via = x.Author
		}
		if e.AuthorKind != authz.Customer || x.Author == "" {
			x.Author = t.CustomerName
		}
	case journal.Question:
		x.Kind = "reply question"
	case journal.FollowUp:
		x.Kind = "followup"
		rec := e.Record()
		x.Record = &rec
	case journal.Note:
		x.Private = true
	case journal.Move, journal.System:
		x.Kind = "sys"
		m := e.Moved()
		x.Text, x.Reason = m.Say(l), m.Reason
	}
	return x
}

// show answers with the ticket: the whole workspace, or its two panes.
func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if t.MergedInto != 0 {
		if ok, err := p.led(w, r, t); ok || err != nil {
			return err
		}
	}
	if r.IsFragment() && r.Target() != "main" {
		s, err := p.selected(r)
		if err != nil {
			return err
		}
		v, err := p.paneOf(r, t, s.keep)
		if err != nil {
			return err
		}
		if n := entryOf(r); n > 0 {
			if v.Timeline, err = p.timelineOf(r, t, place{Around: n}); err != nil {
				return err
			}
		}
		return workspacePage.Fragment(w, r, "opened", workspace{Pane: v}, ui.Into("customer", "#cust", "innerHTML"))
	}
	return p.renderTicket(w, r, t, nil)
}

// renderTicket draws the workspace around a ticket; change may alter the pane.
func (p *pages) renderTicket(w http.ResponseWriter, r *web.Request, t ticket.Ticket, change func(*pane)) error {
	ws, s, err := p.lists(r, t.Number, true)
	if err != nil {
		return err
	}
	if ws.Pane, err = p.paneOf(r, t, s.keep); err != nil {
		return err
	}
	for i, x := range ws.Queue.Rows {
		if x.ID == t.ID {
			if i > 0 {
				ws.Pane.Prev = ws.Queue.Rows[i-1].Href
			}
			if i+1 < len(ws.Queue.Rows) {
				ws.Pane.Next = ws.Queue.Rows[i+1].Href
			}
		}
	}
	if !slices.ContainsFunc(ws.Queue.Rows, func(x row) bool { return x.ID == t.ID }) { // it stands elsewhere in the list
		prev, next, err := p.Tickets.Beside(r.Context(), ticket.View(r.Actor), s.filter, t)
		if err != nil {
			return err
		}
		if prev != "" {
			ws.Pane.Prev = address("/tickets/"+prev, s.keep)
		}
		if next != "" {
			ws.Pane.Next = address("/tickets/"+next, s.keep)
		}
	}
	if n := entryOf(r); n > 0 {
		if ws.Pane.Timeline, err = p.timelineOf(r, t, place{Around: n}); err != nil {
			return err
		}
	}
	if change != nil {
		change(ws.Pane)
	}
	return workspacePage.Render(w, r, chrome(r, t.Number+" "+t.Title, true), ws)
}

func entryOf(r *web.Request) int64 {
	f := r.Blank()
	f.Values = r.URL.Query()
	return f.ID("entry")
}

// changed answers an action on a ticket: with the parts that differ, or by
// sending the browser to the ticket. A ticket that is no longer the reader's to
// see sends him to his queue.
func (p *pages) changed(w http.ResponseWriter, r *web.Request, t ticket.Ticket, what touched, extra ...ui.Part) error {
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	t, err = p.Tickets.Get(r.Context(), ticket.View(r.Actor), t.ID)
	if fault.Is(err, fault.NotFound) {
		r.Flash(w, "", "ticket.passed_on")
		return r.SeeOther(w, "%s", address("/tickets", s.keep))
	}
	if err != nil {
		return err
	}
	if !r.IsFragment() {
		return r.SeeOther(w, "%s", address("/tickets/"+t.Number, s.keep))
	}
	v, err := p.refreshed(r, t, s.keep, what)
	if err != nil {
		return err
	}
	return workspacePage.Parts(w, r, workspace{Pane: v}, append(parts(r, v, what), extra...)...)
}

// touched says how much of a pane a change may have touched.
type touched int

const (
	middle  touched = iota // the head and the timeline
	whole                  // what stands beside them too
	written                // as middle, by an answer that brings a fresh composer with it
)

// refreshed loads a pane again, from the first line the browser shows on.
func (p *pages) refreshed(r *web.Request, t ticket.Ticket, keep url.Values, what touched) (*pane, error) {
	v, f := p.frameOf(r, t, keep), r.Input()
	loads := append(p.head(v), func(r *web.Request) (err error) {
		v.Timeline, err = p.timelineOf(r, t, place{From: f.ID("tlfrom")})
		v.Timeline.Query = v.Query
		return err
	})
	if writable(f, v) {
		loads = append(loads, func(r *web.Request) (err error) { v.Composer, err = p.composerOf(r, v, nil); return err })
	}
	if what == whole {
		loads = append(loads, p.beside(v)...)
	}
	return v, p.loadAll(r, loads)
}

// writable reports whether what may be written differs from what the browser
// offers.
func writable(f *web.Form, v *pane) bool {
	return f.Has("tlkinds") && f.String("tlkinds") != strings.Join(v.kinds(), " ")
}

// parts are what a change may touch. The composer stays, somebody may be writing
// in it, unless what may be written has changed.
func parts(r *web.Request, v *pane, what touched) []ui.Part {
	ps := []ui.Part{ui.Into("tkhead", "#tkhead", "innerMorph"), ui.Into("lines", "#tl", "innerMorph"), ui.Into("shared", "#shared", "innerMorph"), ui.Into("outbox", "#outbox", "innerMorph")}
	if what == whole {
		ps = append(ps, ui.Into("customer", "#cust", "innerMorph"))
	}
	if writable(r.Input(), v) && what != written {
		ps = append(ps, ui.Into("writable", "#writable", ""))
	}
	return ps
}

// live refreshes the pane after something has happened to its ticket.
func (p *pages) live(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if fault.Is(err, fault.NotFound) {
		w.WriteHeader(http.StatusNoContent) // reassigned away while it was open: what is on the screen stays until he goes on
		return nil
	}
	if err != nil {
		return err
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	v, err := p.refreshed(r, t, s.keep, whole)
	if err != nil {
		return err
	}
	return workspacePage.Parts(w, r, workspace{Pane: v}, parts(r, v, whole)...)
}

// showTimeline answers with an older or newer stretch.
func (p *pages) showTimeline(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Blank()
	f.Values = r.URL.Query()
	at := place{Before: f.ID("before"), After: f.ID("after")}
	if at == (place{}) {
		return r.SeeOther(w, "/tickets/%s", t.Number)
	}
	tl, err := p.timelineOf(r, t, at)
	if err != nil {
		return err
	}
	if !r.IsFragment() { // before the script: the workspace with that stretch
		return p.renderTicket(w, r, t, func(v *pane) { v.Timeline = tl })
	}
	name := "older"
	if at.After > 0 {
		name = "further"
	}
	return workspacePage.Fragment(w, r, name, workspace{Pane: &pane{T: t, Timeline: tl}})
}

// clocksView answers "why was this late".
type clocksView struct {
	T      ticket.Ticket
	Causes []causeLine
	Clocks []clockLine
	Knows  bool // it is being said again and again, and the reader can say that he knows
}

// saidLine is one time a clock spoke, or will.
type saidLine struct {
	At    time.Time
	Name  string // sla.step.<name>
	When  string
	Whom  string
	How   string
	Again int
}

func (p *pages) showClocks(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	ctx, q := r.Context(), p.Tickets.DB().Read()
	cs, err := sla.Of(ctx, q, t.ID)
	if err != nil {
		return err
	}
	book, err := calendar.Load(ctx, q)
	if err != nil {
		return err
	}
	v, card := clocksView{T: t}, r.URL.Query().Has("card") // what hovers over a countdown says no more than how each stands
	if !card {
		if v.Causes, err = p.causes(r, t); err != nil {
			return err
		}
	}
	for _, c := range slices.Backward(cs) {
		l := lineOf(c, r.Now())
		l.Hours = r.T("calendar.always")
		if x, ok := book.Get(c.Calendar); ok {
			l.Hours = x.Name
		}
		if card {
			if c.Round == t.Round {
				v.Clocks = append(v.Clocks, l)
			}
			continue
		}
		if l.Segments, err = sla.Segments(ctx, q, c.ID); err != nil {
			return err
		}
		v.Clocks = append(v.Clocks, l)
	}
	if !card {
		if err := p.sayLadders(r, &v); err != nil {
			return err
		}
	}
	if r.IsFragment() {
		if card {
			return clocksPage.Fragment(w, r, "card", v)
		}
		return clocksPage.Fragment(w, r, "clocks", v)
	}
	return clocksPage.Render(w, r, sheet(r, r.T("ticket.clocks.title"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

func (p *pages) told(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.Tickets.Told(r.Context(), r.Actor, t.ID); err != nil {
		return err
	}
	return p.changed(w, r, t, middle)
}

func (p *pages) watch(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.Tickets.Watch(r.Context(), r.Actor, t.ID, r.Input().Bool("on")); err != nil {
		return err
	}
	return p.changed(w, r, t, whole)
}

// revealView is one sensitive value of a contact.
type revealView struct {
	URL     string
	Field   string
	Masked  string
	Clear   string
	Contact int64
	Form    *web.Form
	Ask     bool // the administrator wants a reason
}

// mayReveal reports whether the reader may see the values of this ticket's
// customer in clear: the right to reveal reaches as far on tickets as on
// customers. An engineer, who has it for his own, takes the ticket first.
func mayReveal(r *web.Request, t ticket.Ticket) bool {
	return t.InScope(authz.For(r.Actor, customer.PermReveal))
}

// reveal shows a contact's value in clear to somebody whom the ticket concerns;
// who asked is on record (CUS-17).
func (p *pages) reveal(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	contact, err := r.PathID("contact")
	if err != nil {
		return err
	}
	if !mayReveal(r, t) {
		return authz.Denied(customer.PermReveal)
	}
	f := r.Input()
	v := revealView{URL: r.URL.Path, Field: f.String("field"), Contact: contact, Form: f, Masked: f.String("masked")}
	v.Clear, err = p.Customers.RevealVia(r.Context(), r.Actor, t.CustomerID, contact, customer.Field(v.Field), f.String("reason"), ticket.Subject(t.ID))
	if fault.Is(err, fault.Invalid) && slices.Contains(customer.ContactFields, customer.Field(v.Field)) {
		c, cerr := p.Customers.Contact(r.Context(), p.Tickets.DB().Read(), contact)
		if cerr != nil || c.CustomerID != t.CustomerID {
			return err
		}
		v.Masked = map[customer.Field]string{customer.Phone: c.Phone, customer.Email: c.Email, customer.Wechat: c.Wechat}[customer.Field(v.Field)]
		v.Ask = true
		if !f.Has("reason") { // first he is asked
			if r.IsFragment() {
				return revealPage.Fragment(w, r, "value", v)
			}
			return revealPage.Render(w, r, sheet(r, r.T("ticket.reveal"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
		}
		if r.IsFragment() {
			return revealPage.InvalidFragment(w, r, err, f, "value", v)
		}
		return revealPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.reveal"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
	}
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return revealPage.Fragment(w, r, "value", v)
	}
	return revealPage.Render(w, r, sheet(r, r.T("ticket.reveal"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

// colleagues suggests people to mention: [{id, label, note}].
func (p *pages) colleagues(w http.ResponseWriter, r *web.Request) error {
	type option struct {
		ID    int64  `json:"id"`
		Label string `json:"label"`
		Note  string `json:"note"`
	}
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	people, err := p.Org.Colleagues(r.Context(), r.Actor, q, 0, ticket.PermView, 8)
	if err != nil {
		return err
	}
	out := []option{}
	for _, x := range people {
		out = append(out, option{x.ID, x.Name, x.Department})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// mentions finds the colleagues named behind an @ in text: the longest name that
// fits, of somebody active.
func (p *pages) mentions(ctx context.Context, r *web.Request, text string) ([]int64, error) {
	if !strings.ContainsAny(text, "@＠") {
		return nil, nil
	}
	people, err := p.Org.Colleagues(ctx, r.Actor, "", 0, ticket.PermView, 0)
	if err != nil {
		return nil, err
	}
	var out []int64
	rest := strings.ReplaceAll(text, "＠", "@")
	for {
		i := strings.IndexByte(rest, '@')
		if i < 0 {
			return out, nil
		}
		rest = rest[i+1:]
		best, long := int64(0), 0
		for _, x := range people {
			for _, n := range []string{x.Name, x.Login} {
				if len(n) > long && strings.HasPrefix(rest, n) {
					best, long = x.ID, len(n)
				}
			}
		}
		if best != 0 && !slices.Contains(out, best) {
			out = append(out, best)
		}
	}
}
