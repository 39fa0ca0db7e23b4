package ticketui

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// fieldView is the form of one thing that is said of a ticket.
type fieldView struct {
	T       ticket.Ticket
	Dialog  bool
	Name    string // of the field
	Label   string
	Form    *web.Form
	Action  string
	Back    string
	Options []ui.Option // of a choice
	Own     *ui.Control // of the company's own fields
	Theirs  *theirs     // somebody else has changed it meanwhile
}

// theirs is what a field holds by now, beside what the reader wanted.
type theirs struct {
	Name      string
	Label     string
	Now, Mine string // in words
	Value     string // Now as the form sends it
	By        string // who changed it; "" unknown
	At        time.Time
}

var fieldPage = ui.NewPage[fieldView](files, "field.html").Sample(
	fieldView{Name: "urgency", Label: "x", Dialog: true, Options: []ui.Option{{Value: "low", Label: "x"}}, Theirs: &theirs{Now: "x", Mine: "y", By: "z", At: sampleTime}},
	fieldView{Name: "priority", Label: "x", Options: []ui.Option{{Value: "low", Label: "x"}}, Theirs: &theirs{Now: "x", Mine: "y"}}, fieldView{Name: "title", Label: "x"},
	fieldView{Name: "fields.x", Label: "x", Own: &ui.Control{Name: "fields.x", Label: "x", Kind: "text"}})

// inPlace are the fields that are changed where they stand, beside the
// company's own.
var inPlace = []string{"title", "type", "class", "category", "urgency", "priority"}

func (p *pages) fieldView(r *web.Request, t ticket.Ticket, f *web.Form) (v fieldView, err error) {
	s, err := p.selected(r)
	if err != nil {
		return v, err
	}
	name := r.PathValue("field")
	v = fieldView{T: t, Dialog: r.IsFragment(), Name: name, Form: f, Action: address("/tickets/"+t.Number+"/fields/"+name, s.keep), Back: address("/tickets/"+t.Number, s.keep)}
	if strings.HasPrefix(name, "fields.") {
		defs, have, err := p.fields(r, t.ID)
		if err != nil {
			return v, err
		}
		for _, c := range fieldui.Inputs(r, defs, "", t.Type, "", have) {
			if c.Name == name {
				v.Own, v.Label = &c, c.Label
				return v, nil
			}
		}
		return v, ui.NoSuchPage()
	}
	if !slices.Contains(inPlace, name) {
		return v, ui.NoSuchPage()
	}
	v.Label = r.T("ticket.field." + name)
	switch name {
	case "type":
		v.Options = options(r, "ticket.type.", ticket.Types)
	case "class":
		v.Options = options(r, "ticket.class.", ticket.Classes)
	case "urgency":
		v.Options = options(r, "ticket.urgency.", ticket.Urgencies)
	case "priority":
		v.Options = options(r, "ticket.priority.", ticket.Priorities)
	case "category":
		v.Options, err = p.categories(r)
	}
	return v, err
}

func (p *pages) showField(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if !canEdit(r, t) {
		return fault.New(fault.Conflict, "ticket.move.not_now")
	}
	f := r.Blank()
	held, err := p.Tickets.Held(r.Context(), p.Tickets.DB().Read(), t)
	if err != nil {
		return err
	}
	name := r.PathValue("field")
	f.Set("was", held[name])
	if strings.HasPrefix(name, "fields.") {
		defs, have, err := p.fields(r, t.ID)
		if err != nil {
			return err
		}
		fieldui.Fill(f, defs, "", have)
	} else {
		f.Set(name, held[name])
		f.Set("priority_reason", t.PriorityReason)
	}
	v, err := p.fieldView(r, t, f)
	if err != nil {
		return err
	}
	return p.drawField(w, r, v)
}

func (p *pages) drawField(w http.ResponseWriter, r *web.Request, v fieldView) error {
	if r.IsFragment() {
		return fieldPage.Fragment(w, r, "dialog", v)
	}
	return fieldPage.Render(w, r, sheet(r, v.Label, ui.Crumb{Label: v.T.Number, Href: v.Back}), v)
}

// setField changes one field. When somebody else was faster both values are
// shown, and the reader chooses.
func (p *pages) setField(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	v, err := p.fieldView(r, t, f)
	if err != nil {
		return err
	}
	in := ticket.Patch{}
	if f.Has("was") {
		in.Was = map[string]string{v.Name: f.String("was")}
	}
	text := f.String(v.Name)
	switch v.Name {
	case "title":
		in.Title = &text
	case "type":
		in.Type = &text
	case "class":
		in.Class = &text
	case "urgency":
		in.Urgency = &text
	case "priority":
		why := f.Limited("priority_reason", 500)
		in.Priority, in.PriorityReason = &text, &why
	case "category":
		n := f.ID("category")
		in.CategoryID = &n
	default:
		defs, _, err := p.fields(r, 0)
		if err != nil {
			return err
		}
		for _, d := range defs {
			if d.Name() == v.Name {
				all := fieldui.Read(f, defs, "")
				in.Fields = map[int64][]string{d.ID: all[d.ID]}
			}
		}
	}
	if err = f.Err(); err == nil {
		_, err = p.Tickets.Patch(r.Context(), r.Actor, t.ID, in)
	}
	if fe, ok := fault.As(err); ok && fe.Key == "ticket.nothing_changed" {
		err = nil
	} else if ok && fe.Key == "ticket.field_changed" {
		if v.Theirs, err = p.theirs(r, t, f, v); err != nil {
			return err
		}
		err = fe
	}
	if err != nil {
		if r.IsFragment() {
			return fieldPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return fieldPage.Invalid(w, r, err, f, sheet(r, v.Label, ui.Crumb{Label: t.Number, Href: v.Back}), v)
	}
	if r.IsFragment() && shown(r) != t.Number { // changed from a list: the list hears of it
		return workspacePage.Parts(w, r, workspace{}, ui.Into("nothing", "#movebox", "innerHTML"))
	}
	return p.changed(w, r, t, whole, ui.Into("nothing", "#movebox", "innerHTML"))
}

// theirs says what a field holds now and who made it so, and lets the form be
// sent again over that.
func (p *pages) theirs(r *web.Request, old ticket.Ticket, f *web.Form, v fieldView) (*theirs, error) {
	ctx, q := r.Context(), p.Tickets.DB().Read()
	t, err := p.Tickets.Get(ctx, ticket.View(r.Actor), old.ID)
	if err != nil {
		return nil, err
	}
	held, err := p.Tickets.Held(ctx, q, t)
	if err != nil {
		return nil, err
	}
	words := func(value string) string {
		if v.Own != nil {
			for _, o := range v.Own.Options {
				if o.Value == value {
					return o.Label
				}
			}
		}
		for _, o := range v.Options {
			if o.Value == value {
				return o.Label
			}
		}
		switch {
		case value == "" && v.Name == "priority":
			return r.T("ticket.priority.auto")
		case value == "":
			return r.T("ticket.none")
		}
		return value
	}
	x := &theirs{Name: v.Name, Label: v.Label, Now: words(held[v.Name]), Value: held[v.Name], Mine: words(strings.Join(f.Strings(v.Name), ",")), At: t.UpdatedAt}
	f.Values.Set("was", held[v.Name])
	x.By, x.At, err = p.lastEdit(r, t)
	return x, err
}

// lastEdit says who changed what describes t last.
func (p *pages) lastEdit(r *web.Request, t ticket.Ticket) (by string, at time.Time, err error) {
	es, _, err := journal.Of(r.Context(), p.Tickets.DB().Read(), journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{journal.Move}, Limit: 20})
	if err != nil {
		return "", t.UpdatedAt, err
	}
	for _, e := range slices.Backward(es) {
		if e.Moved().Event == "ticket.edited" {
			return e.AuthorName, e.CreatedAt, nil
		}
	}
	return "", t.UpdatedAt, nil
}

// differing lists the fields in which a ticket as it stands differs from what a
// form wants, so that whoever was slower can choose field by field.
func (p *pages) differing(r *web.Request, t ticket.Ticket, f *web.Form, v editView) (out []theirs, err error) {
	held, err := p.Tickets.Held(r.Context(), p.Tickets.DB().Read(), t)
	if err != nil {
		return nil, err
	}
	words := func(os []ui.Option, value string) string {
		for _, o := range os {
			if o.Value == value {
				return o.Label
			}
		}
		if value == "" {
			return r.T("ticket.none")
		}
		return value
	}
	add := func(name, label, none string, os []ui.Option) {
		mine := strings.Join(f.Strings(name), ",")
		if mine == held[name] {
			return
		}
		x := theirs{Name: name, Label: label, Now: words(os, held[name]), Mine: words(os, mine), Value: held[name]}
		if none != "" && x.Value == "" {
			x.Now = none
		}
		if none != "" && mine == "" {
			x.Mine = none
		}
		out = append(out, x)
	}
	for _, n := range []struct {
		name string
		os   []ui.Option
	}{{"title", nil}, {"type", v.Types}, {"class", v.Classes}, {"category", v.Categories}, {"urgency", v.Urgencies}} {
		add(n.name, r.T("ticket.field."+n.name), "", n.os)
	}
	add("priority", r.T("ticket.field.priority"), r.T("ticket.priority.auto"), v.Priorities)
	for _, c := range v.Fields {
		add(c.Name, c.Label, "", c.Options)
	}
	return out, nil
}

func number(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
