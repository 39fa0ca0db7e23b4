package cannedui

import (
	"fmt"
	"net/http"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/canned"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// Menu is the entry in the menu of a ticket.
func Menu() ticketui.MenuEntry {
	return ticketui.MenuEntry{Href: "/tickets/{number}/macros", Icon: "play", LabelKey: "macro.menu", Key: "m",
		Offered: func(actor authz.Actor, t *ticket.Ticket) bool {
			return actor.Can(canned.PermUse) && actor.Can(ticket.PermNote) && t.State != ticket.Closed
		}}
}

type (
	macroRow struct {
		canned.Macro
		Whose string
		Mine  bool
		Words []string // its steps
	}
	macrosView struct {
		Rows []macroRow
		Next string
	}
	macroView struct {
		Form  *web.Form
		ID    int64
		Macro canned.Macro
		Mine  bool
		Words []string
		Rows  []int // steps the form draws

		Tags []ui.Option

		Scopes, Deps, Types, States, Classes, Kinds, Tos, Verbs, Urgencies, Priorities, Cats, People, Departments, Fields, Codes []ui.Option
	}
	offeredView struct {
		T      ticket.Ticket
		Dialog bool
		Rows   []macroRow
	}
	tryView struct {
		T       ticket.Ticket
		Dialog  bool
		Form    *web.Form
		Macro   canned.Macro
		Steps   []stepLine
		Problem string // why it cannot be run at all
		Ready   bool
	}
	stepLine struct {
		Words, Text string
		Problem     []string
		Reached     bool
	}
)

var (
	sampleMacro = canned.Macro{ID: 1, Name: "m", Types: []string{"complaint"}, States: []string{"pending"}, Classes: []string{"problem"}, Uses: 1, Place: canned.Place{Scope: canned.Everybody}}
	macrosPage  = ui.NewPage[macrosView](files, "macros.html").Sample(macrosView{Next: "/x", Rows: []macroRow{{Macro: sampleMacro, Whose: "w", Mine: true, Words: []string{"a"}}, {Macro: canned.Macro{Name: "x", Active: true, Place: canned.Place{Scope: canned.Own}}}}})
	macroPage   = ui.NewPage[macroView](files, "macro.html").Sample(macroView{Form: &web.Form{}, Mine: true, Rows: []int{0, 1}, Tags: []ui.Option{{Value: "1", Label: "t"}}, Deps: []ui.Option{{Value: "1", Label: "d"}}}, macroView{Form: &web.Form{}, ID: 1, Macro: sampleMacro, Mine: true, Rows: []int{0}, Fields: []ui.Option{{Value: "1", Label: "f"}}}, macroView{Form: &web.Form{}, ID: 1, Macro: sampleMacro, Words: []string{"w"}})
	offeredPage = ui.NewPage[offeredView](files, "offered.html").Sample(offeredView{Dialog: true, Rows: []macroRow{{Macro: sampleMacro, Words: []string{"a", "b"}}}}, offeredView{})
	tryPage     = ui.NewPage[tryView](files, "try.html").Sample(tryView{Form: &web.Form{}, Dialog: true, Macro: sampleMacro, Ready: true, Steps: []stepLine{{"w", "t", []string{"p"}, true}, {Words: "x"}, {Words: "y", Reached: true}}}, tryView{Form: &web.Form{}, Problem: "p"})
)

// say says a step in words.
func (p *pages) say(r *web.Request, st canned.Step) string {
	ctx := r.Context()
	switch st.Kind {
	case canned.StepUrgency, canned.StepPriority, canned.StepClass:
		return r.T("macro.step."+st.Kind, r.T("ticket."+st.Kind+"."+st.Value))
	case canned.StepCategory:
		cs, _ := p.categories(r)
		for _, c := range cs {
			if c.Value == id(st.ID) {
				return r.T("macro.step.category", c.Label)
			}
		}
		return r.T("macro.step.category", "—")
	case canned.StepField:
		defs, _ := p.Tickets.FieldDefs(ctx, r.Lang)
		for _, d := range defs {
			if d.ID == st.ID {
				return r.T("macro.step.field", d.Label, st.Value)
			}
		}
		return r.T("macro.step.field", "—", st.Value)
	case canned.StepAssign:
		switch st.To {
		case "person":
			return r.T("macro.step.assign", p.Org.Name(ctx, st.ID))
		case "department":
			return r.T("macro.step.assign", p.Org.DepartmentName(ctx, st.ID))
		}
		return r.T("macro.step.assign", r.T("macro.to.me"))
	case canned.StepMove:
		return r.T("ticket.verb." + string(st.Verb))
	case canned.StepTag, canned.StepUntag:
		name := "—"
		if tags, _ := ticket.TagsOf(ctx, p.Tickets.DB().Read(), ticket.Tags("").With([]int64{st.ID}, nil)); len(tags) > 0 {
			name = tags[0].Name
		}
		return r.T("macro.step."+st.Kind, name)
	case canned.StepWatch:
		return r.T("macro.step.watch", p.Org.Name(ctx, st.ID))
	}
	return r.T("macro.kind." + st.Kind)
}

func (p *pages) macroRow(r *web.Request, m canned.Macro) macroRow {
	x := macroRow{Macro: m, Whose: p.whose(r, m.Place), Mine: canned.MayKeep(r.Actor, m.Place)}
	for _, st := range m.Steps {
		x.Words = append(x.Words, p.say(r, st))
	}
	return x
}

func (p *pages) macros(w http.ResponseWriter, r *web.Request) error {
	q := r.Blank()
	q.Values = r.URL.Query()
	ms, more, err := p.Canned.Macros(r.Context(), r.Actor, q.Get("after"), q.ID("id"))
	if err != nil {
		return err
	}
	var v macrosView
	for _, m := range ms {
		v.Rows = append(v.Rows, p.macroRow(r, m))
	}
	if more {
		last := ms[len(ms)-1]
		q.Set("after", last.Name).Set("id", last.ID)
		v.Next = "/macros?" + q.Values.Encode()
	}
	return macrosPage.Render(w, r, chrome(r, r.T("macro.nav"), "/macros", "macro.nav"), v)
}

func codes(r *web.Request, prefix string, cs []string) (out []ui.Option) {
	for _, c := range cs {
		out = append(out, ui.Option{Value: c, Label: r.T(prefix + c)})
	}
	return out
}

func texts[C ~string](cs []C) (out []string) {
	for _, c := range cs {
		out = append(out, string(c))
	}
	return out
}

func (p *pages) macroForm(r *web.Request, f *web.Form, v *macroView, rows int) (err error) {
	v.Form = f
	for i := range min(rows, canned.MaxSteps) {
		v.Rows = append(v.Rows, i)
	}
	if v.Deps, v.Scopes, err = p.places(r, codes(r, "canned.scope.", texts(canned.Scopes))); err != nil {
		return err
	}
	v.Types, v.States, v.Classes = codes(r, "ticket.type.", ticket.Types), codes(r, "ticket.state.", texts(ticket.States[:5])), codes(r, "ticket.class.", ticket.Classes)
	v.Kinds, v.Tos, v.Verbs = codes(r, "macro.kind.", canned.StepKinds), codes(r, "macro.to.", canned.AssignTos), codes(r, "ticket.verb.", texts(canned.MacroVerbs))
	v.Urgencies, v.Priorities = codes(r, "ticket.urgency.", ticket.Urgencies), codes(r, "ticket.priority.", ticket.Priorities)
	for _, c := range ticket.CancelReasons {
		if c != "duplicate" {
			v.Codes = append(v.Codes, ui.Option{Value: c, Label: r.T("ticket.cancel." + c)})
		}
	}
	if v.Cats, err = p.categories(r); err != nil {
		return err
	}
	people, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, ticket.PermView, 500)
	if err != nil && !fault.Is(err, fault.Forbidden) {
		return err
	}
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department})
	}
	nodes, err := p.Org.Tree(r.Context())
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Active {
			v.Departments = append(v.Departments, ui.Option{Value: id(n.ID), Label: n.Path})
		}
	}
	tags, err := ticket.TagList(r.Context(), p.Tickets.DB().Read())
	if err != nil {
		return err
	}
	for _, x := range tags {
		v.Tags = append(v.Tags, ui.Option{Value: id(x.ID), Label: x.Name})
	}
	defs, err := p.Tickets.FieldDefs(r.Context(), r.Lang)
	for _, d := range defs {
		if d.Kind != field.User {
			v.Fields = append(v.Fields, ui.Option{Value: id(d.ID), Label: d.Label})
		}
	}
	if len(v.Fields)*len(v.Tags) == 0 { // what there is nothing to choose for is not offered
		v.Kinds = v.Kinds[:0:0]
		for _, k := range canned.StepKinds {
			if (k != canned.StepField || len(v.Fields) > 0) && (k != canned.StepTag && k != canned.StepUntag || len(v.Tags) > 0) {
				v.Kinds = append(v.Kinds, ui.Option{Value: k, Label: r.T("macro.kind." + k)})
			}
		}
	}
	return err
}

const spareRows = 3

func (p *pages) newMacro(w http.ResponseWriter, r *web.Request) error {
	v := macroView{Mine: true}
	if err := p.macroForm(r, r.Blank("scope", string(canned.Own), "department", id(r.Actor.DepartmentID), "active", "1", "steps.0.kind", canned.StepReply), &v, spareRows); err != nil {
		return err
	}
	return macroPage.Render(w, r, chrome(r, r.T("macro.new"), "/macros", "macro.nav"), v)
}

func (p *pages) showMacro(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	m, err := p.Canned.Macro(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	x := p.macroRow(r, m)
	v := macroView{ID: n, Macro: m, Mine: x.Mine, Words: x.Words}
	f := r.Blank("version", id(m.Version), "name", m.Name, "scope", string(m.Place.Scope))
	if m.Place.DepartmentID != 0 {
		f.Set("department", m.Place.DepartmentID)
	}
	if m.Active {
		f.Set("active", "1")
	}
	for name, cs := range map[string][]string{"types": m.Types, "states": m.States, "classes": m.Classes} {
		for _, c := range cs {
			f.Values.Add(name, c)
		}
	}
	for i, st := range m.Steps {
		at := fmt.Sprintf("steps.%d.", i)
		f.Set(at+"kind", st.Kind).Set(at+"text", st.Text).Set(at+"reason", st.Reason)
		switch st.Kind {
		case canned.StepUrgency, canned.StepPriority, canned.StepClass:
			f.Set(at+st.Kind, st.Value)
		case canned.StepCategory:
			f.Set(at+"category", st.ID)
		case canned.StepField:
			f.Set(at+"field", st.ID).Set(at+"value", st.Value)
		case canned.StepAssign:
			f.Set(at+"to", st.To)
			if st.ID != 0 {
				f.Set(at+map[string]string{"person": "person", "department": "department"}[st.To], st.ID)
			}
		case canned.StepMove:
			f.Set(at+"verb", string(st.Verb)).Set(at+"move", st.Text).Set(at+"code", st.Value)
		case canned.StepTag, canned.StepUntag:
			f.Set(at+"tag", st.ID)
		case canned.StepWatch:
			f.Set(at+"watcher", st.ID)
		}
	}
	if err := p.macroForm(r, f, &v, len(m.Steps)+spareRows); err != nil {
		return err
	}
	return macroPage.Render(w, r, chrome(r, m.Name, "/macros", "macro.nav"), v)
}

func readMacro(f *web.Form) canned.MacroInput {
	in := canned.MacroInput{Version: f.Int64("version"), Name: f.String("name"), Place: canned.Place{Scope: canned.Scope(f.String("scope")), DepartmentID: f.ID("department")},
		Types: f.Strings("types"), States: f.Strings("states"), Classes: f.Strings("classes"), Active: f.Bool("active")}
	for i := range canned.MaxSteps {
		at := fmt.Sprintf("steps.%d.", i)
		st := canned.Step{Kind: f.String(at + "kind")}
		switch st.Kind {
		case "":
			continue
		case canned.StepReply, canned.StepNote:
			st.Text = f.Text(at + "text")
		case canned.StepUrgency, canned.StepPriority, canned.StepClass:
			st.Value, st.Reason = f.String(at+st.Kind), f.String(at+"reason")
		case canned.StepCategory:
			st.ID = f.ID(at + "category")
		case canned.StepField:
			st.ID, st.Value = f.ID(at+"field"), f.String(at+"value")
		case canned.StepAssign:
			if st.To = f.String(at + "to"); st.To == "person" || st.To == "department" {
				st.ID = f.ID(at + st.To)
			}
		case canned.StepMove:
			st.Verb, st.Text, st.Value = ticket.Verb(f.String(at+"verb")), f.Text(at+"move"), f.String(at+"code")
		case canned.StepTag, canned.StepUntag:
			st.ID = f.ID(at + "tag")
		case canned.StepWatch:
			st.ID = f.ID(at + "watcher")
		}
		in.Steps = append(in.Steps, st)
	}
	return in
}

func (p *pages) saveMacro(w http.ResponseWriter, r *web.Request) error {
	var n int64
	var m canned.Macro
	var err error
	if r.PathValue("id") != "" {
		if n, err = r.PathID("id"); err != nil {
			return err
		}
		if m, err = p.Canned.Macro(r.Context(), r.Actor, n); err != nil {
			return err
		}
	}
	f := r.Input()
	in := readMacro(f)
	if err = f.Err(); err == nil {
		_, err = p.Canned.SaveMacro(r.Context(), r.Actor, n, in)
	}
	if err != nil {
		v := macroView{ID: n, Macro: m, Mine: true}
		f.Set("version", m.Version)
		if ferr := p.macroForm(r, f, &v, len(in.Steps)+spareRows); ferr != nil {
			return ferr
		}
		if fe, ok := fault.As(err); ok { // what the steps call it, and what the form does
			for i := range fe.Fields {
				name := fe.Fields[i].Field
				if at, ok := strings.CutSuffix(name, "text"); ok && f.String(at+"kind") == canned.StepMove {
					fe.Fields[i].Field = at + "move"
				}
				if at, ok := strings.CutSuffix(name, "person"); ok && f.String(at+"kind") == canned.StepWatch {
					fe.Fields[i].Field = at + "watcher"
				}
			}
		}
		title := r.T("macro.new")
		if n != 0 {
			title = m.Name
		}
		return macroPage.Invalid(w, r, err, f, chrome(r, title, "/macros", "macro.nav"), v)
	}
	r.Flash(w, "green", "macro.saved", in.Name)
	return r.SeeOther(w, "/macros")
}

func (p *pages) deleteMacro(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Canned.DeleteMacro(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "macro.deleted")
	return r.SeeOther(w, "/macros")
}

func (p *pages) ticket(r *web.Request) (ticket.Ticket, error) {
	return p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
}

// offered are the macros for a ticket.
func (p *pages) offered(w http.ResponseWriter, r *web.Request) error {
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	ms, err := p.Canned.Offered(r.Context(), r.Actor, t)
	if err != nil {
		return err
	}
	v := offeredView{T: t, Dialog: r.IsFragment()}
	for _, m := range ms {
		v.Rows = append(v.Rows, p.macroRow(r, m))
	}
	if v.Dialog {
		return offeredPage.Fragment(w, r, "dialog", v)
	}
	return offeredPage.Render(w, r, chrome(r, r.T("macro.menu"), "/tickets/"+t.Number, "ticket.nav"), v)
}

// tryMacro shows what a macro would do now.
func (p *pages) tryMacro(w http.ResponseWriter, r *web.Request) error {
	v, err := p.tried(r)
	if err != nil {
		return err
	}
	if v.Dialog {
		return tryPage.Fragment(w, r, "dialog", v)
	}
	return tryPage.Render(w, r, chrome(r, v.Macro.Name, "/tickets/"+v.T.Number, "ticket.nav"), v)
}

func (p *pages) tried(r *web.Request) (v tryView, err error) {
	if v.T, err = p.ticket(r); err != nil {
		return v, err
	}
	n, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	v.Dialog, v.Form = r.IsFragment(), r.Blank()
	m, steps, err := p.Canned.Try(r.Context(), r.Actor, n, v.T.ID)
	if err != nil {
		return v, err
	}
	v.Macro, v.Ready = m, true
	for _, x := range steps {
		line := stepLine{Words: p.say(r, x.Step), Text: x.Text, Reached: x.Reached}
		if x.Problem != nil {
			e := r.Explain(x.Problem)
			for _, fv := range e.Fields {
				line.Problem = append(line.Problem, fv.Message)
			}
			if len(line.Problem) == 0 {
				line.Problem = []string{e.Message}
			}
			v.Ready = false
		}
		v.Steps = append(v.Steps, line)
	}
	return v, nil
}

// runMacro runs it; what has come in its way meanwhile is shown at its step.
func (p *pages) runMacro(w http.ResponseWriter, r *web.Request) error {
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	m, err := p.Canned.Macro(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	if _, err = p.Canned.Run(r.Context(), r.Actor, n, t.ID); err != nil {
		v, terr := p.tried(r)
		if _, ok := fault.As(err); !ok || terr != nil {
			return err
		}
		v.Problem = r.Explain(err).Message
		v.Form = r.Input()
		if v.Dialog {
			return tryPage.InvalidFragment(w, r, err, v.Form, "dialog", v)
		}
		return tryPage.Invalid(w, r, err, v.Form, chrome(r, v.Macro.Name, "/tickets/"+t.Number, "ticket.nav"), v)
	}
	r.Flash(w, "green", "macro.ran", m.Name)
	if _, err := p.Tickets.Get(r.Context(), ticket.View(r.Actor), t.ID); fault.Is(err, fault.NotFound) {
		return r.SeeOther(w, "/tickets")
	}
	if u := r.CurrentURL(); u != nil && r.IsFragment() && u.Path == "/tickets/"+t.Number && u.RawQuery != "" {
		return r.SeeOther(w, "/tickets/%s?%s", t.Number, u.RawQuery)
	}
	return r.SeeOther(w, "/tickets/%s", t.Number)
}
