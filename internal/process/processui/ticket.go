package processui

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/i18n"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	stop struct{ Name, Class string }
	lack struct {
		Name, Href string
		Dialog     bool
	}
	offer struct {
		Name, To, Href, Why string
		Back                bool
	}
	past struct {
		Name, Class, By, Took string
		Round                 int // 0: the first
		At                    time.Time
	}
	panelView struct {
		Name, Number, Title, Hint string
		Version                   int
		Stages                    []stop
		Due                       time.Time
		Total                     time.Duration
		Rests                     bool
		Missing                   []lack
		Offers                    []offer
		Drawing                   template.HTML
		Way                       []past
		MayQuit                   bool
	}
	moveView struct {
		Number, Name, Action, From, To string
		Department, Limit              string
		Form                           *web.Form
		Dialog, Quit, Reason           bool
		Texts                          []string // of the ticket's own fields
		Classes, Categories            []ui.Option
		Fields                         []ui.Control
		Elsewhere                      []lack // missing, and not to be filled in here
	}
)

var (
	panelPage = ui.NewPage[panelView](files, "panel.html").Sample(
		panelView{Name: "x", Number: "T1", Hint: "x", Due: time.Unix(1.79e9, 0), Total: time.Hour, MayQuit: true, Stages: []stop{{"x", "done"}, {"y", "current"}, {"z", ""}}, Missing: []lack{{"x", "/x", true}, {"y", "", false}},
			Offers: []offer{{"x", "y", "/x", "", true}, {"x", "y", "/x", "", false}, {"x", "y", "", "z", false}}, Way: []past{{"x", "done", "y", "z", 2, time.Unix(1.79e9, 0)}, {"x", "current", "", "", 0, time.Unix(1.79e9, 0)}}},
		panelView{Rests: true, Stages: []stop{{"y", "current"}}})
	movePage = ui.NewPage[moveView](files, "move.html").Sample(
		moveView{Form: &web.Form{}, Dialog: true, Reason: true, Department: "x", Limit: "x", Texts: []string{"solution", "cause", "corrective", "delay_reason"}, Classes: []ui.Option{{Value: "x", Label: "x"}}, Categories: []ui.Option{{Value: "1", Label: "x"}}, Fields: []ui.Control{{Name: "fields.x", Label: "x", Kind: "date"}}, Elsewhere: []lack{{"x", "/x", false}, {"y", "", false}}},
		moveView{Form: &web.Form{}, Quit: true})
)

// Panel stands beside a ticket: its stages, the time left, what is missing, and
// the steps the reader may take.
func Panel(s *process.Service) func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
	return func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
		if t.ProcessVersion == 0 {
			ver, ok, err := s.Startable(r.Context(), &t)
			if err != nil || !ok || t.AssigneeID != r.Actor.ID && !t.InScope(authz.For(r.Actor, ticket.PermSupervise)) {
				return "", err
			}
			html, err := panelPage.String(r, "start", panelView{Name: ver.In(r.Lang), Number: t.Number})
			return template.HTML(html), err
		}
		st, ok, err := s.Of(r.Context(), r.Actor, &t)
		if err != nil || !ok {
			return "", err
		}
		words, err := s.Words(r.Context(), r.Lang)
		if err != nil {
			return "", err
		}
		v := panelView{Name: st.Version.In(r.Lang), Number: t.Number, Hint: st.Stage.Hint}
		been := map[string]bool{}
		for _, w := range st.Way {
			been[w.Stage] = true
		}
		for _, x := range st.Version.Definition.Order() {
			y := stop{Name: x.In(r.Lang)}
			switch {
			case x.Code == t.Stage && t.State.Open():
				y.Class = "current"
			case been[x.Code]:
				y.Class = "done"
			}
			v.Stages = append(v.Stages, y)
		}
		if c := st.Clock; c != nil {
			v.Due, v.Total, v.Rests = c.DueAt, c.Target, c.DueAt.IsZero()
		}
		for _, m := range st.Missing {
			l := lack{Name: words.Requirement(m)}
			l.Href, l.Dialog = where(t, m, st.Offers)
			v.Missing = append(v.Missing, l)
		}
		for _, o := range st.Offers {
			x := offer{Name: o.Move.In(r.Lang), To: o.To.In(r.Lang), Href: "/tickets/" + t.Number + "/stage/" + o.Move.Code, Back: o.Move.Free}
			if f, ok := fault.As(o.Refusal); ok {
				x.Why = r.T(f.Key, f.Args...)
			}
			v.Offers = append(v.Offers, x)
		}
		html, err := panelPage.String(r, "panel", v)
		return template.HTML(html), err
	}
}

// where is where something missing is filled in: the form of the next step, or
// the place to write.
func where(t ticket.Ticket, requirement string, offers []process.Offer) (href string, dialog bool) {
	if step, ok := strings.CutPrefix(requirement, "complaint."); ok {
		return "/tickets/" + t.Number + "/complaint#s-" + step, false
	}
	switch requirement {
	case "record", "reply", "attachment":
		return "#composer", false
	}
	for _, o := range offers {
		if !o.Move.Free && o.Refusal == nil {
			return "/tickets/" + t.Number + "/stage/" + o.Move.Code, true
		}
	}
	return "", false
}

// Stages are what a list of tickets can be narrowed to: a process in force, or one
// of its stages.
func Stages(s *process.Service) func(r *web.Request) ([]ui.Option, error) {
	return func(r *web.Request) ([]ui.Option, error) {
		vs, err := s.InForce(r.Context())
		var out []ui.Option
		for _, v := range vs {
			name := v.In(r.Lang)
			out = append(out, ui.Option{Value: id(v.ProcessID), Label: r.T("process.stage.all"), Group: name})
			for _, x := range v.Definition.Order() {
				out = append(out, ui.Option{Value: id(v.ProcessID) + "." + x.Code, Label: x.In(r.Lang), Group: name})
			}
		}
		return out, err
	}
}

func (p *pages) openTicket(r *web.Request) (ticket.Ticket, error) {
	return p.tickets.ByNumber(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
}

func sheet(r *web.Request, t ticket.Ticket, title string) ui.Chrome {
	return ui.Chrome{Title: title, Nav: "tickets", Assets: []string{"ticketui.css", "process.css"}, Crumbs: []ui.Crumb{{Label: r.T("ticket.nav"), Href: "/tickets"}, {Label: t.Number, Href: "/tickets/" + t.Number}, {Label: title}}}
}

// ofTicket draws the process of a ticket with the way it took.
func (p *pages) ofTicket(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	st, ok, err := p.s.Of(r.Context(), r.Actor, &t)
	if err != nil {
		return err
	}
	if !ok {
		return ui.NoSuchPage()
	}
	words, err := p.s.Words(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	v := panelView{Name: st.Version.In(r.Lang), Number: t.Number, Title: t.Title, Version: st.Version.Number, MayQuit: st.MayQuit}
	been := map[string]bool{}
	for _, x := range st.Way {
		been[x.Stage] = true
		s, _ := st.Version.Definition.Stage(x.Stage)
		y := past{Name: s.In(r.Lang), Class: "done", At: x.EnteredAt, By: p.org.Name(r.Context(), x.EnteredBy)}
		if x.Round > 1 {
			y.Round = x.Round
		}
		if x.LeftAt.IsZero() {
			y.Class = "current"
		} else {
			y.Took = i18n.Duration(r.Lang, x.LeftAt.Sub(x.EnteredAt).Round(time.Minute))
		}
		v.Way = append(v.Way, y)
	}
	cur := t.Stage
	if !t.State.Open() {
		cur = ""
	}
	v.Drawing = draw(&st.Version.Definition, look{Lang: r.Lang, Words: words, Current: cur, Done: been})
	return panelPage.Render(w, r, sheet(r, t, v.Name), v)
}

// moved answers a step that was taken: the pane looks again, and keeps what is
// being written in it. A ticket that has left the reader's scope leaves his screen.
func (p *pages) moved(w http.ResponseWriter, r *web.Request, t ticket.Ticket) error {
	if _, err := p.tickets.Get(r.Context(), ticket.View(r.Actor), t.ID); fault.Is(err, fault.NotFound) {
		r.Flash(w, "", "ticket.passed_on")
		return r.SeeOther(w, "/tickets")
	} else if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "movebox" {
		return movePage.Fragment(w, r, "moved", moveView{Number: t.Number})
	}
	return r.SeeOther(w, "/tickets/%s", t.Number)
}

func (p *pages) start(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	if t, err = p.s.Start(r.Context(), r.Actor, t.ID); err != nil {
		return err
	}
	return p.moved(w, r, t)
}

// offer returns the step of the address, or why the reader may not take it.
func (p *pages) offer(r *web.Request, t *ticket.Ticket) (st process.Standing, o process.Offer, err error) {
	st, _, err = p.s.Of(r.Context(), r.Actor, t)
	if err != nil {
		return st, o, err
	}
	i := slices.IndexFunc(st.Offers, func(o process.Offer) bool { return o.Move.Code == r.PathValue("move") })
	if i < 0 {
		return st, o, fault.New(fault.Conflict, "ticket.move.not_now")
	}
	return st, st.Offers[i], nil
}

// moveView is the form of a step: it asks for what is missing, as far as that can
// be filled in here.
func (p *pages) moveView(r *web.Request, t ticket.Ticket, st process.Standing, o process.Offer, f *web.Form) (v moveView, err error) {
	ctx := r.Context()
	v = moveView{Number: t.Number, Name: o.Move.In(r.Lang), Action: "/tickets/" + t.Number + "/stage/" + o.Move.Code, From: st.Stage.In(r.Lang), To: o.To.In(r.Lang), Form: f, Dialog: r.IsFragment(), Reason: o.Move.Reason}
	words, err := p.s.Words(ctx, r.Lang)
	if err != nil {
		return v, err
	}
	if o.Passes {
		v.Department = words.Department(o.To.Department)
	}
	if o.To.Minutes > 0 {
		v.Limit = i18n.Duration(r.Lang, o.To.Limit())
	}
	var wanted []string
	for _, m := range o.Missing {
		switch m {
		case "solution", "cause", "corrective", "delay_reason":
			v.Texts = append(v.Texts, m)
		case "class":
			v.Classes = options(r, "ticket.class.", ticket.Classes)
		case "category":
			if v.Categories, err = p.categories(r); err != nil {
				return v, err
			}
		case "record", "reply", "attachment":
			v.Elsewhere = append(v.Elsewhere, lack{Name: words.Requirement(m)})
		default:
			if strings.HasPrefix(m, "complaint.") {
				l := lack{Name: words.Requirement(m)}
				l.Href, _ = where(t, m, nil)
				v.Elsewhere = append(v.Elsewhere, l)
				continue
			}
			wanted = append(wanted, m)
		}
	}
	if len(wanted) == 0 {
		return v, nil
	}
	defs, err := p.tickets.FieldDefs(ctx, r.Lang)
	if err != nil {
		return v, err
	}
	defs = slices.DeleteFunc(defs, func(d field.Def) bool { return !slices.Contains(wanted, d.Name()) })
	v.Fields = fieldui.Inputs(r, defs, "", "", "", nil)
	for i := range v.Fields {
		v.Fields[i].Required = true
	}
	return v, nil
}

func (p *pages) showMove(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	st, o, err := p.offer(r, &t)
	if err != nil {
		return err
	}
	v, err := p.moveView(r, t, st, o, r.Blank("ticket_version", id(t.Version)))
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return movePage.Fragment(w, r, "dialog", v)
	}
	return movePage.Render(w, r, sheet(r, t, v.Name), v)
}

func (p *pages) move(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.StageInput{Version: f.Int64("ticket_version"), Reason: f.Limited("reason", 1000), Solution: f.Text("solution"), Cause: f.Text("cause"), Corrective: f.Text("corrective"), DelayReason: f.Text("delay_reason"), Class: f.String("class"), CategoryID: f.ID("category")}
	defs, err := p.tickets.FieldDefs(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	in.Fields = fieldui.Read(f, defs, "")
	for id, texts := range in.Fields { // nothing is emptied here
		if strings.TrimSpace(strings.Join(texts, "")) == "" {
			delete(in.Fields, id)
		}
	}
	if err = f.Err(); err == nil {
		var moved ticket.Ticket
		if moved, err = p.s.Move(r.Context(), r.Actor, t.ID, r.PathValue("move"), in); err == nil {
			return p.moved(w, r, moved)
		}
	}
	fe, ok := fault.As(err)
	if !ok || fe.Kind != fault.Invalid && fe.Kind != fault.Conflict {
		return err
	}
	fresh, gerr := p.openTicket(r)
	if gerr != nil {
		return gerr
	}
	st, o, oerr := p.offer(r, &fresh)
	if oerr != nil {
		return err // it is past: a word is enough
	}
	v, verr := p.moveView(r, fresh, st, o, f)
	if verr != nil {
		return verr
	}
	if fe.Key == "ticket.changed_meanwhile" {
		f.Set("ticket_version", fresh.Version)
	}
	if r.IsFragment() {
		return movePage.InvalidFragment(w, r, err, f, "dialog", v)
	}
	return movePage.Invalid(w, r, err, f, sheet(r, t, v.Name), v)
}

func (p *pages) quitView(r *web.Request, t ticket.Ticket, f *web.Form) moveView {
	return moveView{Number: t.Number, Name: r.T("process.quit"), Action: "/tickets/" + t.Number + "/process/departure", Form: f, Quit: true, Reason: true}
}

func (p *pages) showQuit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	if t.ProcessVersion == 0 {
		return fault.New(fault.Conflict, "process.none")
	}
	return movePage.Render(w, r, sheet(r, t, r.T("process.quit")), p.quitView(r, t, r.Blank("ticket_version", id(t.Version))))
}

func (p *pages) quit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.openTicket(r)
	if err != nil {
		return err
	}
	f := r.Input()
	version, reason := f.Int64("ticket_version"), f.Limited("reason", 1000)
	if err = f.Err(); err == nil {
		if t, err = p.s.Quit(r.Context(), r.Actor, t.ID, version, reason); err == nil {
			return p.moved(w, r, t)
		}
		if t, gerr := p.openTicket(r); gerr == nil {
			f.Set("ticket_version", t.Version)
		}
	}
	return movePage.Invalid(w, r, err, f, sheet(r, t, r.T("process.quit")), p.quitView(r, t, f))
}
